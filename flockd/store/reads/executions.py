"""Reads of executions: a flow's direct runs, each with the workflow that is its id and with what it gave."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.identity import id_bytes, parse_id
from flockd.domain.run import Run, RunState
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import Condition, joined, one_of
from flockd.store.rows import CORRELATION_COLUMNS, RUN_COLUMNS, correlation_from, run_from

DIALECT = "flows"
"""The dialect of the correlations that are executions."""


class ExecutionStatus(StrEnum):
    """Where an execution is: document 003's words."""

    pending = "pending"
    """Its flow has never begun."""
    running = "running"
    """Its flow works, waits to be tried again, or its workflow was taken further by somebody."""
    completed = "completed"
    """Its flow gave its result."""
    failed = "failed"
    """It ended without one."""


_NOT_BEGUN = (RunState.ready, RunState.waiting)
"""The states of a run that may not have begun: it waits for a place, or for a daemon that has its flow."""


class Execution(NamedTuple):
    """One execution of a flow."""

    correlation: Correlation
    run: Run
    """The flow's: the first of its correlation."""
    result: bytes | None
    """The JSON of what the flow gave."""

    @property
    def status(self) -> ExecutionStatus:
        """As its workflow stands, in the latest round; of one that is active, whether its flow has begun."""
        if self.correlation.state is CorrelationState.completed:
            return ExecutionStatus.completed
        if self.correlation.state is not CorrelationState.active:
            return ExecutionStatus.failed
        waits = self.run.state in _NOT_BEGUN and self.run.started_at is None
        return ExecutionStatus.pending if waits else ExecutionStatus.running

    @property
    def error(self) -> str | None:
        """Why it failed, in a sentence; None where it did not."""
        if self.status is not ExecutionStatus.failed:
            return None
        if self.correlation.outcome == "cancelled":
            return "Cancelled"
        if self.run.error is not None:
            return str(orjson.loads(self.run.error)["message"])
        return self.correlation.reason or "A later round of its workflow failed"


_STATES = {
    ExecutionStatus.completed: (CorrelationState.completed,),
    ExecutionStatus.failed: (CorrelationState.failed, CorrelationState.cancelled),
    ExecutionStatus.pending: (CorrelationState.active,),
    ExecutionStatus.running: (CorrelationState.active,),
}
"""The states of the correlations among which a status is found."""

_CORRELATION_WIDTH = CORRELATION_COLUMNS.count(",") + 1
_COLUMNS = ", ".join(
    [f"c.{column}" for column in CORRELATION_COLUMNS.split(", ")]
    + [f"r.{column}" for column in RUN_COLUMNS.split(", ")]
)
_OWN_RUN = "(SELECT min(ord) FROM runs INDEXED BY runs_by_correlation WHERE tenant = c.tenant AND correlation = c.id)"
_RESULT = (
    "(SELECT payload FROM artifacts INDEXED BY artifacts_by_correlation "
    "WHERE tenant = c.tenant AND correlation = c.id AND run = r.id ORDER BY seq LIMIT 1)"
)
_EXECUTION = f"{_COLUMNS}, {_RESULT}"


