"""The log, pulled: page by page from disk, for readers that the ring no longer reaches."""

from __future__ import annotations

from typing import NamedTuple, Protocol, Self

from flockd.domain.event import Event
from flockd.domain.filter import EventFilter


class Log(Protocol):
    """Where events are read from: `flockd.store.reads.Reads`."""

    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]:
        """What follows this seq, in order: at most `limit` events and about `max_bytes`; empty at the end."""
        ...


class Page(NamedTuple):
    """The events of one page that pass the filter, and how far the page reached."""

    events: list[Event]
    position: int


class follow:
    """What the log holds after a cursor, up to what was committed when the last page was read; then it ends.

    Each page is read and its statement closed before it is handed out: an open read cursor would pin the
    write-ahead log while a slow reader takes its time. A class and not a generator, because the frame of a
    generator would hold the page for as long as that takes. Lower case, as it is read: `async for page in follow(…)`.
    """

    def __init__(
        self,
        log: Log,
        wanted: EventFilter,
        after: int,
        *,
        page_events: int = 500,
        page_bytes: int = 256 * 1024,
    ) -> None:
        self._log = log
        self._wanted = wanted
        self._after = after
        self._page_events = page_events
        self._page_bytes = page_bytes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        events = await self._log.events(self._after, self._page_events, self._page_bytes)
        if not events:
            raise StopAsyncIteration
        self._after = events[-1].seq
        return Page([event for event in events if self._wanted.admits(event)], self._after)
