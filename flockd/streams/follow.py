"""The log, pulled: page by page, for readers that the ring no longer reaches and for watchers inside the process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol, Self

import orjson

from flockd.domain.event import ENDED, Event
from flockd.domain.filter import EventFilter
from flockd.streams.hub import Hub

PAGE_EVENTS = 500
PAGE_BYTES = 256 * 1024


class Position(Protocol):
    """Where a log stands: `flockd.store.reads.LogPosition`."""

    @property
    def complete_from(self) -> int: ...


class Log(Protocol):
    """Where events are read from: `flockd.store.reads.Reads`."""

    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]:
        """What follows this seq, in order: at most `limit` events and about `max_bytes`; empty at the end."""
        ...

    async def correlation_events(
        self, correlation_id: str, after: int, limit: int, max_bytes: int
    ) -> list[Event]:
        """The same of one correlation alone."""
        ...

    async def log_position(self) -> Position: ...


class End(NamedTuple):
    """Where the stream of a workflow ends: with the first end of a round that is this one or a later one.

    A round that is over has its end in the log already, one that is open will have it: the log alone says when.
    """

    correlation_id: str
    round: int
    emptied_times: int = 0
    """The hub's, when the workflow was looked up: a board that was emptied since has no such workflow any more."""

    def is_at(self, event: Event) -> bool:
        if event.kind not in ENDED or event.correlation_id != self.correlation_id:
            return False
        return bool(orjson.loads(event.data)["round"] >= self.round)


class Page(NamedTuple):
    """The events of one page that pass the filter, and how far the page reached."""

    events: list[Event]
    position: int
    is_last: bool = False
    """The end was reached: the page ends with it, whether or not it passes the filter."""


async def read_page(
    log: Log,
    wanted: EventFilter,
    after: int,
    *,
    end: End | None = None,
    page_events: int = PAGE_EVENTS,
    page_bytes: int = PAGE_BYTES,
) -> Page | None:
    """One page of what follows; None where nothing does. What is about one workflow reads no other's events.

    It is read and its statement closed before it is handed out: an open read cursor would pin the write-ahead log
    while a slow reader takes its time.
    """
    correlation_id = wanted.correlation_id
    if correlation_id is None:
        events = await log.events(after, page_events, page_bytes)
    else:
        events = await log.correlation_events(correlation_id, after, page_events, page_bytes)
    if not events:
        return None
    admitted = []
    for event in events:
        if wanted.admits(event):
            admitted.append(event)
        if end is not None and end.is_at(event):
            return Page(admitted, event.seq, is_last=True)
    return Page(admitted, events[-1].seq)


async def told_page(
    hub: Hub,
    log: Log,
    wanted: EventFilter,
    after: int,
    *,
    end: End | None = None,
    page_events: int = PAGE_EVENTS,
    page_bytes: int = PAGE_BYTES,
) -> Page | None:
    """One page from disk, when the hub has been told of all that is in it.

    None where the log was emptied meanwhile: then the caller looks at the hub again. The disk is ahead of the hub by
    what was committed just now; whether the board was emptied before that, the hub says first: only then is it known
    that a page has no hole before it.
    """
    head, complete_from = hub.head, hub.complete_from
    page = await read_page(log, wanted, after, end=end, page_events=page_events, page_bytes=page_bytes)
    if page is not None:
        while hub.head < page.position:
            await hub.news()
    elif wanted.correlation_id is not None and (await log.log_position()).complete_from == complete_from:
        # Nothing of this workflow up to the head, and not because the log had been emptied.
        page = Page([], max(after, head))
    elif hub.complete_from == complete_from:
        await hub.news()  # the log has just been emptied, and the hub is about to be told
    return page if hub.complete_from == complete_from else None


class follow:
    """What the log holds after a cursor, up to what was committed when the last page was read; then it ends.

    A class and not a generator, because the frame of a generator would hold the page for as long as its reader
    takes. Lower case, as it is read: `async for page in follow(…)`.
    """

    def __init__(
        self,
        log: Log,
        wanted: EventFilter,
        after: int,
        *,
        page_events: int = PAGE_EVENTS,
        page_bytes: int = PAGE_BYTES,
    ) -> None:
        self._log = log
        self._wanted = wanted
        self._after = after
        self._page_events = page_events
        self._page_bytes = page_bytes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        page = await read_page(
            self._log,
            self._wanted,
            self._after,
            page_events=self._page_events,
            page_bytes=self._page_bytes,
        )
        if page is None:
            raise StopAsyncIteration
        self._after = page.position
        return page


async def live(hub: Hub, log: Log, wanted: EventFilter, after: int) -> AsyncGenerator[Page, None]:
    """What the log holds after a cursor, and then whatever is committed, for ever: for watchers inside the process.

    Pages come in order, without a gap or a repeat; one may be without events and only say how far it reached. Where
    the log was emptied, or no longer holds what follows the cursor, it goes on from where it is complete: the page
    before and the page after show that in their seqs. Live text, which is in no log, is not told.
    """
    while True:
        after = max(after, hub.complete_from - 1)
        if hub.head <= after:
            await hub.news()
            continue
        frames = hub.frames_after(after, PAGE_EVENTS)
        if frames is None:
            page = await told_page(hub, log, wanted, after)
            if page is None:
                continue
        else:
            events = [frame.event for frame in frames]
            page = Page([event for event in events if wanted.admits(event)], events[-1].seq)
            del frames, events  # not held while the reader works
        after = page.position
        yield page
        del page
