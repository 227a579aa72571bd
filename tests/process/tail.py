"""A watcher of the event log that outlives the daemon: it reconnects with its cursor, as browsers do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp
import orjson

from .daemon import Daemon

Event = dict[str, Any]
ENDS = {"correlation.completed", "correlation.failed", "correlation.cancelled"}


class Tail:
    """The log from its start, read by SSE over any number of lives of one daemon.

    `events` is what was received, in order, without the live-only kinds; `hellos`, `gaps` and `goodbyes` are
    those; `open` is every correlation that has started and not ended, as far as was read. From entering to
    leaving it, a task reads; `until` and `quiet` are how a test waits for what it did.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.events: list[Event] = []
        self.hellos: list[Event] = []
        self.gaps: list[Event] = []
        self.goodbyes = 0
        self.open: set[str] = set()
        self._last_id = ""
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="tail")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def of(self, kind: str, **fields: object) -> list[Event]:
        """The events of one kind whose top-level fields have these values."""
        return [e for e in self.events if e["kind"] == kind and all(e[k] == v for k, v in fields.items())]

    async def until(self, kind: str, limit: float = 30.0, **fields: object) -> Event:
        """The first event of this kind with these fields, already here or still to come."""
        await self._wait(lambda: bool(self.of(kind, **fields)), limit, f"no {kind} with {fields}")
        return self.of(kind, **fields)[0]

    async def counted(self, kind: str, count: int, limit: float = 30.0) -> None:
        """Wait until there have been this many events of this kind."""
        await self._wait(lambda: len(self.of(kind)) >= count, limit, f"fewer than {count} {kind}")

    async def live(self, connects: int = 1, limit: float = 30.0) -> None:
        """Wait until the reader has connected this many times and was greeted."""
        await self._wait(lambda: len(self.hellos) >= connects, limit, f"greeted fewer than {connects} times")

    async def ended(self, limit: float = 30.0) -> None:
        """Wait for the `goodbye` of the daemon's present life."""
        await self._wait(lambda: self.goodbyes > 0, limit, "no goodbye")

    async def quiet(self, limit: float = 60.0) -> None:
        """Wait until this reader has read all that is in the log now, and every correlation in it has ended.

        For when nobody publishes any more: what ends the last correlation is then the last of the log.
        """
        head = await read_head(self.daemon)
        await self._wait(lambda: self.seq >= head, limit, f"not at {head}")
        await self._wait(lambda: not self.open, limit, "correlations are still open")

    @property
    def seq(self) -> int:
        """The seq of the last event that was read; 0 before the first."""
        return self.events[-1]["seq"] if self.events else 0

    async def _wait(self, condition: Callable[[], bool], limit: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            last = [(e["seq"], e["kind"], e["agent"]) for e in self.events[-20:]]
            raise AssertionError(
                f"{otherwise} after {limit} s; open: {self.open}; the last events: {last}"
            ) from None

    async def _follow(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            while True:
                await self.daemon.up.wait()
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    await self._connect(session)

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        query = {} if self._last_id else {"from": "start"}
        async with session.get(self.daemon.url + "/api/v1/events", headers=headers, params=query) as response:
            if response.status != 200:
                return
            async for event_id, kind, data in blocks(response):
                self._last_id = event_id or self._last_id
                if data is not None:
                    self._take(kind, data)
                async with self._changed:
                    self._changed.notify_all()

    def _take(self, kind: str, event: Event) -> None:
        if kind == "hello":
            self.hellos.append(event)
        elif kind == "gap":
            self.gaps.append(event)
        elif kind == "goodbye":
            self.goodbyes += 1
        elif event.get("seq") is not None:
            self.events.append(event)
            if kind == "correlation.started":
                self.open.add(event["correlation_id"])
            elif kind in ENDS:
                self.open.discard(event["correlation_id"])


async def read_head(daemon: Daemon) -> int:
    """The seq of the last event in the log, as a new stream's greeting names it; 0 if there is none."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.get(daemon.url + "/api/v1/events") as response,
    ):
        assert response.status == 200, await response.text()
        async for _, kind, data in blocks(response):
            if kind == "hello" and data is not None:
                return int(data["data"]["head"])
    raise AssertionError("the stream did not greet")


async def read_log(daemon: Daemon) -> list[Event]:
    """The whole log, from its start to the head that the greeting names."""
    events: list[Event] = []
    head: int | None = None
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.get(daemon.url + "/api/v1/events", params={"from": "start"}) as response,
    ):
        assert response.status == 200, await response.text()
        async for _, kind, data in blocks(response):
            if kind == "hello":
                assert data is not None
                head = data["data"]["head"]
            elif data is not None and data.get("seq") is not None:
                events.append(data)
            if head is not None and (events[-1]["seq"] if events else 0) >= head:
                return events
    raise AssertionError("the stream ended before the head that its greeting named")


async def blocks(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, Event | None]]:
    """The whole blocks of an SSE answer as (id, event, data); what a cut leaves unfinished is dropped.

    A block with only an id moves the cursor and fires nothing: its data is None. Comments are left out.
    """
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n\n")
        for block in whole:
            fields = dict(
                line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and line[:1] != b":"
            )
            if fields:
                data = orjson.loads(fields[b"data"]) if b"data" in fields else None
                yield fields.get(b"id", b"").decode(), fields.get(b"event", b"message").decode(), data
