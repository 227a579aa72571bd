"""What the program of an MCP server says on its standard error: its log, which goes into ours."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LINE_CHARACTERS = 2000
_REST_BYTES = 1 << 16
"""What is kept of a line that has no end yet: more than is told, so that no secret is cut before it is taken out."""
_LAST_LINES = 20
"""What is told again, louder, where the server is lost."""


class Stderr:
    """A context manager; `file` is for the program. It never makes the program wait longer than a loop's turn."""

    def __init__(
        self, server: str, log: logging.LoggerAdapter[logging.Logger], redacted: Callable[[str], str]
    ) -> None:
        """`redacted` takes out of a line what the program was told in confidence."""
        self._server = server
        self._log = log
        self._redacted = redacted
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._rest = b""

    def __enter__(self) -> Self:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.file = os.fdopen(write, "w")
        asyncio.get_running_loop().add_reader(self._read, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        asyncio.get_running_loop().remove_reader(self._read)
        self._take()
        self._say(self._rest)
        os.close(self._read)

    @property
    def last_words(self) -> str:
        return "\n".join(self._last)

    def _take(self) -> None:
        try:
            said = os.read(self._read, 1 << 16)
        except BlockingIOError:
            return
        if not said:  # a child of the program's may have held it open longer than we do
            asyncio.get_running_loop().remove_reader(self._read)
            return
        *lines, self._rest = (self._rest + said).split(b"\n")
        self._rest = self._rest[:_REST_BYTES]
        for line in lines:
            self._say(line)

    def _say(self, line: bytes) -> None:
        if text := self._redacted(line.decode(errors="replace").rstrip())[:_LINE_CHARACTERS]:
            self._last.append(text)
            self._log.debug("MCP server %s: %s", self._server, text)
