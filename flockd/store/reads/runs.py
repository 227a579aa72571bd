"""Reads of runs: for users, and for the scheduler, which keeps only the edge of the queue in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.domain.priority import Priority
from flockd.domain.run import SUSPECT_CRASHES, Run
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import Condition, joined
from flockd.store.records import PoolKey
from flockd.store.rows import RUN_COLUMNS, run_from


class ReadyRun(NamedTuple):
    """A run in the queue; among equals of one lane the smaller (vtime, ord) starts first."""

    run_id: str
    place: str
    """Where it queues: its agent's name, or that with one key of it."""
    priority: Priority
    vtime: int
    ord: int
    crashes: int
    correlation_id: str


_FIRST_OF_LANES = "WITH wanted (place, priority) AS MATERIALIZED (VALUES {}) " + " UNION ALL ".join(
    "SELECT r.id, r.place, r.priority, r.vtime, r.ord, r.crashes, r.correlation FROM wanted w CROSS JOIN runs r "
    "ON r.ord IN (SELECT ord FROM runs INDEXED BY runs_ready WHERE state = 'ready' AND NOT paused "
    f"AND place = w.place AND {of_lane} ORDER BY vtime, ord LIMIT ?)"
    for of_lane in ("priority = w.priority AND crashes < ?", "w.priority IS NULL AND crashes >= ?")
)
"""Of many lanes: places with a priority, or NULL of suspects."""


