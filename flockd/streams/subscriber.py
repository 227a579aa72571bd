"""A subscriber: a position in the log, a filter, and the transport that its frames are written to."""

from __future__ import annotations

import asyncio

from aiohttp.abc import AbstractStreamWriter

from flockd.domain.filter import EventFilter
from flockd.streams.encode import Encoder, chunk


class Subscriber:
    """One open stream. It holds no queue: what it has not been served yet is in the ring or in the log."""

    def __init__(
        self,
        transport: asyncio.Transport,
        writer: AbstractStreamWriter,
        wanted: EventFilter,
        encoder: Encoder,
        *,
        position: int,
        chunked: bool,
        buffer_bytes: int,
    ) -> None:
        self.wanted = wanted
        self.encoder = encoder
        self.position = position
        """Every event up to this seq has been served or does not pass the filter."""
        self.chunked = chunked
        """Whether what is written is framed as chunks of HTTP/1.1."""
        self.is_behind = False
        """A task of its own waits for room or reads the log for it; the pump leaves it alone."""
        self.missed: set[str] = set()
        """Runs of whose live text it lacks a part: it gets what they have written so far before more of it."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing more will be written to it."""
        self._transport = transport
        self._writer = writer
        self._buffer_bytes = buffer_bytes
        # One mark for both: `drained` wakes up whoever `has_room` turned away.
        transport.set_write_buffer_limits(high=buffer_bytes)
        self._written = 0
        self._taken = 0
        self._progress_at = asyncio.get_running_loop().time()

    @property
    def is_live(self) -> bool:
        """Whether the pump serves it."""
        return not (self.is_behind or self.ended.done())

    @property
    def has_room(self) -> bool:
        return self._transport.get_write_buffer_size() <= self._buffer_bytes

    def write(self, text: bytes) -> None:
        """Frames for this subscriber alone. The caller has looked whether there is room."""
        if text:
            self.write_framed(chunk(text) if self.chunked else text)

    def write_framed(self, data: bytes) -> None:
        """Bytes as they go over the wire. To one that has left: nothing, and the stream ends."""
        if self.ended.done():
            return
        if self._transport.is_closing():
            self.end()
            return
        self._written += len(data)
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait for room. One waiter at a time: aiohttp's protocol has one future for all of them.

        Raises ConnectionError when the client has left.
        """
        await self._writer.drain()
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")

    async def flushed(self) -> None:
        """Wait until the last byte has left. Raises ConnectionError when the client has left."""
        if not self._transport.is_closing():  # a closed one has no limits to set
            self._transport.set_write_buffer_limits(high=0)
        await self.drained()

    def stalled_seconds(self) -> float:
        """How long it has had bytes to take and taken none, as seen at the calls of this method."""
        now = asyncio.get_running_loop().time()
        waiting = self._transport.get_write_buffer_size()
        taken = self._written - waiting
        if taken != self._taken or not waiting:
            self._taken = taken
            self._progress_at = now
        return now - self._progress_at

    def cut(self) -> None:
        """End it at once: a transport that is closed in peace keeps its buffer for as long as nobody reads it."""
        self._transport.abort()
        self.end()

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
