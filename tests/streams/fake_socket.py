"""A socket whose client takes bytes when the test says so, as a transport and as aiohttp's writer on it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp.abc import AbstractStreamWriter

from flockd.cli.sse import Block, BlockParser


class FakeSocket(asyncio.Transport):
    """Keeps what is written until it is taken. Flow control is asyncio's: paused above `high`, on again at `low`."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        """What the client has got."""
        self.most = 0
        """The most that ever waited here."""
        self._waiting = bytearray()
        self._parser = BlockParser()
        self._high = self._low = 0
        self._paused: asyncio.Future[None] | None = None
        self._closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self._high, self._low = high, high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def write(self, data: Any) -> None:
        assert not self._closing
        self._waiting += data
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) > self._high and self._paused is None:
            self._paused = asyncio.get_running_loop().create_future()

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
        self.blocks += self._parser.feed(taken)
        if len(self._waiting) <= self._low:
            self._resume()

    def _resume(self) -> None:
        if self._paused is not None:
            self._paused.set_result(None)
            self._paused = None
