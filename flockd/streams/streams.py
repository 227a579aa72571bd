"""The streams: who may open one, the tasks that serve them, and how all of them end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Self

from flockd.domain.event import EventKind
from flockd.errors import Unavailable
from flockd.streams.connection import Connection, Medium
from flockd.streams.follow import Log
from flockd.streams.hub import Hub
from flockd.streams.pump import Pump
from flockd.streams.subscription import Subscription

_SLICE = 256
"""Connections looked at before the loop may do something else."""
_GOODBYE_SECONDS = 1.0
"""How long the last bytes may take to leave at shutdown."""
_RETRY_FULL_SECONDS = 10
"""When a client that found no place may try again."""
_STALL_LOOKS = 8
"""How often a reader is looked at in the time after which it counts as stalled: it is cut at most 1/8 late."""


class StreamLimits(NamedTuple):
    """The settings of these names in `[streams]`."""

    subscribers: int
    subscribers_per_address: int
    subscriptions_per_socket: int
    message_bytes: int
    filter_values: int
    filter_chars: int


class StreamFigures(NamedTuple):
    """The streams at one moment. What is counted is counted since the process began."""

    subscribers: Mapping[str, int]
    """Open streams by medium; every medium is named."""
    events_sent: int
    bytes_sent: int
    lag_events: int
    """How far the slowest reader is behind the head of the log; 0 where nobody reads."""
    disk_readers: int
    """Readers that are served from disk, because the ring does not reach back to them."""
    cut_readers: int
    """Streams that were cut because their readers took nothing."""


class Streams:
    """An async context manager that owns every open stream and the tasks that serve them."""

    def __init__(
        self,
        hub: Hub,
        reads: Log,
        *,
        limits: StreamLimits,
        heartbeat_seconds: float,
        stall_seconds: float,
        buffer_bytes: int,
        page_events: int,
        page_bytes: int,
    ) -> None:
        self.hub = hub
        self.limits = limits
        self.buffer_bytes = buffer_bytes
        """What may wait in one connection's transport before it counts as full."""
        self.tasks: list[asyncio.Task[None]] = []
        """Core tasks: one that ends is fatal."""
        self.cut_readers = 0
        """Connections that were cut because they took nothing."""
        self.count = 0
        """Open streams."""
        self.goodbye_reason: str | None = None
        """Why all streams end; None while they do not."""
        self._pump = Pump(
            hub, reads, write_bytes=buffer_bytes, page_events=page_events, page_bytes=page_bytes
        )
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._connections: dict[Connection, set[Subscription]] = {}
        self._addresses: Counter[str] = Counter()
        self._events_sent = self._bytes_sent = 0
        """By those that are closed."""
        self._deserted = asyncio.Event()
        self._deserted.set()

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
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._pump.close()

    # -- who is served ----------------------------------------------------------------------------------------------

    @contextmanager
    def place(self, address: str | None = None) -> Iterator[None]:
        """A place for one stream of a client at this address.

        Raises Unavailable when all are taken, or all that one address may have, or the daemon is ending.
        """
        if self.goodbye_reason is not None:
            raise Unavailable("The daemon is shutting down.")
        address = address or ""
        limits = self.limits
        if self.count >= limits.subscribers:
            raise _full(f"{limits.subscribers} streams are open (streams.subscribers)")
        if self._addresses[address] >= limits.subscribers_per_address:
            raise _full(
                f"{limits.subscribers_per_address} streams of your address are open "
                "(streams.subscribers_per_address)"
            )
        self.count += 1
        self._addresses[address] += 1
        self._deserted.clear()
        try:
            yield
        finally:
            self.count -= 1
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            if self.count == 0:
                self._deserted.set()

    @contextmanager
    def connected(self, connection: Connection) -> Iterator[None]:
        """Look after a connection: heartbeats, the cut when it stalls, its end with all that it has subscribed to."""
        self._connections[connection] = set()
        try:
            yield
        finally:
            connection.end()
            for subscription in list(self._connections[connection]):
                self.close(subscription)
            del self._connections[connection]
            self._bytes_sent += connection.written

    def open(self, subscription: Subscription, *, gap: bool) -> None:
        """Greet a subscription of a connection that is looked after, and serve it from now on.

        `gap`: its cursor was not of this log, or the log no longer has what follows it.
        """
        position = self.hub.position(subscription.position)
        greeting = subscription.encoder.notice(EventKind.hello, position)
        if gap:
            greeting += subscription.encoder.notice(EventKind.gap, position)
        subscription.connection.write(greeting)
        self._connections[subscription.connection].add(subscription)
        self._pump.add(subscription)
        if self.goodbye_reason is not None:  # while it was being connected
            self._say_goodbye(subscription, self.goodbye_reason)
            subscription.connection.end()

    def close(self, subscription: Subscription) -> None:
        """Nothing more of it is sent from now on."""
        self._pump.remove(subscription)
        self._connections[subscription.connection].discard(subscription)
        self._events_sent += subscription.sent

    async def serve(self, subscription: Subscription, *, gap: bool) -> None:
        """Serve a connection's only subscription until the client leaves, is cut, it is over, or goodbye was said.

        Raises ConnectionError when the client has left or was cut.
        """
        connection = subscription.connection
        with self.connected(connection):
            self.open(subscription, gap=gap)
            await connection.ended
            await connection.flushed()

    def figures(self) -> StreamFigures:
        """For the metrics."""
        subscriptions = self._pump.subscriptions
        media = Counter(connection.medium for connection in self._connections)
        return StreamFigures(
            subscribers={medium.value: media[medium] for medium in Medium},
            events_sent=self._events_sent + sum(one.sent for one in subscriptions),
            bytes_sent=self._bytes_sent + sum(one.written for one in self._connections),
            lag_events=max((self.hub.head - one.position for one in subscriptions), default=0),
            disk_readers=sum(one.reads_disk for one in subscriptions),
            cut_readers=self.cut_readers,
        )

    # -- their end --------------------------------------------------------------------------------------------------

    async def goodbye(self, reason: str) -> None:
        """End every stream: what was committed is served, then `goodbye`; whoever does not take that is cut.

        A reader far behind is not waited for: it resumes by its cursor.
        """
        if self.goodbye_reason is None:
            self.goodbye_reason = reason
            self._pump.flush()
            for connection, subscriptions in list(self._connections.items()):
                for subscription in list(subscriptions):
                    self._say_goodbye(subscription, reason)
                connection.end()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._deserted.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cut()

    def _say_goodbye(self, subscription: Subscription, reason: str) -> None:
        encoder = subscription.encoder
        position = encoder.position(subscription.position)
        notice = encoder.notice(EventKind.goodbye, {"reason": reason})
        subscription.connection.write(position + notice)

    # -- core tasks -------------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        """Tell every reader how far it has been served, so that a rare filter's cursor moves too.

        It also finds out who has left, and asks those for an answer who have to give one.
        """
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            for index, (connection, subscriptions) in enumerate(list(self._connections.items()), 1):
                if connection.has_room:
                    connection.beat(b"".join([one.encoder.position(one.position) for one in subscriptions]))
                if index % _SLICE == 0:
                    await asyncio.sleep(0)

    async def _cut_stalled(self) -> None:
        """Cut whoever takes nothing of what waits for it, and whoever neither takes nor answers."""
        while True:
            await asyncio.sleep(self._stall_seconds / _STALL_LOOKS)
            for index, connection in enumerate(list(self._connections), 1):
                idle = max(connection.stalled_seconds(), connection.silent_seconds())
                if idle >= self._stall_seconds and not connection.was_cut:
                    self.cut_readers += 1
                    connection.cut()
                if index % _SLICE == 0:
                    await asyncio.sleep(0)


def _full(sentence: str) -> Unavailable:
    return Unavailable(f"{sentence}; try again later.", retry_after_seconds=_RETRY_FULL_SECONDS)
