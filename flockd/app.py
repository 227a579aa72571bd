"""The composition root: what a daemon is made of, in the order in which its parts live and, in reverse, end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from aiohttp import web

from flockd import dialects
from flockd.api import ROUTES, ApiSettings, setup
from flockd.api.keys import BOARD, DAEMON, HUB, READS, STREAMS, AgentLoad
from flockd.config import Config
from flockd.dialects.keys import BATCH, WORKFLOWS, BatchSettings
from flockd.dialects.runs.batch_files import BATCH_FILES, BatchFiles
from flockd.domain.agent import agent_at
from flockd.domain.budget import Budgets
from flockd.errors import Unavailable
from flockd.flock import Flock
from flockd.loading import budget_rules, outside_of
from flockd.routing import reserved_names
from flockd.store import sqlite
from flockd.store.checkpoints import Checkpointer
from flockd.store.reads import Reads
from flockd.store.verify import verify_path
from flockd.store.writer import Committed
from flockd.streams.hub import Hub
from flockd.streams.streams import StreamLimits, Streams
from flockd.supervisor.watchdog import Watchdog
from flockd.works import Works

log = logging.getLogger(__name__)

_UPKEEP_THREADS = 2
"""Checks and copies of the whole board at once: each reads all of it, whether or not its client still waits."""
_RECOVER_SECONDS = 2.0
"""Between attempts to take up the work of the last process while the store cannot write."""


class Daemon:
    """The life of one flockd: starting, ready, draining; and how it is ended by what it cannot survive."""

    def __init__(self, config: Config, flock: Flock, app: web.Application) -> None:
        self.config = config
        self.flock = flock
        self.metrics = setup(
            app,
            ApiSettings(
                name=flock.name,
                body_bytes=config.limits.body_bytes,
                bulk_body_bytes=config.limits.bulk_body_bytes,
                bulk_items=config.limits.bulk_items,
                sync_wait_seconds=config.limits.sync_wait_seconds,
                offset_max=config.limits.offset_max,
                tags_per_artifact=config.limits.tags_per_artifact,
                tag_chars=config.limits.tag_chars,
                json_depth=config.limits.json_depth,
                page=config.server.page,
                scratch_dir=config.store.path.parent,
            ),
            dialects.routes(flock.agents(), flock.types()),
        )
        app[BATCH] = BatchSettings(
            config.batch.dir, config.batch.items, config.batch.workers, config.batch.file_bytes
        )
        app[WORKFLOWS] = {workflow.name: workflow for workflow in flock.workflows()}
        self.state: Literal["starting", "ready", "draining"] = "starting"
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done with a sentence when the process must end."""
        self.path = config.store.path
        self.budgets = Budgets(budget_rules(config, flock))
        self._drained: asyncio.Task[None] | None = None
        self._upkeep = ThreadPoolExecutor(_UPKEEP_THREADS, "flockd-upkeep")

    @property
    def name(self) -> str:
        return self.flock.name

    # -- its parts ------------------------------------------------------------------------------------------

    async def live(self, app: web.Application) -> AsyncIterator[None]:
        """aiohttp's cleanup context: all parts, from the lock on the data to the supervisor."""
        config = self.config
        async with AsyncExitStack() as stack:
            stack.enter_context(sqlite.lock_directory(self.path))
            stack.callback(self._upkeep.shutdown, wait=False, cancel_futures=True)
            await asyncio.to_thread(sqlite.migrate, self.path)
            readers = await stack.enter_async_context(
                sqlite.Readers(
                    self.path,
                    connections=config.store.readers,
                    page_cache_bytes=config.store.page_cache_bytes,
                )
            )
            reads = Reads(readers, count_max=config.limits.count_max)
            position = await reads.log_position()
            self.hub = Hub(
                ring_bytes=config.streams.ring_bytes,
                inline_bytes=config.streams.inline_bytes,
                head=position.head,
                log_id=position.log_id,
                complete_from=position.complete_from,
            )
            self.checkpointer = stack.enter_context(Checkpointer(self.path))
            works = Works(
                config,
                self.flock,
                self.path,
                reads=reads,
                budgets=self.budgets,
                outside=await stack.enter_async_context(outside_of(config)),
                on_commit=self._committed,
                on_fatal=self.fail,
                tell_live=self.hub.tell_live,
                observe=self.metrics.observe_run,
            )
            self.writer, self.supervisor, board = works.writer, works.supervisor, works.board
            stack.push_async_callback(self.writer.close)
            self.streams = await stack.enter_async_context(
                Streams(
                    self.hub,
                    reads,
                    limits=StreamLimits(
                        subscribers=config.streams.subscribers,
                        subscribers_per_address=config.streams.subscribers_per_address,
                        subscriptions_per_socket=config.streams.subscriptions_per_socket,
                        message_bytes=config.streams.message_bytes,
                        filter_values=config.streams.filter_values,
                        filter_chars=config.streams.filter_chars,
                    ),
                    heartbeat_seconds=config.streams.heartbeat_seconds,
                    stall_seconds=config.streams.stall_seconds,
                    buffer_bytes=config.streams.buffer_bytes,
                    page_events=config.streams.page_events,
                    page_bytes=config.streams.page_bytes,
                )
            )
            await stack.enter_async_context(
                Watchdog(config.supervisor.watchdog_milliseconds / 1000, self.metrics.observe_lag)
            )
            app[BOARD], app[READS], app[HUB], app[STREAMS] = board, reads, self.hub, self.streams
            app[BATCH_FILES] = await stack.enter_async_context(
                BatchFiles(self.hub, board, folder=config.batch.dir)
            )
            self.writer.start()
            await self._recover()
            self.supervisor.start()
            self._watch_core_tasks([*self.supervisor.tasks, *self.streams.tasks])
            self.state = "ready"
            yield
            await self.drain()

    async def _recover(self) -> None:
        """What the last process left; a disk that is full at the start is waited for.

        Raises Unavailable where the store has failed for good.
        """
        while True:
            try:
                return await self.supervisor.recover()
            except Unavailable as unavailable:
                if self.failed.done():
                    raise
                log.warning("the work of the last process cannot be taken up yet: %s", unavailable)
                await asyncio.sleep(_RECOVER_SECONDS)

    def _committed(self, committed: Committed) -> None:
        """After each commit, in one order: watchers, then work. The askers are answered by the writer after this."""
        if committed.emptied_from is not None:
            self.hub.emptied(committed.emptied_from)
        self.hub.tell(committed.events)
        self.supervisor.committed(committed)
        self.metrics.observe_commit(committed.seconds, committed.commands)
        self.checkpointer.committed()

    # -- its end --------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Refuse new work, let running agents end, store all of it, and say goodbye. Asking twice is asking once."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_task(self._drain(), name="drain")
        await asyncio.shield(self._drained)

    async def _drain(self) -> None:
        self.state = "draining"
        self.hub.drain()
        await self.supervisor.drain(self.config.shutdown.grace_seconds, self.config.shutdown.drain_seconds)
        await self.writer.close()
        await self.streams.goodbye("shutdown")

    def fail(self, reason: str) -> None:
        """Something that only a fresh start from disk can mend."""
        if not self.failed.done():
            log.critical("flockd ends: %s", reason)
            self.failed.set_result(reason)

    def _watch_core_tasks(self, tasks: list[asyncio.Task[None]]) -> None:
        """A core task that ends is fatal: without it the daemon would look alive and do nothing."""

        def ended(task: asyncio.Task[None]) -> None:
            if self.state != "draining":
                error = None if task.cancelled() else task.exception()
                log.critical("the task %r ended", task.get_name(), exc_info=error)
                self.fail(f"the task {task.get_name()!r} ended")

        for task in tasks:
            task.add_done_callback(ended)

    # -- what the routes ask --------------------------------------------------------------------------------

    def writable(self) -> str | None:
        return self.writer.unwritable

    def occupancy(self) -> Mapping[str, AgentLoad]:
        occupancy = self.writer.occupancy
        running: Counter[str] = Counter()
        queued: Counter[str] = Counter()
        for total, tally in ((running, occupancy.busy), (queued, occupancy.ready)):
            for place, count in tally.items():
                total[agent_at(place)] += count
        return {
            name: AgentLoad(running[name], queued[name], name in occupancy.paused)
            for name in {*running, *queued, *occupancy.paused}
        }

    async def verify(self) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(self._upkeep, verify_path, self.path)

    async def backup(self, target: Path) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._upkeep, sqlite.backup_path, self.path, target)
        except sqlite.StoreRefused as refused:
            raise Unavailable(str(refused)) from None


def make_app(config: Config, flock: Flock) -> web.Application:
    """The whole daemon as an aiohttp application; entering its lifetime starts it, leaving it drains it."""
    flock.validate(reserved_names((*ROUTES, *dialects.TABLES)))
    app = web.Application(client_max_size=config.limits.bulk_body_bytes)
    daemon = Daemon(config, flock, app)
    app[DAEMON] = daemon
    app.cleanup_ctx.append(daemon.live)

    async def end_streams(_app: web.Application) -> None:
        await daemon.drain()  # before connections are waited for: an open stream would hold them up

    app.on_shutdown.append(end_streams)
    return app
