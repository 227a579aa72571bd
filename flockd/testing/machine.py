"""What a board under test is made of: the daemon's own store, board and supervisor, on a file that is thrown away."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from flockd.board import Board
from flockd.config import Config
from flockd.domain.budget import Budgets
from flockd.domain.event import ENDED, Event
from flockd.engines.outside import Outside
from flockd.flock import Flock
from flockd.loading import budget_rules
from flockd.store import sqlite
from flockd.store.reads import Reads
from flockd.store.writer import Committed, Writer
from flockd.supervisor.supervisor import Supervisor
from flockd.works import Works

_END_SECONDS = 1.0
"""How long agents that do not want to stop hold up the end of a test."""


class Machine:
    """The parts, while they live, and what they tell."""

    board: Board
    writer: Writer
    supervisor: Supervisor

    def __init__(self, reads: Reads) -> None:
        """The other parts are set before any of them is started."""
        self.reads = reads
        self.events: list[Event] = []
        """All of the log."""
        self.live: list[Event] = []
        """What agents wrote."""
        self.ended: Counter[str] = Counter()
        """How many rounds of a workflow have ended."""
        self.runs: set[str] = set()
        """The ids of those that were started."""
        self.bell = asyncio.Event()
        """Set whenever something happened."""
        self.broken: str | None = None
        """Why the store failed."""

    def check(self) -> None:
        """Raises RuntimeError where the store failed: nothing will ever happen again."""
        if self.broken is not None:
            raise RuntimeError(f"the board under test ended: {self.broken}")

    def committed(self, committed: Committed) -> None:
        """After each commit, as in the daemon."""
        self.events += committed.events
        self.ended.update(
            event.correlation_id
            for event in committed.events
            if event.kind in ENDED and event.correlation_id is not None
        )
        self.runs.update(started.run.id for started in committed.started)
        self.supervisor.committed(committed)
        self.bell.set()

    def observed(self, _seconds: float, _word: str) -> None:
        """A run has ended, its place is free."""
        self.bell.set()

    def failed(self, reason: str) -> None:
        """The store failed for good."""
        self.broken = reason
        self.bell.set()


@asynccontextmanager
async def machine(
    flock: Flock,
    config: Config,
    outside: Outside,
    *,
    clock: Callable[[], int],
) -> AsyncIterator[Machine]:
    """Start all of it on an empty board, and leave nothing behind.

    Like the daemon of `flockd.app`, without a network. Raises DeclarationError where the flock is declared wrongly.
    """
    flock.validate()
    budgets = Budgets(budget_rules(config, flock))
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="flockd-test-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "flockd.db"
        await asyncio.to_thread(sqlite.migrate, path)
        readers = await stack.enter_async_context(sqlite.Readers(path, connections=1))
        made = Machine(Reads(readers, count_max=config.limits.count_max))
        await stack.enter_async_context(outside)
        store = config.store.model_copy(update={"durability": "normal"})  # a board that is thrown away
        works = Works(
            config.model_copy(update={"store": store}),
            flock,
            path,
            reads=made.reads,
            budgets=budgets,
            outside=outside,
            on_commit=made.committed,
            on_fatal=made.failed,
            tell_live=made.live.append,
            observe=made.observed,
            clock=clock,
        )
        made.board, made.writer, made.supervisor = works.board, works.writer, works.supervisor
        stack.push_async_callback(made.writer.close)
        made.writer.start()
        await made.supervisor.recover()
        made.supervisor.start()
        stack.push_async_callback(made.supervisor.drain, 0.0, _END_SECONDS)
        yield made