class RunReads(NounReads):
    async def run(self, run_id: str) -> Run | None:
        """The run of this id; None where there is none, or where it is no id."""
        parsed = parse_id(run_id)
        if parsed is None:
            return None
        row = await self._row(f"SELECT {RUN_COLUMNS} FROM runs WHERE id = ?", (id_bytes(parsed),))
        return None if row is None else run_from(row)

    async def runs(
        self,
        *,
        agent: str | None = None,
        state: str | None = None,
        correlation_id: str | None = None,
        error: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> tuple[list[Run], Total]:
        """A page, newest first, and how many there are; those of one correlation or error are counted up to the bound.

        `error`: the code of their last failure; of dead ones, where no state is given.
        """
        correlation = None if correlation_id is None else parse_id(correlation_id)
        if correlation_id is not None and correlation is None:
            return [], Total(0, exact=True)
        if error is not None and state is None:
            state = "dead"
        where, parameters = joined(_wanted(agent, state, correlation, error))
        ords = (
            f"SELECT ord FROM runs {_index(agent, state, correlation, error)} WHERE {where} ORDER BY ord DESC"
        )
        is_counted = correlation is None and error is None
        if is_counted:
            count, count_parameters = _counted(agent, state)
        else:
            count, count_parameters = (
                f"SELECT count(*) FROM ({ords} LIMIT ?)",
                [*parameters, self._count_max + 1],
            )
        rows = await self._rows(
            f"SELECT total.count, page.* FROM (SELECT ({count}) AS count) AS total LEFT JOIN "
            f"(SELECT {RUN_COLUMNS} FROM ({ords} LIMIT ? OFFSET ?) CROSS JOIN runs USING (ord)) AS page",
            (*count_parameters, *parameters, min(limit, PAGE_MAX), offset),
        )
        page = sorted(
            (run_from(row[1:]) for row in rows if row[1] is not None), key=lambda run: run.ord, reverse=True
        )
        counted: int = rows[0][0]
        return page, Total(counted, exact=True) if is_counted else self._total(counted)

    async def dead_letters(
        self,
        *,
        agent: str | None = None,
        correlation_id: str | None = None,
        error: str | None = None,
        died_before: int | None = None,
        limit: int,
    ) -> tuple[list[str], Total]:
        """The ids of the oldest dead runs that may start again, and how many of them there are, up to the bound.

        None of a cancelled workflow, which takes no more work. `error`: the code of their last failure.
        """
        found = _wanted(agent, "dead", correlation_id, error)
        if died_before is not None:
            found.append(Condition("completed_at < ?", (died_before,)))
        where, parameters = joined(found)
        dead = (
            f"SELECT id, ord FROM runs {_index(agent, 'dead', correlation_id, error)} WHERE {where} AND "
            "(SELECT state FROM correlations WHERE id = runs.correlation) <> 'cancelled' ORDER BY ord LIMIT ?"
        )
        rows = await self._rows(
            f"SELECT total.count, page.id FROM (SELECT count(*) AS count FROM ({dead})) AS total "
            f"LEFT JOIN ({dead}) AS page ORDER BY page.ord",
            (*parameters, self._count_max + 1, *parameters, min(limit, PAGE_MAX)),
        )
        return [id_text(row[1]) for row in rows if row[1] is not None], self._total(rows[0][0])

    async def run_counts(self) -> dict[str, dict[str, int]]:
        """How many runs each agent has in each state; what is zero is left out."""
        counts: dict[str, dict[str, int]] = {}
        for agent, state, count in await self._rows(
            "SELECT a, b, n FROM counters WHERE tenant = ? AND kind = 'run' AND n <> 0", (DEFAULT_TENANT,)
        ):
            counts.setdefault(agent, {})[state] = count
        return counts

    async def ready_lanes(self) -> list[tuple[str, Priority | None]]:
        """(place, priority) of all that is ready; None instead of their priority for suspects."""
        rows = await self._rows(
            "SELECT DISTINCT place, CASE WHEN crashes < ? THEN priority END FROM runs INDEXED BY runs_ready "
            "WHERE state = 'ready' AND NOT paused",
            (SUSPECT_CRASHES,),
        )
        return [(place, None if priority is None else Priority(priority)) for place, priority in rows]

    async def ready_pages(
        self, lanes: Sequence[tuple[str, Priority | None]], limit: int
    ) -> dict[tuple[str, Priority | None], list[ReadyRun]]:
        """The first runs of each of these lanes that has any: at most `limit`, in the order in which they start.

        A lane is named as by `ready_lanes`; of suspects it looks at everything that is ready at their place. Whoever
        asks sees to it that all of this is a page (`PAGE_MAX`).
        """
        size = 1 << (len(lanes) - 1).bit_length()  # few texts are ever made
        rows = await self._rows(
            _FIRST_OF_LANES.format(", ".join(["(?, ?)"] * size)),
            (
                *(value for place, priority in lanes for value in (place, priority)),
                *(None for _ in range(2 * (size - len(lanes)))),
                *(SUSPECT_CRASHES, limit) * 2,
            ),
        )
        pages: dict[tuple[str, Priority | None], list[ReadyRun]] = {}
        for row in rows:
            run = ReadyRun(id_text(row[0]), row[1], Priority(row[2]), row[3], row[4], row[5], id_text(row[6]))
            lane = run.place, None if run.crashes >= SUSPECT_CRASHES else run.priority
            pages.setdefault(lane, []).append(run)
        for page in pages.values():
            page.sort(key=lambda run: (run.vtime, run.ord))
        return pages

    async def oldest_ready_at(self) -> int | None:
        """When the oldest ready run was made."""
        row = await self._row(
            "SELECT created_at FROM runs INDEXED BY runs_ready_age "
            "WHERE state = 'ready' AND NOT paused ORDER BY created_at LIMIT 1"
        )
        return None if row is None else row[0]

    async def full_batches(self, sizes: Mapping[str, int], limit: int) -> list[PoolKey]:
        """Pools that hold as many artifacts as a batch of their agent has, or more; `sizes` by agent."""
        rows = await self._rows(
            "SELECT p.tenant, p.agent, p.key FROM json_each(?) w "
            "CROSS JOIN pools p ON p.tenant = ? AND p.agent = w.key "
            "GROUP BY p.tenant, p.agent, p.key HAVING count(*) >= w.value LIMIT ?",
            (orjson.dumps(sizes).decode(), DEFAULT_TENANT, limit),
        )
        return [PoolKey(*row) for row in rows]

    async def next_due(self) -> int | None:
        """When the first waiting run wakes, or the time of the first artifact in a pool, or hidden, is over."""
        row = await self._row(
            "SELECT min(due_at) FROM (SELECT * FROM (SELECT due_at FROM runs INDEXED BY runs_due "
            "WHERE state = 'waiting' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) "
            "UNION ALL SELECT * FROM (SELECT due_at FROM pools INDEXED BY pools_due ORDER BY due_at LIMIT 1) "
            "UNION ALL SELECT * FROM (SELECT due_at FROM hidden INDEXED BY hidden_due ORDER BY due_at LIMIT 1))"
        )
        return None if row is None else row[0]


def _wanted(
    agent: str | None, state: str | None, correlation: str | None, error: str | None
) -> list[Condition]:
    """The runs of an agent, in a state, of a correlation, whose last failure has this code; each where given."""
    found = [Condition("tenant = ?", (DEFAULT_TENANT,))]
    if correlation is not None:
        found.append(Condition("correlation = ?", (id_bytes(correlation),)))
    if agent is not None:
        found.append(Condition("agent = ?", (agent,)))
    if state == "dead":
        found.append(Condition("state = 'dead'", ()))  # as the index of errors says it
    elif state is not None:
        found.append(Condition("state = ?", (state,)))
    if error is not None:
        found.append(Condition("CAST(error AS TEXT) ->> 'code' = ?", (error,)))
    return found


def _index(agent: str | None, state: str | None, correlation: str | None, error: str | None) -> str:
    if correlation is not None:
        return "INDEXED BY runs_by_correlation"
    if error is not None and state == "dead":
        return "INDEXED BY runs_by_error"
    if agent is not None:
        return "INDEXED BY runs_by_agent" if state is None else "INDEXED BY runs_by_agent_state"
    return "NOT INDEXED" if state is None else "INDEXED BY runs_by_state"


def _counted(agent: str | None, state: str | None) -> tuple[str, list[object]]:
    """The maintained count of an agent's runs in a state, or of all of them."""
    found = [Condition("tenant = ? AND kind = 'run'", (DEFAULT_TENANT,))]
    if agent is not None:
        found.append(Condition("a = ?", (agent,)))
    if state is not None:
        found.append(Condition("b = ?", (state,)))
    where, parameters = joined(found)
    return f"SELECT ifnull(sum(n), 0) FROM counters WHERE {where}", parameters
