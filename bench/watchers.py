"""The subscribers' process: `python -m bench.watchers` reads one order per line and answers each with one line.

It is no client that anybody would write: it opens raw connections, looks for one piece of text in what arrives and
counts it. So thousands of subscribers cost it little, and the same for whoever is measured.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import socket
import sys
import time
from array import array
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
import uvloop

from bench.load import percentile

PUBLISHED = '"kind":"artifact.published"'
ENDED = '"kind":"correlation.completed"'

_GREETING = b'"kind":"hello"'
_HEAD_END = b"\r\n\r\n"
_STATUS = slice(9, 12)
"""Where an answer has its status."""
_STAMP = b'"at":"'
_STAMP_BYTES = len("2026-11-21T07:00:00.000Z")
_OPENING_AT_ONCE = 64
_LIMIT_SECONDS = 120.0
"""For one step: a subscriber that never gets its event must not hang the suite."""
_PROBES = 100
"""Subscribers of a crowd that also look at the time."""
_STALLED_BUFFER_BYTES = 4096


@dataclass(frozen=True)
class Crowd:
    """Subscribers that want the same. `message` is what each sends once its WebSocket is open."""

    host: str
    port: int
    path: str
    message: str | None
    count: int = 1
    needle: str = PUBLISHED


@dataclass(frozen=True)
class Delivered:
    """What a crowd got of events that were published one after the other, each when all had the one before."""

    posts: int
    deliveries: int
    seconds: float
    p50_ms: float
    p99_ms: float
    """From the event's own stamp, which has whole milliseconds, to its first byte at the subscriber."""

    @property
    def rate(self) -> float:
        """Events × subscribers a second."""
        return self.deliveries / self.seconds


@dataclass(frozen=True)
class Replayed:
    """How long one subscriber took for the whole log."""

    seconds: float
    received_bytes: int


