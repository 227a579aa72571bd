"""The streams: who may open one, the tasks that serve them, and how all of them end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from flockd.domain.event import EventKind
from flockd.errors import Unavailable
from flockd.streams.follow import Log
from flockd.streams.hub import Hub
from flockd.streams.pump import SLICE, Pump
from flockd.streams.subscriber import Subscriber

_GOODBYE_SECONDS = 1.0
"""How long the last bytes may take to leave at shutdown."""
_RETRY_FULL_SECONDS = 10
"""When a client that found no place may try again."""
_STALL_LOOKS = 8
"""How often a reader is looked at in the time after which it counts as stalled: it is cut at most 1/8 late."""


class Streams:
    """An async context manager that owns every open stream and the tasks that serve them."""

    def __init__(
        self,
        hub: Hub,
        reads: Log,
        *,
        heartbeat_seconds: float,
        stall_seconds: float,
        buffer_bytes: int,
        subscribers: int,
        page_events: int,
        page_bytes: int,
    ) -> None:
        self.hub = hub
        self.buffer_bytes = buffer_bytes
        """What may wait in one subscriber's transport before it counts as full."""
        self.tasks: list[asyncio.Task[None]] = []
        """Core tasks: one that ends is fatal."""
        self.cut_readers = 0
        """Subscribers that were cut because they took nothing."""
        self.count = 0
        """Open streams."""
        self._pump = Pump(
            hub, reads, write_bytes=buffer_bytes, page_events=page_events, page_bytes=page_bytes
        )
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._places = subscribers
        self._deserted = asyncio.Event()
        self._deserted.set()
        self._goodbye_reason: str | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(self._pump.run(), name="streams: pump"),
            loop.create_task(self._heartbeat(), name="streams: heartbeat"),
            loop.create_task(self._cut_stalled(), name="streams: stalled"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.goodbye("shutdown")
        tasks = [*self.tasks, *self._pump.catch_ups]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one stream. Raises Unavailable when all are taken or the daemon is ending."""
        if self._goodbye_reason is not None:
            raise Unavailable("The daemon is shutting down.")
        if self.count >= self._places:
            raise Unavailable(
                f"{self._places} streams are open (streams.subscribers); try again later.",
                retry_after_seconds=_RETRY_FULL_SECONDS,
            )
        self.count += 1
        self._deserted.clear()
        try:
            yield
        finally:
            self.count -= 1
            if self.count == 0:
                self._deserted.set()

    async def serve(self, subscriber: Subscriber, *, gap: bool) -> None:
        """Greet a subscriber and serve it until it leaves, is cut, or goodbye was said.

        `gap`: its cursor was not of this log, or the log no longer has what follows it. Raises ConnectionError
        when it has left or was cut.
        """
        position = self.hub.position(subscriber.position)
        greeting = subscriber.encoder.notice(EventKind.hello, position)
        if gap:
            greeting += subscriber.encoder.notice(EventKind.gap, position)
        subscriber.write(greeting)
        self._pump.add(subscriber)
        try:
            if self._goodbye_reason is not None:
                self._say_goodbye(subscriber, self._goodbye_reason)
            await subscriber.ended
            await subscriber.flushed()
        finally:
            self._pump.remove(subscriber)

    async def goodbye(self, reason: str) -> None:
        """End every stream: what was committed is served, then `goodbye`; whoever does not take that is cut.

        A reader far behind is not waited for: it resumes by its cursor.
        """
        if self._goodbye_reason is None:
            self._goodbye_reason = reason
            self._pump.flush()
            for subscriber in list(self._pump.subscribers):
                self._say_goodbye(subscriber, reason)
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._deserted.wait()
        except TimeoutError:
            for subscriber in list(self._pump.subscribers):
                subscriber.cut()

    def _say_goodbye(self, subscriber: Subscriber, reason: str) -> None:
        encoder = subscriber.encoder
        position, notice = (
            encoder.position(subscriber.position),
            encoder.notice(EventKind.goodbye, {"reason": reason}),
        )
        subscriber.write(position + notice)
        subscriber.end()

    # -- core tasks -------------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        """Tell every reader how far it has been served, so that a rare filter's cursor moves too.

        It also finds out who has left.
        """
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            for index, subscriber in enumerate(list(self._pump.subscribers), 1):
                if subscriber.has_room:
                    subscriber.write(subscriber.encoder.position(subscriber.position))
                if index % SLICE == 0:
                    await asyncio.sleep(0)

    async def _cut_stalled(self) -> None:
        """Cut whoever takes nothing of what waits for it."""
        while True:
            await asyncio.sleep(self._stall_seconds / _STALL_LOOKS)
            for subscriber in list(self._pump.subscribers):
                if subscriber.stalled_seconds() >= self._stall_seconds:
                    self.cut_readers += 1
                    subscriber.cut()
