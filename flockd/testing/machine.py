"""What a board under test is made of: the daemon's own store, board and supervisor, on a file that is thrown away."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flockd.board import Board
from flockd.config import Config
from flockd.domain.budget import Budgets
from flockd.domain.event import ENDED, Event
from flockd.domain.moment import HOUR_MS
from flockd.engines.outside import Outside
from flockd.flock import Flock
from flockd.loading import budget_rules
from flockd.store import sqlite
from flockd.store.occupancy import Limits
from flockd.store.reads import Reads
from flockd.store.writer import Committed, Writer
from flockd.supervisor.supervisor import Supervisor

_END_SECONDS = 1.0
"""How long agents that do not want to stop hold up the end of a test."""


@dataclass
class Machine:
    """The parts, while they live; `ring` is called whenever something happened."""

    board: Board
    reads: Reads
    writer: Writer
    supervisor: Supervisor
    events: list[Event] = field(default_factory=list)
    """All of the log."""
    ended: Counter[str] = field(default_factory=Counter)
    """How many rounds of a workflow have ended."""
    live: list[Event] = field(default_factory=list)
    """What agents wrote."""


@asynccontextmanager
async def machine(
    flock: Flock,
    config: Config,
    outside: Outside,
    *,
    clock: Callable[[], int],
    ring: Callable[[], None],
    on_fatal: Callable[[str], None],
) -> AsyncIterator[Machine]:
    """Start all of it on an empty board, and leave nothing behind.

    Like the daemon of `flockd.app`, without a network. Raises DeclarationError where the flock is declared wrongly.
    """
    flock.validate()
    agents, budgets = flock.agents(), Budgets(budget_rules(config, flock))
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="flockd-test-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "flockd.db"
        await asyncio.to_thread(sqlite.migrate, path)
        readers = await stack.enter_async_context(sqlite.Readers(path, connections=1))
        reads = Reads(readers, count_max=config.limits.count_max)
        made: Machine | None = None

        def committed(committed: Committed) -> None:
            assert made is not None, "nothing is written before all of it is there"
            made.events += committed.events
            made.ended.update(
                event.correlation_id
                for event in committed.events
                if event.kind in ENDED and event.correlation_id is not None
            )
            made.supervisor.committed(committed)
            ring()

        def tell_live(event: Event) -> None:
            assert made is not None, "nothing works before all of it is there"
            made.live.append(event)

        writer = Writer(
            sqlite.connect_writer(path, durability="normal", page_cache_bytes=config.store.page_cache_bytes),
            path,
            agents=agents,
            budgets=budgets,
            limits=Limits(
                running=config.limits.running,
                ready_runs=config.limits.ready_runs,
                correlation_runs=config.limits.correlation_runs,
                correlation_depth=config.limits.correlation_depth,
                run_crashes=config.limits.run_crashes,
                orphan_ms=int(config.limits.orphan_hours * HOUR_MS),
                idempotency_ms=int(config.limits.idempotency_hours * HOUR_MS),
            ),
            on_commit=committed,
            on_fatal=on_fatal,
            clock=clock,
        )
        stack.push_async_callback(writer.close)
        board = Board(
            writer.submit,
            types=flock.types(),
            agents=agents,
            timers=flock.timers(),
            reads=reads,
            run_outputs=config.limits.run_outputs,
            output_bytes=config.limits.output_bytes,
            budgets=budgets,
        )
        writer.on_death = board.preparing.tell_death
        await stack.enter_async_context(outside)
        supervisor = Supervisor(
            board,
            {name: flock.engine(name) for name in agents},
            writer.occupancy,
            running=config.limits.running,
            lane_window=config.supervisor.lane_window,
            output_bytes=config.limits.output_bytes,
            retry_base_seconds=config.supervisor.retry_base_seconds,
            retry_max_seconds=config.supervisor.retry_max_seconds,
            idempotency_ms=int(config.limits.idempotency_hours * HOUR_MS),
            tell_live=tell_live,
            observe=lambda _seconds, _word: ring(),
            outside=outside,
            clock=clock,
        )
        made = Machine(board, reads, writer, supervisor)
        writer.start()
        await supervisor.recover()
        supervisor.start()
        stack.push_async_callback(supervisor.drain, 0.0, _END_SECONDS)
        yield made