class OpenCrowd:
    """The open connections of one crowd."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.needle = crowd.needle.encode()
        self.members: list[Watcher] = []
        self.taken_ns = array("q")
        self.received_bytes = 0
        self._missing = 0
        self._complete: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Connect all, and wait until each was greeted."""
        every = max(1, self.crowd.count // _PROBES)
        places = asyncio.Semaphore(_OPENING_AT_ONCE)

        async def enter(number: int) -> Watcher:
            async with places, asyncio.timeout(_LIMIT_SECONDS):
                return await self._enter(probe=number % every == 0)

        self.members = await asyncio.gather(*(enter(number) for number in range(self.crowd.count)))

    async def _enter(self, *, probe: bool) -> Watcher:
        loop = asyncio.get_running_loop()
        crowd = self.crowd
        _, watcher = await loop.create_connection(lambda: Watcher(self, loop, probe), crowd.host, crowd.port)
        await watcher.greeted
        return watcher

    def expect(self, deliveries: int) -> asyncio.Future[None]:
        """Done when so many pieces have arrived from now on. Before what brings them is sent."""
        self._missing += deliveries
        self._complete = asyncio.get_running_loop().create_future()
        return self._complete

    def arrived(self, pieces: int) -> None:
        self._missing -= pieces
        if self._missing <= 0 and self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    def lose(self, error: Exception) -> None:
        """A connection broke, which none of these may."""
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(error)

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.members = []


class Watcher(asyncio.Protocol):
    """One subscriber. It speaks first as its crowd's path and message say, and counts what comes then."""

    def __init__(self, opened: OpenCrowd, loop: asyncio.AbstractEventLoop, probe: bool) -> None:
        self.greeted: asyncio.Future[None] = loop.create_future()
        self._opened = opened
        self._probe = probe
        self._needle = opened.needle
        self._overlap = len(opened.needle) - 1
        self._head = bytearray()
        self._upgraded = False
        self._tail = b""
        self._closing = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        crowd = self._opened.crowd
        lines = [f"GET {crowd.path} HTTP/1.1", f"Host: {crowd.host}:{crowd.port}"]
        if crowd.message is None:
            lines.append("Accept: text/event-stream")
        else:
            key = base64.b64encode(os.urandom(16)).decode()
            lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            lines.append(f"Sec-WebSocket-Key: {key}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing:
            return
        error = ConnectionError(
            f"a subscriber was cut off: {exc or self._head[-500:].decode(errors='replace')}"
        )
        if not self.greeted.done():
            self.greeted.set_exception(error)
        self._opened.lose(error)

    def data_received(self, data: bytes) -> None:
        if not self.greeted.done():
            self._read_greeting(data)
            return
        self._count(data)

    def _read_greeting(self, data: bytes) -> None:
        """What follows the greeting in the same read is counted, too: replays begin at once."""
        self._head += data
        message = self._opened.crowd.message
        if len(self._head) >= _STATUS.stop and self._head[_STATUS] != (b"200" if message is None else b"101"):
            self._transport.close()  # `connection_lost` says what came
            return
        if message is not None and not self._upgraded and _HEAD_END in self._head:
            self._upgraded = True
            self._transport.write(masked(message.encode()))
        greeting = self._head.find(_GREETING)
        if greeting >= 0:
            self.greeted.set_result(None)
            self._count(bytes(self._head[greeting + len(_GREETING) :]))
            self._head.clear()

    def _count(self, data: bytes) -> None:
        opened = self._opened
        opened.received_bytes += len(data)
        pieces = data.count(self._needle) + (self._tail + data[: self._overlap]).count(self._needle)
        self._tail = (self._tail + data[-self._overlap :])[-self._overlap :]
        if not pieces:
            return
        if self._probe:
            at = data.find(_STAMP) + len(_STAMP)
            if at >= len(_STAMP):
                opened.taken_ns.append(time.time_ns() - stamped_ns(data[at : at + _STAMP_BYTES]))
        opened.arrived(pieces)

    def close(self) -> None:
        self._closing = True
        self._transport.abort()


class Poster(asyncio.Protocol):
    """One keep-alive connection that sends the same POST again and again."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Whoever is measured answers in one piece, as small answers on loopback come."""
        if self._answered is None or self._answered.done():
            return
        if data[_STATUS] == b"200":
            self._answered.set_result(None)
        else:
            self._answered.set_exception(ConnectionError(data.decode(errors="replace")[:2_000]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the publisher was cut off: {exc}"))

    def post(self, wire: bytes) -> asyncio.Future[None]:
        """Done when the answer is there."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(wire)
        return self._answered

    def close(self) -> None:
        self._transport.close()


class Watchers:
    """All that this process has open, by the names that the parent gives."""

    def __init__(self) -> None:
        self._crowds: dict[str, OpenCrowd] = {}
        self._stalled: dict[str, socket.socket] = {}

    async def open(self, name: str, crowd: dict[str, Any]) -> None:
        opened = self._crowds[name] = OpenCrowd(Crowd(**crowd))
        await opened.open()

    async def deliver(self, name: str, wire: str, events: int, seconds: float) -> Delivered:
        """Send the POST, which makes so many events, whenever all have got what the last one made."""
        opened = self._crowds[name]
        subscribers, request = len(opened.members), wire.encode()
        crowd = opened.crowd
        loop = asyncio.get_running_loop()
        _, poster = await loop.create_connection(Poster, crowd.host, crowd.port)
        del opened.taken_ns[:]
        posts, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            complete = opened.expect(subscribers * events)
            async with asyncio.timeout(_LIMIT_SECONDS):
                await asyncio.gather(poster.post(request), complete)
            posts += 1
        taken = time.monotonic() - began
        poster.close()
        ordered = sorted(opened.taken_ns)
        return Delivered(
            posts,
            posts * events * subscribers,
            taken,
            percentile(ordered, 0.50) / 1e6,
            percentile(ordered, 0.99) / 1e6,
        )

    async def replay(self, crowd: dict[str, Any], pieces: int) -> Replayed:
        """Open one subscriber and time it until so many pieces have arrived."""
        opened = OpenCrowd(Crowd(**crowd))
        complete = opened.expect(pieces)
        began = time.monotonic()
        async with asyncio.timeout(_LIMIT_SECONDS):
            await opened.open()
            await complete
        taken = time.monotonic() - began
        opened.close()
        return Replayed(taken, opened.received_bytes)

    async def stall(self, name: str, host: str, port: int, path: str) -> None:
        """Open a stream and never read it."""
        reader = self._stalled[name] = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BUFFER_BYTES)
        reader.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(reader, (host, port))
        await loop.sock_sendall(reader, f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())

    async def close(self, name: str) -> None:
        """Leave, as somebody who pulls the plug."""
        if name in self._crowds:
            self._crowds.pop(name).close()
        if name in self._stalled:
            self._stalled.pop(name).close()


def stamped_ns(stamp: bytes) -> int:
    """The time of an event's `at`."""
    return int(datetime.fromisoformat(stamp.decode()).timestamp() * 1000) * 1_000_000


def masked(message: bytes) -> bytes:
    """A text message from a client; with a mask of zeros it stays as it is."""
    size = len(message)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + message


async def serve() -> None:
    """Carry out orders until the parent closes standard input."""
    loop = asyncio.get_running_loop()
    watchers = Watchers()
    gc.disable()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order = orjson.loads(line)
        try:
            answer = {"gave": await getattr(watchers, order.pop("order"))(**order)}
        except (OSError, TimeoutError) as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    uvloop.run(serve())
