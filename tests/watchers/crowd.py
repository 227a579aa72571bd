"""The play: publishers and a crowd of watchers over a daemon that is killed in the middle.

Everything that is chosen at random comes from one seed. What the machine decides (who is served when, what a kill
cuts off) does not: a seed repeats the choices, not the run.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from tests.process.client import Client
from tests.process.daemon import Daemon
from tests.process.tail import read_head

from . import sockets, watchers
from .filters import Wanted, draw
from .followers import Follower
from .odd_readers import OddReader
from .publishers import Progress, Publishers
from .reckoning import Report, reckon
from .sockets import SocketWatcher
from .transports import NDJSON, SSE
from .watch import Bodies, Watch
from .watchers import HttpWatcher
from .workflows import Workflows

INLINE_BYTES = 16 << 10
SETTINGS = {
    "FLOCKD_STREAMS__INLINE_BYTES": str(INLINE_BYTES),
    "FLOCKD_STREAMS__RING_BYTES": "400000",
    "FLOCKD_STREAMS__BUFFER_BYTES": "32768",
    "FLOCKD_STREAMS__PAGE_EVENTS": "50",
    "FLOCKD_STREAMS__HEARTBEAT_SECONDS": "0.5",
    "FLOCKD_STREAMS__STALL_SECONDS": "3",
    "FLOCKD_LOG__LEVEL": "error",
    "FLOCKD_LIMITS__RUN_CRASHES": "1000",
    "FLOCKD_SUPERVISOR__RETRY_BASE_SECONDS": "0.1",
}
"""Rings, buffers and pages so small that a short play comes to their ends. And honest work is killed here, often."""

_FIELDS = ("kind", "agent", "correlation_id", "type", "produced_by", "tag", "partition_key", "where")
_CUT_READERS = re.compile(r"^flockd_stream_readers_cut_total (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Size:
    """How many of everything."""

    publications: int
    publishers: int
    sse: int
    ndjson: int
    sockets: int
    subscriptions: int
    """On each socket."""
    followers: int
    """Of one workflow each."""
    filters: int
    """Distinct ones, at least: each is evaluated over the whole log at the end."""
    bulk: int = 8
    open_workflows: int = 10_000
    """So many at most, about, and no more events than `lookback` that nobody was told of: or the watchers of a long
    play would only read what happened long ago."""
    lookback: int = 1_000_000
    """How many events before the head a newcomer may begin at most."""
    kills: int = 2
    limit_seconds: float = 90.0
    """For each wait: how long the last workflows may take to end, the last watcher to get what it is owed, …"""


class Crowd:
    """One play over one daemon. `play` is all of it; the rest may be looked at while it runs."""

    def __init__(
        self, daemon: Daemon, client: Client, seed: int, size: Size, start: Callable[[], Awaitable[None]]
    ) -> None:
        """`start` starts the daemon, the first time and after each kill."""
        self.size = size
        self.progress = Progress(size.publications, size.lookback)
        self._bodies = Bodies()
        self._workflows = Workflows(self._bodies)
        self.publishers = Publishers(
            client,
            self.progress,
            seed,
            room=self._room,
            bulk=size.bulk,
            by_socket=size.sockets > 0,
        )
        self.report = Report(seed)
        self.doing = "publishing"
        self._daemon = daemon
        self._client = client
        self._start = start
        self._seed = seed
        self._chance = random.Random(seed)
        self._filters = self._draw_filters()
        self._http = [self._http_watcher(self._workflows, SSE, comes_late=False)]
        self._http += [self._http_watcher(self._watch(f"sse{i}"), SSE) for i in range(size.sse)]
        self._http += [self._http_watcher(self._watch(f"ndjson{i}"), NDJSON) for i in range(size.ndjson)]
        self._sockets = [self._socket_watcher(f"socket{i}") for i in range(size.sockets)]
        self._followers = [self._follower(i) for i in range(size.followers)]
        self._odd: dict[OddReader, asyncio.Task[None]] = {}

    @property
    def watches(self) -> list[Watch]:
        """Everybody's, but for those of followers and odd readers, which end by themselves."""
        return [watcher.watch for watcher in self._http] + [
            watch for watcher in self._sockets for watch in watcher.watches
        ]

    @property
    def deliveries(self) -> int:
        """So far."""
        return sum(len(watch.seqs) for watch in self.watches)

    async def play(self) -> Report:
        """All of it, from starting the daemon to the reckoning. The daemon still runs then."""
        await self._start()
        async with asyncio.TaskGroup() as group:
            crowd = [
                group.create_task(watchers.run_all(self._http), name="watchers over HTTP"),
                group.create_task(sockets.run_all(self._sockets), name="watchers over WebSocket"),
            ]
            followers = [group.create_task(one.follow(), name=one.watch.name) for one in self._followers]
            for one in self._followers:
                group.create_task(one.publish(), name=f"{one.watch.name}'s publisher")
            await self._publish_and_kill(group)
            self.doing = "waiting for the last workflows"
            head = await self._quiet()
            await self._followed(followers)
            self.doing = "serving the last watchers"
            await self._served(self.watches, head)
            self.doing = "cutting those that take nothing"
            await self._until_cut()
            self.doing = "serving those that took nothing"
            await self._hurry(group, head)
            for task in crowd:
                task.cancel()
        self.doing = "comparing with the log"
        others = [*self._followers, *self._odd]
        watches = [*self.watches, *(one.watch for one in others)]
        await asyncio.to_thread(reckon, self.report, watches, self._bodies, self._daemon.file, INLINE_BYTES)
        self.report.differences += [fault for watcher in self._sockets for fault in watcher.faults]
        return self.report

    # -- who takes part ---------------------------------------------------------------------------------------------

    def _draw_filters(self) -> list[Wanted]:
        """Everything, each field by itself, and combinations."""
        ids = self.publishers.correlation_ids
        filters: list[Wanted] = [(), *(draw(self._chance, ids, names=(name,), fields=1) for name in _FIELDS)]
        while len(filters) < self.size.filters:
            filters.append(draw(self._chance, ids, names=_FIELDS, fields=self._chance.choice((1, 2, 2, 3))))
        return filters

    def _watch(self, name: str) -> Watch:
        return Watch(name, self._chance.choice(self._filters), self._bodies)

    def _chance_of(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")

    def _http_watcher(self, watch: Watch, accept: str, *, comes_late: bool = True) -> HttpWatcher:
        chance = self._chance_of(watch.name)
        return HttpWatcher(watch, accept, self._daemon, self.progress, chance, comes_late=comes_late)

    def _socket_watcher(self, name: str) -> SocketWatcher:
        watches = [self._watch(f"{name}.{i}") for i in range(self.size.subscriptions)]
        return SocketWatcher(name, watches, self._daemon, self.progress, self._chance_of(name))

    def _follower(self, index: int) -> Follower:
        name, accept = f"follower{index}", (SSE, NDJSON)[index % 2]
        return Follower(name, accept, self._client, self.progress, self._bodies, self._chance_of(name))

    def _add_odd_readers(self, group: asyncio.TaskGroup) -> None:
        """In each life of the daemon one that takes a byte a second, and one that takes nothing."""
        life = self.report.kills
        for name, byte_seconds in ((f"trickle{life}", 1.0), (f"silence{life}", None)):
            reader = OddReader(Watch(name, (), self._bodies), byte_seconds)
            self._odd[reader] = group.create_task(reader.run(self._daemon.url), name=name)

    # -- what happens -----------------------------------------------------------------------------------------------

    async def _publish_and_kill(self, group: asyncio.TaskGroup) -> None:
        publishing = group.create_task(self.publishers.run(self.size.publishers), name="publishers")
        self._add_odd_readers(group)
        for kill in range(1, self.size.kills + 1):
            share = (kill + self._chance.uniform(-0.3, 0.3)) / (self.size.kills + 1)
            await self.progress.until(int(self.size.publications * share))
            assert await self._daemon.kill() == -signal.SIGKILL, "the daemon had ended by itself"
            self.report.kills += 1
            await self._start()
            self._add_odd_readers(group)
        await publishing

    async def _room(self) -> None:
        """What publishers wait for."""
        await self._workflows.until(self.progress.head - self.size.lookback, self.size.open_workflows)

    async def _quiet(self) -> int:
        """The head of the log, once nothing more will come."""
        try:
            async with asyncio.timeout(self.size.limit_seconds):
                await self._workflows.until(await read_head(self._daemon), 0)
        except TimeoutError:
            watch = self._workflows
            raise AssertionError(
                f"seed {self._seed}: at {watch.cursor} workflows had not ended, or their ends were not told: "
                f"{sorted(watch.open)}; {watch.faults} {watch.story[-5:]}"
            ) from None
        return await read_head(self._daemon)

    async def _followed(self, followers: list[asyncio.Task[None]]) -> None:
        """Every workflow has ended: so must those who follow one."""
        _, late = await asyncio.wait(followers, timeout=self.size.limit_seconds)
        names = {task.get_name() for task in late}
        stories = [one.watch.story[-5:] for one in self._followers if one.watch.name in names]
        assert not late, f"seed {self._seed}: {sorted(names)} did not come to an end: {stories}"

    async def _served(self, watches: list[Watch], head: int) -> None:
        for watch in watches:
            watch.aim(head)
        try:
            async with asyncio.timeout(self.size.limit_seconds):
                for watch in watches:
                    await watch.served.wait()
        except TimeoutError:
            late = [
                f"{w.name} {w.wanted} at {w.cursor}: {w.story[-5:]}" for w in watches if not w.served.is_set()
            ]
            raise AssertionError(
                f"seed {self._seed}: {len(late)} watchers were not served to {head}, such as\n"
                + "\n".join(late[:5])
            ) from None

    async def _until_cut(self) -> None:
        """Wait until the daemon has lost its patience with the one that takes nothing."""
        async with (
            asyncio.timeout(self.size.limit_seconds),
            aiohttp.ClientSession(self._daemon.url) as session,
        ):
            while not self.report.cut_readers:
                async with session.get("/metrics") as response:
                    found = _CUT_READERS.search(await response.text())
                assert found is not None, "there is no metric of the readers that were cut"
                self.report.cut_readers = int(found[1])

    async def _hurry(self, group: asyncio.TaskGroup, head: int) -> None:
        """The odd readers read what they were sent, and are served the rest as anybody is."""
        for reader, task in self._odd.items():
            reader.watch.aim(head)
            reader.hurry.set()
            await task
        again = [self._http_watcher(reader.watch, SSE, comes_late=False) for reader in self._odd]
        task = group.create_task(watchers.run_all(again), name="odd readers")
        await self._served([reader.watch for reader in self._odd], head)
        task.cancel()
