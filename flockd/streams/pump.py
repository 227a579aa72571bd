"""One pump for all sockets: after each commit, one write per subscriber with everything that is new for it.

A subscriber is live only while its next event is in the ring, which is looked up and served without an await in
between. One that falls off the ring, or has no room, gets a task of its own that waits for room and reads from disk,
page by page, and then hands it back. It delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from flockd.domain.event import Event, EventKind
from flockd.streams.follow import Log, Page, follow
from flockd.streams.hub import Frame, Hub
from flockd.streams.live_text import CLOSING, LiveTexts
from flockd.streams.rounds import Live, Round
from flockd.streams.subscriber import Subscriber

log = logging.getLogger(__name__)

SLICE = 256
"""Subscribers served before the loop may do something else."""


class Pump:
    """Serves subscribers between `add` and `remove`, while `run` runs."""

    def __init__(self, hub: Hub, reads: Log, *, write_bytes: int, page_events: int, page_bytes: int) -> None:
        self.subscribers: set[Subscriber] = set()
        self.catch_ups: set[asyncio.Task[None]] = set()
        """One task for each subscriber that is behind."""
        self._hub = hub
        self._reads = reads
        self._write_bytes = write_bytes
        self._page_events = page_events
        self._page_bytes = page_bytes
        self._bell = asyncio.Event()
        self._due: set[Subscriber] = set()
        """Those to be served although nothing happened: they came, came back, or did not get all in one write."""
        self._everyone = False
        self._texts = LiveTexts()
        self._happened: list[tuple[int, Event]] = []
        """What `_texts` has not taken yet, each with the head of the log at that moment. Taken when it is handed
        out: so a newcomer's text so far and the chunks that follow it meet without a gap or a repeat."""
        self._told: asyncio.Future[None] | None = None
        hub.on_news, hub.on_live, hub.on_emptied = self._on_news, self._on_live, self._on_emptied

    async def run(self) -> None:
        """A round per loop tick in which something happened, however much that was. Never ends by itself."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            due = list(self.subscribers if self._everyone else self._due)
            self._due.clear()
            self._everyone = False
            this_round = self._begin()
            for index, subscriber in enumerate(due, 1):
                self._serve(subscriber, this_round)
                if index % SLICE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)

    def add(self, subscriber: Subscriber) -> None:
        """Serve it from its position on."""
        self.subscribers.add(subscriber)
        subscriber.missed.update(self._texts)
        self._call_on(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """It has left, or is to be left alone."""
        self.subscribers.discard(subscriber)
        self._due.discard(subscriber)
        subscriber.end()

    def flush(self) -> None:
        """Serve everyone who can take it all that was committed until now, without a tick in between."""
        this_round = self._begin()
        for subscriber in list(self.subscribers):
            self._serve(subscriber, this_round)
            while subscriber.position < this_round.head and subscriber.is_live:
                self._serve(subscriber, this_round)

    # -- what happens -----------------------------------------------------------------------------------------------

    def _on_news(self, events: Sequence[Event]) -> None:
        if self._texts or self._happened:
            self._happened += [(event.seq, event) for event in events if event.kind in CLOSING]
        self._ring_for_everyone()

    def _on_live(self, event: Event) -> None:
        self._happened.append((self._hub.head, event))
        self._ring_for_everyone()

    def _on_emptied(self) -> None:
        self._happened.clear()
        self._texts.clear()
        self._ring_for_everyone()

    def _ring_for_everyone(self) -> None:
        self._everyone = True
        self._bell.set()
        if self._told is not None:
            self._told.set_result(None)
            self._told = None

    def _call_on(self, subscriber: Subscriber) -> None:
        self._due.add(subscriber)
        self._bell.set()

    # -- rounds -----------------------------------------------------------------------------------------------------

    def _begin(self) -> Round:
        live: list[Live] = []
        for head, event in self._happened:
            if event.kind is EventKind.run_output:
                self._texts.take(event)
                live.append(Live(head, Frame(event)))
            else:
                self._texts.close(event.run_id)
        self._happened.clear()
        return Round(self._hub, live, self._write_bytes)

    def _serve(self, subscriber: Subscriber, this_round: Round) -> None:
        """Serve one subscriber; what goes wrong with it is its end, never the pump's."""
        try:
            self._serve_new(subscriber, this_round)
        except Exception:
            log.exception("a reader could not be served; it is cut and may resume")
            subscriber.cut()

    def _serve_new(self, subscriber: Subscriber, this_round: Round) -> None:
        """Write what is new for one subscriber, if it is live and has room; otherwise it falls behind."""
        if subscriber.ended.done():
            return
        if subscriber.is_behind or not subscriber.has_room:
            subscriber.missed |= this_round.runs
            self._fall_behind(subscriber)
            return
        if subscriber.position < self._hub.complete_from - 1:
            self._tell_gap(subscriber)
        batch = this_round.batch(subscriber)
        if batch is None:
            subscriber.missed |= this_round.runs
            self._fall_behind(subscriber)
            return
        if batch.data:
            subscriber.write_framed(batch.data)
        subscriber.position = batch.position
        if batch.missed:
            subscriber.missed |= batch.missed
        if subscriber.position < this_round.head:
            self._call_on(subscriber)  # more than one write's worth: the next round goes on
        elif subscriber.missed:
            self._tell_texts(subscriber)

    def _tell_gap(self, subscriber: Subscriber) -> None:
        """The log no longer has what comes next for it: say so, and go on from where it is complete."""
        subscriber.position = self._hub.complete_from - 1
        subscriber.write(subscriber.encoder.notice(EventKind.gap, self._hub.position(subscriber.position)))

    def _tell_texts(self, subscriber: Subscriber) -> None:
        """What the runs that it missed a part of have written so far."""
        for run_id in list(subscriber.missed):
            if not subscriber.has_room:
                self._fall_behind(subscriber)
                return
            subscriber.missed.discard(run_id)
            event = self._texts.so_far(run_id)
            if event is not None and subscriber.wanted.admits(event):
                subscriber.write(subscriber.encoder.event(event, self._hub.inline_bytes))

    # -- readers that are behind --------------------------------------------------------------------------------------

    def _fall_behind(self, subscriber: Subscriber) -> None:
        if subscriber.is_behind:
            return
        subscriber.is_behind = True
        task = asyncio.get_running_loop().create_task(self._catch_up(subscriber), name="streams: catch up")
        self.catch_ups.add(task)
        task.add_done_callback(self.catch_ups.discard)

    async def _catch_up(self, subscriber: Subscriber) -> None:
        """Wait for room, serve from disk what the ring no longer holds, and hand the subscriber back."""
        try:
            await subscriber.drained()
            if self._needs_disk(subscriber):
                await self._serve_from_disk(subscriber)
        except ConnectionError:
            subscriber.end()
        except Exception:
            log.exception("a reader could not be served from the log; it is cut and may resume")
            subscriber.cut()
        subscriber.is_behind = False
        self._call_on(subscriber)

    def _needs_disk(self, subscriber: Subscriber) -> bool:
        """Not where the log has ended its memory after the reader's position, either: the pump tells that gap."""
        complete = subscriber.position >= self._hub.complete_from - 1
        return complete and not self._hub.reaches(subscriber.position) and not subscriber.ended.done()

    async def _serve_from_disk(self, subscriber: Subscriber) -> None:
        pages = follow(
            self._reads,
            subscriber.wanted,
            subscriber.position,
            page_events=self._page_events,
            page_bytes=self._page_bytes,
        )
        async for page in pages:
            await self._until_told(page.position)
            if not self._needs_disk(subscriber):
                return
            self._write_page(subscriber, page)
            del page  # or it would be held for as long as the reader takes
            await subscriber.drained()
            if not self._needs_disk(subscriber):
                return
        if self._needs_disk(subscriber):
            await self._news()  # the log has just been emptied, and the hub is about to be told

    def _write_page(self, subscriber: Subscriber, page: Page) -> None:
        encoder, inline_bytes = subscriber.encoder, self._hub.inline_bytes
        subscriber.write(b"".join([encoder.event(event, inline_bytes) for event in page.events]))
        subscriber.position = page.position

    async def _until_told(self, seq: int) -> None:
        """The disk is ahead of the hub by what was committed just now. Whether the board was emptied before that, the
        hub says first: only then is it known that a page has no hole before it."""
        while self._hub.head < seq:
            await self._news()

    async def _news(self) -> None:
        if self._told is None:
            self._told = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._told)
