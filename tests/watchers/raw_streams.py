"""Open streams of every transport on bare sockets, so that a test has the socket itself in hand."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

Transport = Literal["sse", "ndjson", "websocket"]
TRANSPORTS: tuple[Transport, ...] = ("sse", "ndjson", "websocket")

_EVENTS = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
_UPGRADE = (
    "GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
_GREETING_SECONDS = 30.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time. Closing such a socket sends a RST."""


class RawStream:
    """One open stream of everything that is new, after its greeting. Over WebSocket: one subscription."""

    def __init__(
        self, transport: Transport, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytes
    ) -> None:
        self.transport = transport
        self.heard = heard
        """All that was received: framing and all."""
        self._reader = reader
        self._writer = writer

    def leave(self) -> None:
        """Close the socket in good order: the daemon gets a FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Be gone without a word: the daemon gets a RST."""
        bare: socket.socket = self._writer.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def end(self) -> bytes:
        """Read to the end that the daemon makes: everything that was heard."""
        self.heard += await self._reader.read()
        return self.heard


@asynccontextmanager
async def open_streams(
    url: str, transports: Sequence[Transport], *, receive_bytes: int | None = None
) -> AsyncIterator[list[RawStream]]:
    """A stream of each of these, greeted. Whatever is still open at the end is closed.

    With `receive_bytes` nobody reads on by itself, and the kernel takes no more than about that for each of them.
    """
    async with AsyncExitStack() as stack:
        yield [await _open(stack, url, transport, receive_bytes) for transport in transports]


async def _open(
    stack: AsyncExitStack, url: str, transport: Transport, receive_bytes: int | None
) -> RawStream:
    where = urlsplit(url)
    bare = stack.enter_context(socket.socket())
    bare.setblocking(False)
    if receive_bytes is not None:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(bare, (where.hostname, where.port))
    reader, writer = await asyncio.open_connection(sock=bare, limit=receive_bytes or 1 << 20)
    stack.callback(writer.close)
    if transport == "websocket":
        writer.write(_UPGRADE.encode())
        heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(_masked(b'{"action":"subscribe","id":"s"}'))
    else:
        accept = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[transport]
        writer.write(_EVENTS.format(accept=accept).encode())
        heard = await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(_GREETING_SECONDS):
        heard += await reader.readuntil(b"hello")
    return RawStream(transport, reader, writer, heard)


def _masked(text: bytes) -> bytes:
    """One text message as a client frames it (RFC 6455, 5.2), under a mask of zeros."""
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text
