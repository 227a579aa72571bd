"""A subscriber: a position in the log, a filter, and the transport that its frames are written to."""

from __future__ import annotations

import asyncio

from aiohttp.abc import AbstractStreamWriter

from flockd.domain.filter import EventFilter
from flockd.streams.encode import chunk


class Subscriber:
    """One open stream. It holds no queue: what it has not been served yet is in the ring or in the log."""

    def __init__(
        self,
        transport: asyncio.Transport,
        writer: AbstractStreamWriter,
        wanted: EventFilter,
        *,
        position: int,
        chunked: bool,
        buffer_bytes: int,
    ) -> None:
        self.transport = transport
        self.wanted = wanted
        self.position = position
        """Every event up to this seq has been served or does not pass the filter."""
        self.chunked = chunked
        """Whether frames are written with HTTP/1.1's chunk headers."""
        self.catching_up = False
        """A task of its own reads the log for it; the pump leaves it alone."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer = writer
        self._buffer_bytes = buffer_bytes
        self._written = 0
        self._taken = 0
        self._progress_at = asyncio.get_running_loop().time()

    @property
    def has_room(self) -> bool:
        return self.transport.get_write_buffer_size() < self._buffer_bytes

    def write(self, frames: bytes) -> None:
        """Hand frames to the transport; the caller has looked whether there is room."""
        if frames and not self.transport.is_closing():
            self._written += len(frames)
            self.transport.write(frames)

    def write_unshared(self, text: bytes) -> None:
        """A frame that is for this subscriber alone."""
        self.write(chunk(text) if self.chunked else text)

    async def drained(self) -> None:
        """When the transport takes more without growing its buffer past its own mark."""
        await self._writer.drain()

    def stalled_seconds(self) -> float:
        """How long it has had bytes to take and taken none."""
        now = asyncio.get_running_loop().time()
        waiting = self.transport.get_write_buffer_size()
        taken = self._written - waiting
        if taken != self._taken or not waiting:
            self._taken = taken
            self._progress_at = now
        return now - self._progress_at

    def cut(self) -> None:
        """End it at once: a transport that is closed in peace keeps its buffer for as long as nobody reads it."""
        self.transport.abort()
        self.end()

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
