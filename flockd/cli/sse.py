"""Server-sent events as the client reads them: bytes in, blocks out."""

from __future__ import annotations

from typing import NamedTuple


class Block(NamedTuple):
    """One block of the stream. Without data it only moves the position (a heartbeat)."""

    id: str | None
    event: str
    data: str | None


class BlockParser:
    """Bytes as they arrive to whole blocks. A block that the end of the stream cuts off is never given."""

    def __init__(self) -> None:
        self._rest = b""
        self._id: str | None = None
        self._event = "message"
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Block]:
        """The blocks that this chunk completes, in order."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [
            block for line in lines if (block := self._take(line.removesuffix(b"\r").decode())) is not None
        ]

    def _take(self, line: str) -> Block | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                self._id = value
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
        return None

    def _end(self) -> Block | None:
        block = Block(self._id, self._event, "\n".join(self._data) if self._data else None)
        self._id, self._event, self._data = None, "message", []
        return None if block.id is None and block.data is None else block
