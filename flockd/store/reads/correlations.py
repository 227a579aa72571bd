"""Reads of correlations: their state, what their ANDs hold, and what their rounds gave."""

from __future__ import annotations

from typing import Any, NamedTuple

from flockd.domain.artifact import DEFAULT_TENANT, Artifact
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.store.load_slots import OLDEST_HELD
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import Condition, joined, one_of
from flockd.store.rows import (
    ARTIFACT_COLUMNS,
    CORRELATION_COLUMNS,
    artifact_from,
    correlation_from,
    held_from,
)
from flockd.store.slots import UNJOINED_MOST, unjoined

_STATES = {state.value: (state.value,) for state in CorrelationState} | {
    "failed": (CorrelationState.failed.value, CorrelationState.cancelled.value)
}
"""What is stored, by the word that is asked for: on the wire a cancelled correlation is failed."""


_NO_SEQ = 2**63 - 1
"""Greater than every seq."""


class Round(NamedTuple):
    """What one round of a correlation gave."""

    ended: EventKind | None
    """The kind of the event that ended it; None while it goes on."""
    ended_at: int | None
    artifacts: list[Artifact]
    """Produced by agents, by seq."""
    errors: list[tuple[str, bytes]]
    """(agent, error JSON) of the runs that died in it, in the order of their death."""


class CorrelationReads(NounReads):
    async def correlation(self, correlation_id: str) -> Correlation | None:
        """The correlation of this id; None where there is none, or where it is no id."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return None
        row = await self._row(
            f"SELECT {CORRELATION_COLUMNS} FROM correlations WHERE id = ?", (id_bytes(parsed),)
        )
        return None if row is None else correlation_from(row)

    async def correlations(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        dialect: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> tuple[list[Correlation], Total]:
        """A page, newest first, and how many there are. `state`: a word of the wire, or "cancelled"."""
        states = None if state is None else _STATES.get(state, ())
        if states == ():
            return [], Total(0, exact=True)
        counts = [Condition("tenant = ? AND kind = 'correlation'", (DEFAULT_TENANT,))]
        if states is not None:
            counts.append(one_of("a", states))
        if dialect is not None:
            counts.append(Condition("b = ?", (dialect,)))
        if name is not None:
            counts.append(Condition("c = ?", (name,)))
        seqs, parameters = _correlation_seqs(states, name, dialect)
        count, count_parameters = joined(counts)
        rows = await self._rows(
            f"WITH page AS (SELECT seq FROM ({seqs}) LIMIT ? OFFSET ?), "
            f"total AS (SELECT ifnull(sum(n), 0) AS count FROM counters WHERE {count}) "
            f"SELECT total.count, page.* FROM total LEFT JOIN "
            f"(SELECT {CORRELATION_COLUMNS} FROM page CROSS JOIN correlations USING (seq)) AS page",
            (*parameters, min(limit, PAGE_MAX), offset, *count_parameters),
        )
        found = [correlation_from(row[1:]) for row in rows if row[1] is not None]
        found.sort(key=lambda correlation: correlation.seq, reverse=True)
        return found, Total(rows[0][0], exact=True)

    async def durations(self, dialect: str, name: str, limit: int = 20) -> list[int]:
        """How long the latest completed ones of a name took, in milliseconds, newest first."""
        rows = await self._rows(
            "SELECT completed_at - started_at FROM correlations INDEXED BY correlations_by_name "
            "WHERE tenant = ? AND name = ? AND name <> '' AND dialect = ? AND state = 'completed' AND round = 1 "
            "ORDER BY seq DESC LIMIT ?",
            (DEFAULT_TENANT, name, dialect, limit),
        )
        return [row[0] for row in rows]

    async def exhausted(self) -> list[str]:
        """Ids of active correlations, at most 500, that a limit must end."""
        rows = await self._rows(
            "SELECT id FROM correlations INDEXED BY correlations_by_state "
            "WHERE tenant IN (SELECT DISTINCT tenant FROM counters) "
            "AND state = 'active' AND reason IS NOT NULL LIMIT ?",
            (PAGE_MAX,),
        )
        return [id_text(row[0]) for row in rows]

    async def unjoined(self, correlation_id: str) -> list[dict[str, Any]]:
        """What the ANDs of a correlation hold, in the order of publication, of each agent so many that it tells
        (`slots.unjoined`)."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return []
        rows = await self._rows(OLDEST_HELD.format("(?)"), (id_bytes(parsed), UNJOINED_MOST + 1))
        return unjoined(map(held_from, rows))

    async def round(self, correlation_id: str, number: int) -> Round | None:
        """What one round gave, ended or as far as it is; None where the board does not have it."""
        bounds = await self._rows(
            "SELECT seq, tenant FROM events INDEXED BY events_by_correlation "
            "WHERE correlation = ? AND kind = 'correlation.started' ORDER BY seq LIMIT 2 OFFSET ?",
            (id_bytes(correlation_id), number - 1),
        )
        if not bounds:
            return None
        began, tenant = bounds[0]
        before = bounds[1][0] if len(bounds) > 1 else _NO_SEQ
        ended = await self._row(
            "SELECT kind, at FROM events INDEXED BY events_by_correlation WHERE correlation = ? AND seq > ? "
            "AND seq < ? AND kind IN ('correlation.completed', 'correlation.failed', 'correlation.cancelled') "
            "ORDER BY seq LIMIT 1",
            (id_bytes(correlation_id), began, before),
        )
        artifacts = await self._produced(tenant, correlation_id, began, before)
        dead = await self._rows(
            "SELECT runs.agent, runs.error FROM "
            "(SELECT run, max(seq) AS died FROM events INDEXED BY events_by_correlation "
            "WHERE correlation = ? AND seq > ? AND seq < ? AND kind = 'run.failed' GROUP BY run) AS failed "
            "CROSS JOIN runs ON runs.id = failed.run "
            "WHERE runs.state = 'dead' AND runs.ended_round = ? ORDER BY failed.died",
            (id_bytes(correlation_id), began, before, number),
        )
        kind, at = (None, None) if ended is None else (EventKind(ended[0]), ended[1])
        return Round(kind, at, artifacts, [(agent, error) for agent, error in dead])

    async def _produced(self, tenant: str, correlation_id: str, after: int, before: int) -> list[Artifact]:
        """What agents produced between two seqs, in the order of the board."""
        found: list[Artifact] = []
        while True:
            rows = await self._rows(
                f"SELECT {ARTIFACT_COLUMNS} FROM artifacts INDEXED BY artifacts_by_correlation "
                "WHERE tenant = ? AND correlation = ? AND seq > ? AND seq < ? AND run IS NOT NULL "
                "ORDER BY seq LIMIT ?",
                (tenant, id_bytes(correlation_id), after, before, PAGE_MAX),
            )
            found += map(artifact_from, rows)
            if len(rows) < PAGE_MAX:
                return found
            after = found[-1].seq


