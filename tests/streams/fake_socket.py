"""A socket whose client takes bytes when the test says so, as a transport and as aiohttp's writer on it.

Its client reads Server-Sent Events, or the messages of a WebSocket, which it takes apart into the same blocks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, cast

import orjson
from aiohttp.abc import AbstractStreamWriter

from flockd.cli.sse import Block, BlockParser


class MessageParser:
    """What a server sends over a WebSocket, as blocks by subscription."""

    def __init__(self) -> None:
        self.blocks: defaultdict[str, list[Block]] = defaultdict(list)
        self._waiting = b""

    def feed(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._end()) is not None:
            start = 2 if self._waiting[1] < 126 else 4
            message = orjson.loads(self._waiting[start:end])
            self._waiting = self._waiting[end:]
            blocks = self.blocks[message["subscription"]]
            if message["type"] == "position":
                blocks.append(Block(str(message["seq"]), "", None))
            else:
                event = message["event"]
                seq = event.get("seq")
                blocks.append(Block(str(seq) if seq else None, event["kind"], orjson.dumps(event).decode()))

    def _end(self) -> int | None:
        """Where the first message ends; None where it has not all come."""
        if len(self._waiting) < 4:
            return None
        size, start = self._waiting[1], 2
        assert self._waiting[0] == 0x81 and size < 127
        if size == 126:
            size, start = int.from_bytes(self._waiting[2:4]), 4
        return start + size if len(self._waiting) >= start + size else None


class FakeSocket(asyncio.Transport):
    """Keeps what is written until it is taken. Flow control is asyncio's: paused above `high`, on again at `low`."""

    def __init__(self, messages: MessageParser | None = None) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        """What the client has got."""
        self.most = 0
        """The most that ever waited here."""
        self.messages = messages
        """Of a WebSocket; None where it is Server-Sent Events."""
        self._waiting = bytearray()
        self._parser = BlockParser()
        self._high = self._low = 0
        self._paused: asyncio.Future[None] | None = None
        self._closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self._high, self._low = high, high // 4 if low is None else low
        self._pause_if_full()

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def write(self, data: Any) -> None:
        assert not self._closing
        self._waiting += data
        self.most = max(self.most, len(self._waiting))
        self._pause_if_full()

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._closing = True
        self._waiting.clear()
        self._resume()

    async def drain(self) -> None:
        """What `AbstractStreamWriter.drain` does."""
        if self._paused is not None:
            await asyncio.shield(self._paused)

    @property
    def writer(self) -> AbstractStreamWriter:
        """The only part of a writer that streams use is `drain`."""
        return cast(AbstractStreamWriter, self)

    def take(self, size: int) -> None:
        """The client reads up to so many bytes."""
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        if self.messages is None:
            self.blocks += self._parser.feed(taken)
        else:
            self.messages.feed(taken)
        if len(self._waiting) <= self._low:
            self._resume()

    def _pause_if_full(self) -> None:
        if len(self._waiting) > self._high and self._paused is None:
            self._paused = asyncio.get_running_loop().create_future()

    def _resume(self) -> None:
        if self._paused is not None:
            self._paused.set_result(None)
            self._paused = None
