"""A connection: the socket of one client, shared by all that it has subscribed to."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from aiohttp.abc import AbstractStreamWriter

from flockd.streams.encode import chunk


class Medium(StrEnum):
    """What a stream is carried by."""

    sse = "sse"
    ndjson = "ndjson"
    websocket = "websocket"


class Connection:
    """One open socket. It holds no queue: what a client has not been sent yet is in the ring or in the log.

    Bytes go straight into its transport: no task and no await for a delivery. Whoever writes looks at `has_room`
    first; what may wait in the transport is bounded by that.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        writer: AbstractStreamWriter,
        *,
        medium: Medium,
        chunked: bool,
        buffer_bytes: int,
        ping: bytes = b"",
    ) -> None:
        """`chunked`: whether what is written is framed as chunks of HTTP/1.1. `ping`: what the client has to answer."""
        self.medium = medium
        self.chunked = chunked
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing more will be written to it."""
        self.was_cut = False
        self.written = 0
        """Bytes that were handed to the transport."""
        self._transport = transport
        self._writer = writer
        self._buffer_bytes = buffer_bytes
        # One mark for both: `drained` wakes up whoever `has_room` turned away.
        transport.set_write_buffer_limits(high=buffer_bytes)
        self._room: asyncio.Task[None] | None = None
        self._ping = ping
        self._beats = 0
        self._acknowledged = self._taken = self._taken_beats = 0
        self._moved_at = self._progress_at = asyncio.get_running_loop().time()
        self._listens = False
        self._unanswered_since: float | None = None

    @property
    def is_open(self) -> bool:
        return not self.ended.done()

    @property
    def has_room(self) -> bool:
        return self._transport.get_write_buffer_size() <= self._buffer_bytes

    def write(self, text: bytes) -> None:
        """Bytes for this client alone. The caller has looked whether there is room."""
        if text:
            self.write_framed(chunk(text) if self.chunked else text)

    def write_framed(self, data: bytes) -> None:
        """Bytes as they go over the wire. To one that has left: nothing, and the connection ends."""
        if self.ended.done():
            return
        if self._transport.is_closing():
            self.end()
            return
        self.written += len(data)
        self._transport.write(data)

    def beat(self, positions: bytes) -> None:
        """A heartbeat: how far it has been served, and a ping where it has to answer one."""
        before = self.written
        self.write(positions + self._ping)
        self._beats += self.written - before
        if self._listens and self._unanswered_since is None:
            self._unanswered_since = asyncio.get_running_loop().time()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While somebody waits for what the client sends; only then it may be missed. At the end something has come."""
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            self._unanswered_since = None

    # -- waiting ----------------------------------------------------------------------------------------------------

    async def drained(self) -> None:
        """Wait for room. Raises ConnectionError when the client has left.

        aiohttp's protocol has one future for all who wait, which any of them would cancel for the others: so one task
        waits there, and everybody waits for it.
        """
        while self._is_crowded and not self._transport.is_closing():
            if self._room is None:
                self._room = asyncio.get_running_loop().create_task(self._drain(), name="streams: room")
            await asyncio.shield(self._room)
            if self.has_room:  # not, where another one who waited has used it
                break
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")

    @property
    def _is_crowded(self) -> bool:
        """Whether the transport may have told its protocol to wait: below a quarter of the mark it says to go on."""
        return self._transport.get_write_buffer_size() > self._buffer_bytes // 4

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            return  # whoever waited sees that the transport is closing
        finally:
            self._room = None

    async def flushed(self) -> None:
        """Wait until the last byte has left. Raises ConnectionError when the client has left."""
        if not self._transport.is_closing():  # a closed one has no limits to set
            self._buffer_bytes = 0
            self._transport.set_write_buffer_limits(high=0)
        await self.drained()

    # -- clients that are gone or frozen ------------------------------------------------------------------------------

    def stalled_seconds(self) -> float:
        """How long it has had bytes to take and taken none, as seen at the calls of this method.

        What counts is what the client's system has acknowledged. Of a slow reader the transport's buffer, which moves
        by what the kernel takes at once, shows nothing for a long time; of one whose packets no longer arrive it
        shows nothing at all.
        """
        now = asyncio.get_running_loop().time()
        waiting = self._transport.get_write_buffer_size() + self._unacknowledged()
        acknowledged = self.written - waiting
        if not waiting or acknowledged > self._acknowledged:
            self._acknowledged = acknowledged
            self._moved_at = now
        if acknowledged - self._taken > self._beats - self._taken_beats:
            self._taken, self._taken_beats = acknowledged, self._beats
            self._progress_at = now
        return now - self._moved_at

    def silent_seconds(self) -> float:
        """How long it has answered no ping and taken nothing but heartbeats; 0 where nothing was asked of it.

        After `stalled_seconds`, which looks. A slow reader answers late, but takes; a frozen one, whose system takes
        what comes for as long as it has room, does neither.
        """
        if self._unanswered_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - max(self._unanswered_since, self._progress_at)

    def _unacknowledged(self) -> int:
        """Bytes in the kernel that the client's system has not taken; 0 where that cannot be known."""
        socket = self._transport.get_extra_info("socket")
        if socket is None:
            return 0
        try:
            (size,) = struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
        except (OSError, ValueError):  # not this system's way; closed meanwhile
            return 0
        return int(size)

    # -- its end ----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """End it at once: a transport that is closed in peace keeps its buffer for as long as nobody reads it."""
        self.was_cut = True
        self._transport.abort()
        self.end()

    def end(self) -> None:
        """Nothing more is written; what was, still leaves."""
        if not self.ended.done():
            self.ended.set_result(None)