def _correlation_seqs(
    states: tuple[str, ...] | None, name: str | None, dialect: str | None
) -> tuple[str, list[object]]:
    """The seqs of a list, newest first, along the narrowest index; partial indexes want their own words
    repeated."""
    tenant = Condition("tenant = ?", (DEFAULT_TENANT,))
    rest = []
    if name is not None:
        rest.append(Condition("name = ? AND name <> ''" if name else "name = ?", (name,)))
    if dialect is not None:
        native = dialect == "native"
        rest.append(Condition("dialect = ?" if native else "dialect = ? AND dialect <> 'native'", (dialect,)))
    arms: list[list[Condition]] = [[]]
    if name:
        index = "INDEXED BY correlations_by_name"
    elif dialect not in (None, "native"):
        index = "INDEXED BY correlations_by_dialect"
    elif states is not None:
        index = "INDEXED BY correlations_by_state"
        arms = [[Condition("state = ?", (state,))] for state in states]
    else:
        index = "NOT INDEXED"
    if states is not None and arms == [[]]:
        rest.append(one_of("state", states))
    selects, parameters = [], []
    for arm in arms:
        where, values = joined([tenant, *arm, *rest])
        selects.append(f"SELECT seq FROM correlations {index} WHERE {where}")
        parameters += values
    return f"{' UNION ALL '.join(selects)} ORDER BY seq DESC", parameters
