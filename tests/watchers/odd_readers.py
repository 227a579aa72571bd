"""Readers that are hardly any: one takes a byte at a time, one takes nothing. Until they are told to hurry."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import urlencode, urlsplit

import orjson

from .filters import Json
from .transports import from_block
from .watch import Item, Watch
from .watchers import opening

_RECEIVE_BYTES = 4096
"""What the kernel may hold for them, so that it is the daemon that has to."""


class OddReader:
    """One life of an SSE stream on a raw socket, over HTTP/1.0, which has no framing to read.

    `byte_seconds` is the time that it takes for a byte; None: it reads nothing. After `hurry` it reads whatever
    there still is, to the end of the stream or of what was sent before it was cut.
    """

    def __init__(self, watch: Watch, byte_seconds: float | None) -> None:
        self.watch = watch
        self.hurry = asyncio.Event()
        self.connected = asyncio.Event()
        self._byte_seconds = byte_seconds

    async def run(self, url: str) -> None:
        """Connect, read in its way, and hand what came to its watch."""
        where = urlsplit(url)
        loop = asyncio.get_running_loop()
        query, headers = opening(self.watch, by_header=False)
        lines = [
            f"GET /api/v1/events?{urlencode(query)} HTTP/1.0",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            await loop.sock_connect(connection, (where.hostname, where.port))
            await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
            self.watch.connected()
            self.connected.set()
            await self._take(connection)
        self.watch.tell(f"ends at {self.watch.cursor}")

    async def _take(self, connection: socket.socket) -> None:
        async with aclosing(self._bytes(connection)) as data, aclosing(_items(data)) as items:
            async for item in items:
                self.watch.take(item)
                if self.watch.served.is_set():
                    return

    async def _bytes(self, connection: socket.socket) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while not await self._hurried():
                if not (byte := await loop.sock_recv(connection, 1)):
                    return
                yield byte
            while data := await loop.sock_recv(connection, 1 << 16):
                yield data

    async def _hurried(self) -> bool:
        """Wait the time of a byte, or to be told to hurry: then True."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._byte_seconds):
                await self.hurry.wait()
        return self.hurry.is_set()


async def _items(data: AsyncGenerator[bytes, None]) -> AsyncGenerator[Item, None]:
    rest, has_head = b"", False
    async for piece in data:
        rest += piece
        if not has_head:
            head, end, rest_of_it = rest.partition(b"\r\n\r\n")
            if not end:
                continue
            assert head.split(b" ")[1] == b"200", head
            rest, has_head = rest_of_it, True
        *whole, rest = rest.split(b"\n\n")
        for block in whole:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            body: Json | None = orjson.loads(fields[b"data"]) if b"data" in fields else None
            yield from_block(fields.get(b"id", b"").decode(), fields.get(b"event", b"").decode(), body)
