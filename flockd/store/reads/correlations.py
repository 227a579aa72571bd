"""Reads of correlations: their state, what their ANDs hold, and what their latest round gave."""

from __future__ import annotations

from typing import Any

from flockd.domain.artifact import DEFAULT_TENANT, Artifact
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import Condition, joined, one_of
from flockd.store.rows import ARTIFACT_COLUMNS, CORRELATION_COLUMNS, artifact_from, correlation_from

_STATES = {state.value: (state.value,) for state in CorrelationState} | {
    "failed": (CorrelationState.failed.value, CorrelationState.cancelled.value)
}
"""What is stored, by the word that is asked for: on the wire a cancelled correlation is failed."""


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
        """What the ANDs of a correlation hold: `[{"agent", "artifacts": [ids]}]`, in the order of
        publication."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return []
        by_agent: dict[str, list[str]] = {}
        for agent, artifact in await self._rows(
            "SELECT agent, artifact FROM slots WHERE correlation = ? ORDER BY seq", (id_bytes(parsed),)
        ):
            by_agent.setdefault(agent, []).append(id_text(artifact))
        return [{"agent": agent, "artifacts": artifacts} for agent, artifacts in by_agent.items()]

    async def round_artifacts(self, correlation: Correlation) -> list[Artifact]:
        """What agents produced in its latest round, in the order of the board."""
        found: list[Artifact] = []
        after = correlation.round_seq
        while True:
            rows = await self._rows(
                f"SELECT {ARTIFACT_COLUMNS} FROM artifacts INDEXED BY artifacts_by_correlation "
                "WHERE tenant = ? AND correlation = ? AND seq > ? AND run IS NOT NULL ORDER BY seq LIMIT ?",
                (correlation.tenant, id_bytes(correlation.id), after, PAGE_MAX),
            )
            found += map(artifact_from, rows)
            if len(rows) < PAGE_MAX:
                return found
            after = found[-1].seq

    async def round_errors(self, correlation: Correlation) -> list[tuple[str, bytes]]:
        """(agent, error JSON) of the runs that died in its latest round, in the order of their creation."""
        rows = await self._rows(
            "SELECT agent, error FROM runs INDEXED BY runs_by_correlation "
            "WHERE tenant = ? AND correlation = ? AND state = 'dead' AND ended_round = ? ORDER BY ord",
            (correlation.tenant, id_bytes(correlation.id), correlation.round),
        )
        return [(agent, error) for agent, error in rows]


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
