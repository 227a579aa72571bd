"""The parts that do the work of a daemon, put together as a configuration says: writer, board and supervisor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flockd.board import Board
from flockd.config import Config
from flockd.domain.budget import Budgets
from flockd.domain.event import Event
from flockd.domain.moment import HOUR_MS, now_ms
from flockd.engines.outside import Outside
from flockd.flock import Flock
from flockd.store import sqlite
from flockd.store.occupancy import Limits
from flockd.store.reads import Reads
from flockd.store.writer import Committed, Writer
from flockd.supervisor.supervisor import Supervisor


class Works:
    """They stand still until `writer.start`, then `supervisor.recover` and `supervisor.start`."""

    def __init__(
        self,
        config: Config,
        flock: Flock,
        path: Path,
        *,
        reads: Reads,
        budgets: Budgets,
        outside: Outside,
        on_commit: Callable[[Committed], None],
        on_fatal: Callable[[str], None],
        tell_live: Callable[[Event], None],
        observe: Callable[[float, str], None],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """The flock at work on the store at `path`, which is up to date.

        `on_commit` is told of each commit, in order, and passes it on to the supervisor.
        """
        agents, limits = flock.agents(), config.limits
        idempotency_ms = int(limits.idempotency_hours * HOUR_MS)
        self.reads = reads
        self.writer = Writer(
            sqlite.connect_writer(
                path, durability=config.store.durability, page_cache_bytes=config.store.page_cache_bytes
            ),
            path,
            agents=agents,
            budgets=budgets,
            limits=Limits(
                running=limits.running,
                ready_runs=limits.ready_runs,
                correlation_runs=limits.correlation_runs,
                correlation_depth=limits.correlation_depth,
                run_crashes=limits.run_crashes,
                orphan_ms=int(limits.orphan_hours * HOUR_MS),
                idempotency_ms=idempotency_ms,
            ),
            on_commit=on_commit,
            on_fatal=on_fatal,
            group_max_commands=config.store.group_max_commands,
            queue_max_commands=config.store.queue_max_commands,
            min_free_bytes=config.store.min_free_bytes,
            wal_max_bytes=config.store.wal_max_bytes,
            clock=clock,
        )
        self.board = Board(
            self.writer.submit,
            types=flock.types(),
            agents=agents,
            timers=flock.timers(),
            reads=reads,
            run_outputs=limits.run_outputs,
            output_bytes=limits.output_bytes,
            budgets=budgets,
        )
        self.writer.on_death = self.board.preparing.tell_death
        self.supervisor = Supervisor(
            self.board,
            {name: flock.engine(name) for name in agents},
            self.writer.occupancy,
            running=limits.running,
            lane_window=config.supervisor.lane_window,
            output_bytes=limits.output_bytes,
            retry_base_seconds=config.supervisor.retry_base_seconds,
            retry_max_seconds=config.supervisor.retry_max_seconds,
            idempotency_ms=idempotency_ms,
            tell_live=tell_live,
            observe=observe,
            outside=outside,
            clock=clock,
        )
