"""A small board on a real file, changed by the real verbs, one transaction each, without threads or a loop."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flockd.board.control import CancelCorrelation, CancelRun
from flockd.board.outcome import Fail, Finish
from flockd.board.publication import Idempotency, Prepared, Published
from flockd.board.publish import Publish
from flockd.board.redrive import Redrive
from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact import EXTERNAL, Artifact, Draft
from flockd.domain.budget import BudgetRule, Budgets
from flockd.domain.identity import id_bytes, new_id
from flockd.domain.priority import Priority
from flockd.domain.run import Run
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import PUBLIC, AnyVisibility
from flockd.store import rows
from flockd.store.apply import apply
from flockd.store.cache import Cache
from flockd.store.command import Command
from flockd.store.load import load
from flockd.store.occupancy import Limits, Occupancy
from flockd.store.sqlite import connect_writer, migrate
from flockd.store.state import State

MIDNIGHT = 1_795_219_200_000
"""2026-11-21T00:00:00Z, when each of these boards begins."""


def agent(name: str, *types: str, retries: int = 0, max_concurrency: int = 64) -> Agent:
    """An agent that takes one artifact of each of these types."""
    return Agent(name, Subscription(types), (), retries=retries, max_concurrency=max_concurrency)


class SmallBoard:
    """Every method is one transaction; `now` is the clock."""

    def __init__(
        self,
        path: Path,
        *agents: Agent,
        limits: Limits | None = None,
        budgets: Sequence[BudgetRule] = (),
    ) -> None:
        migrate(path)
        self.path = path
        self.now = MIDNIGHT
        self.connection: sqlite3.Connection = connect_writer(
            path, durability="normal", page_cache_bytes=1 << 20
        )
        self._agents = Agents(agents)
        self._limits = limits or Limits()
        self._budgets = Budgets(budgets)
        self._occupancy = Occupancy()

    def close(self) -> None:
        self.connection.close()

    def do(self, command: Command) -> Any:
        next_seq, next_run = self.connection.execute("SELECT next_seq, next_run FROM log").fetchone()
        state = State(
            now=self.now,
            clock=self.now,
            next_seq=next_seq,
            next_run=next_run,
            agents=self._agents,
            limits=self._limits,
            occupancy=self._occupancy,
            budgets=self._budgets,
        )
        self.connection.execute("BEGIN IMMEDIATE")
        load(self.connection, Cache(), state, [command.needs()])
        answer = command.decide(state)
        apply(self.connection, state)
        self.connection.execute("COMMIT")
        self._occupancy.commit()
        return answer

    def publish(
        self,
        type: str,
        *,
        payload: bytes = b"{}",
        tags: tuple[str, ...] = (),
        partition_key: str | None = None,
        visibility: AnyVisibility = PUBLIC,
        correlation_id: str | None = None,
        dialect: str = "native",
        name: str = "",
        priority: Priority | None = None,
        idempotency: Idempotency | None = None,
    ) -> Published:
        draft = Draft(new_id(), type, payload, EXTERNAL, partition_key, tags, visibility)
        prepared = Prepared(
            draft, self._woken_by(type), correlation_id or new_id(), priority, correlation_id is None
        )
        published: Published = self.do(Publish(prepared, dialect, name, idempotency))
        return published

    def pool(self, type: str, agent: str, key: str) -> Published:
        """Publish an artifact that this agent gathers."""
        draft = Draft(new_id(), type, b"{}", EXTERNAL, keys=((agent, key),))
        prepared = Prepared(draft, (self._agents[agent],), new_id(), None, True)
        published: Published = self.do(Publish(prepared))
        return published

    def finish(self, run: Run, *types: str, tags: tuple[str, ...] = (), cascade: bool = True) -> None:
        """End a running run with an output of each of these types."""
        outputs = [
            (Draft(new_id(), type, b"{}", run.agent, None, tags), self._woken_by(type) if cascade else ())
            for type in types
        ]
        assert self.do(Finish(run.id, run.correlation_id, run.fence, tuple(self.inputs(run)), outputs, None))

    def fail(self, run: Run, *, delay_ms: int = 1000) -> None:
        held = (run.id, run.correlation_id, run.fence)
        assert self.do(Fail(*held, "AGENT_FAILED", "It broke.", "error", delay_ms, False, True, None))

    def cancel_run(self, run: Run) -> None:
        self.do(CancelRun(run.id, lambda _: None))

    def cancel_correlation(self, correlation_id: str) -> None:
        self.do(CancelCorrelation(correlation_id, lambda _: None))

    def retry_run(self, run: Run) -> None:
        self.do(Redrive((run.id,), lambda _: b"", strict=True))

    def runs(self, where: str = "1") -> list[Run]:
        """Runs in the order of their creation."""
        found = self.connection.execute(f"SELECT {rows.RUN_COLUMNS} FROM runs WHERE {where} ORDER BY ord")
        return [rows.run_from(row) for row in found.fetchall()]

    def running(self, agent: str) -> Run:
        """The oldest run of this agent that is running."""
        return self.runs(f"state = 'running' AND agent = '{agent}'")[0]

    def inputs(self, run: Run) -> list[Artifact]:
        found = [
            self.connection.execute(
                f"SELECT {rows.ARTIFACT_COLUMNS} FROM artifacts WHERE id = ?", (id_bytes(one),)
            ).fetchone()
            for one in run.inputs
        ]
        return [rows.artifact_from(row) for row in found]

    def _woken_by(self, type: str) -> tuple[Agent, ...]:
        return tuple(one for one in self._agents.values() if type in one.subscription.types)