class ExecutionReads(NounReads):
    async def execution(self, correlation_id: str) -> Execution | None:
        """The execution of this id; None where there is none, where it is another dialect's, or no id."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return None
        row = await self._row(
            f"SELECT {_EXECUTION} FROM correlations c CROSS JOIN runs r ON r.ord = {_OWN_RUN} "
            "WHERE c.id = ? AND c.dialect = ?",
            (id_bytes(parsed), DIALECT),
        )
        return None if row is None else _execution_from(row)

    async def executions(
        self,
        *,
        flow: str | None = None,
        status: ExecutionStatus | None = None,
        limit: int,
        offset: int = 0,
    ) -> tuple[list[Execution], Total]:
        """A page of at most 500, newest first, and how many there are: exact, from the maintained counts.

        Only of what has not begun there is no count; that is counted along the queue.
        """
        seqs = _seqs(flow, status)
        total = _total(flow, status)
        rows = await self._rows(
            f"WITH page AS (SELECT seq FROM ({seqs.sql} ORDER BY seq DESC LIMIT ? OFFSET ?)), "
            f"total AS (SELECT ({total.sql}) AS count) "
            "SELECT total.count, found.* FROM total LEFT JOIN "
            f"(SELECT {_EXECUTION} FROM page CROSS JOIN correlations c USING (seq) "
            f"CROSS JOIN runs r ON r.ord = {_OWN_RUN}) AS found",
            (*seqs.parameters, min(limit, PAGE_MAX), offset, *total.parameters),
        )
        found = [_execution_from(row[1:]) for row in rows if row[1] is not None]
        found.sort(key=lambda execution: execution.correlation.seq, reverse=True)
        return found, Total(rows[0][0], exact=True)


def _execution_from(row: Any) -> Execution:
    return Execution(
        correlation_from(row[:_CORRELATION_WIDTH]), run_from(row[_CORRELATION_WIDTH:-1]), row[-1]
    )


def _seqs(flow: str | None, status: ExecutionStatus | None) -> Condition:
    """A SELECT of the seqs of their correlations, along an index that holds few others.

    What is completed is sought among all executions, most of which are; the rest by its state, which bounds the
    walk by what is open, or by what failed.
    """
    if status is ExecutionStatus.pending:
        return _pending(flow)
    found = [Condition("c.tenant = ? AND c.dialect = ? AND c.dialect <> 'native'", (DEFAULT_TENANT, DIALECT))]
    if flow is not None:
        found.append(Condition("c.name = ? AND c.name <> ''", (flow,)))
    if status is None or status is ExecutionStatus.completed:
        index = "correlations_by_dialect" if flow is None else "correlations_by_name"
    else:
        index = "correlations_by_state"
    if status is ExecutionStatus.running:
        begun = "SELECT state NOT IN ('ready', 'waiting') OR started_at IS NOT NULL FROM runs"
        found.append(Condition(f"({begun} WHERE ord = {_OWN_RUN})"))
    selects: list[Condition] = []
    for state in (None,) if status is None else _STATES[status]:
        where, parameters = joined(found if state is None else [*found, Condition("c.state = ?", (state,))])
        selects.append(
            Condition(f"SELECT c.seq FROM correlations c INDEXED BY {index} WHERE {where}", tuple(parameters))
        )
    return Condition(
        " UNION ALL ".join(one.sql for one in selects),
        tuple(value for one in selects for value in one.parameters),
    )


def _pending(flow: str | None) -> Condition:
    """Along the queue, which is bounded by limits.ready_runs, and what waits."""
    runs = [
        Condition(
            "r.tenant = ? AND r.state IN ('ready', 'waiting') AND r.started_at IS NULL", (DEFAULT_TENANT,)
        )
    ]
    if flow is not None:
        runs.append(Condition("r.agent = ?", (flow,)))
    where, parameters = joined(runs)
    index = "runs_by_state" if flow is None else "runs_by_agent_state"
    return Condition(
        f"SELECT c.seq FROM runs r INDEXED BY {index} CROSS JOIN correlations c ON c.id = r.correlation "
        f"WHERE {where} AND c.dialect = ? AND r.ord = {_OWN_RUN}",
        (*parameters, DIALECT),
    )


def _total(flow: str | None, status: ExecutionStatus | None) -> Condition:
    """A SELECT of how many there are."""
    pending = _pending(flow)
    unstarted = Condition(f"SELECT count(*) FROM ({pending.sql})", pending.parameters)
    if status is ExecutionStatus.pending:
        return unstarted
    found = [Condition("tenant = ? AND kind = 'correlation' AND b = ?", (DEFAULT_TENANT, DIALECT))]
    if status is not None:
        found.append(one_of("a", _STATES[status]))
    if flow is not None:
        found.append(Condition("c = ?", (flow,)))
    where, parameters = joined(found)
    counted = Condition(f"SELECT ifnull(sum(n), 0) FROM counters WHERE {where}", tuple(parameters))
    if status is not ExecutionStatus.running:
        return counted
    return Condition(
        f"SELECT ({counted.sql}) - ({unstarted.sql})", (*counted.parameters, *unstarted.parameters)
    )
