"""The log, pulled: page by page from disk, for readers that the ring no longer reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from flockd.domain.event import Event
from flockd.domain.filter import EventFilter


class Log(Protocol):
    """Where events are read from."""

    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]: ...


class Page(NamedTuple):
    """The events of one page that pass the filter, and how far the page reached."""

    events: list[Event]
    position: int


async def follow(
    log: Log, wanted: EventFilter, after: int, *, page_events: int = 500, page_bytes: int = 262_144
) -> AsyncIterator[Page]:
    """What the log holds after a cursor, up to what was committed when the last page was read; then it ends.

    Each page is read and its statement closed before it is handed out: an open read cursor would pin the
    write-ahead log while a slow reader takes its time.
    """
    while page := await log.events(after, page_events, page_bytes):
        after = page[-1].seq
        yield Page([event for event in page if wanted.admits(event)], after)
