"""Watchers over HTTP: they connect, read, leave when they feel like it, and come back with their cursor."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing

import aiohttp

from tests.process.daemon import Daemon

from .publishers import Progress
from .transports import NDJSON, SSE, items
from .watch import Start, Watch

_PATIENCE = (1, 3, 10, 50, 200, 1000, 10_000)
"""After how many items a watcher leaves by itself. Once everything is published it stays."""
_AWAY = (0, 0, 0, 10, 50)
"""How many publications it then misses before it comes back."""
_FUTURE = 1_000_000_000


def choose_start(chance: random.Random, head: int, lookback: int) -> Start:
    """Where one watcher begins, when `head` is the largest seq that anybody was told of: at most so far back."""
    earliest = max(0, head - lookback)
    somewhere = chance.randint(earliest, head)
    return chance.choice(
        (
            Start("now", head),
            Start("after", earliest) if earliest else Start("start"),
            Start("after", somewhere),
            Start("last-event-id", somewhere),
            Start("future", _FUTURE),
        )
    )


class HttpWatcher:
    """One watch over SSE or NDJSON, for as long as `run` is not cancelled."""

    def __init__(
        self,
        watch: Watch,
        accept: str,
        daemon: Daemon,
        progress: Progress,
        chance: random.Random,
        *,
        comes_late: bool = True,
    ) -> None:
        """`comes_late`: it comes at a random moment, begins wherever it then likes, and stays away at times."""
        assert accept in {SSE, NDJSON}
        self.watch = watch
        self.accept = accept
        self._daemon = daemon
        self._progress = progress
        self._chance = chance
        self._comes_late = comes_late

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Come; then watch, leave and come back."""
        chance, progress = self._chance, self._progress
        if self._comes_late:
            await progress.until(chance.choice((0, chance.randrange(progress.publications))))
            self.watch.start = choose_start(chance, progress.head, progress.lookback)
        while True:
            await self._daemon.up.wait()
            try:
                await self._connect(session)
            except (aiohttp.ClientError, ConnectionError) as error:
                self.watch.tell(f"is cut at {self.watch.cursor} ({type(error).__name__})")
            if self._comes_late:
                await progress.until(progress.acknowledged + chance.choice(_AWAY))

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        watch = self.watch
        query, headers = opening(watch, by_header=self._chance.random() < 0.5)
        if watch.begin is None and watch.start.how == "now":
            watch.start = Start("now", self._progress.head)
        patience = self._chance.choice(_PATIENCE)
        async with session.get(
            f"{self._daemon.url}/api/v1/events", params=query, headers={"Accept": self.accept, **headers}
        ) as response:
            assert response.status == 200, f"{response.url}: {response.status} {await response.text()}"
            assert response.content_type == self.accept
            watch.connected()
            async with aclosing(items(response)) as said:
                async for item in said:
                    watch.take(item)
                    patience -= 1
                    if patience <= 0 and not self._progress.is_over:
                        watch.tell(f"leaves at {watch.cursor}")
                        response.close()
                        return
        watch.tell(f"ends at {watch.cursor}")


def opening(watch: Watch, *, by_header: bool) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The query and the headers with which a watch opens a stream, the first time or again."""
    cursor, how = watch.cursor, watch.start.how
    if watch.begin is None:
        cursor = None if how in {"now", "start"} else watch.start.seq
        by_header = how in {"last-event-id", "future"}
    query = list(watch.wanted)
    headers = {}
    if cursor is None:
        query += [("from", "start")] if how == "start" else []
    elif by_header:
        headers["Last-Event-ID"] = str(cursor)
    else:
        query.append(("after", str(cursor)))
    return query, headers


async def run_all(watchers: Sequence[HttpWatcher]) -> None:
    """All of them at once, until cancelled."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=60)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for watcher in watchers:
            group.create_task(watcher.run(session), name=watcher.watch.name)
