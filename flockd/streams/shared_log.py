"""The log as the readers who are behind share it: what one of them has read serves the others too."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from operator import attrgetter

from flockd.domain.event import Event
from flockd.streams.follow import Log, Position

_PAGES = 8
"""Pages that are kept. After a restart everybody comes back with nearly the same cursor."""


class SharedLog:
    """A `Log` in front of another one, where one reads at a time, and one more of those who follow a workflow.

    However many are behind: whoever asks the board something does not wait for the disk behind all of them, and in
    one turn of the loop they take no more of its time than one would.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._turn = asyncio.Lock()
        self._workflows_turn = asyncio.Lock()
        self._pages: deque[tuple[int, list[Event]]] = deque(maxlen=_PAGES)
        """Each with the seq that it follows, and without a hole from there."""

    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]:
        """As of any log, but that a page ends where those of others end: at a multiple of `limit`."""
        async with self._turn:
            for start, page in reversed(self._pages):
                if start <= after < page[-1].seq:
                    await asyncio.sleep(0)  # the next one has the next turn of the loop
                    return page[bisect_right(page, after, key=attrgetter("seq")) :]
            page = await self._log.events(after, limit - after % limit, max_bytes)
            if page:
                self._pages.append((after, page))
            return page

    async def correlation_events(
        self, correlation_id: str, after: int, limit: int, max_bytes: int
    ) -> list[Event]:
        async with self._workflows_turn:
            return await self._log.correlation_events(correlation_id, after, limit, max_bytes)

    async def log_position(self) -> Position:
        return await self._log.log_position()
