"""One pump for all sockets: after each commit, one write per subscription with everything that is new for it.

A subscription is live only while its next event is in the ring, which is looked up and served without an await in
between. One that falls off the ring, or has no room, gets a task of its own that waits for room and reads from disk,
page by page, and then hands it back. It delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence, Set

from flockd.domain.event import Event, EventKind
from flockd.streams.follow import Log, Page, told_page
from flockd.streams.hub import Frame, Hub
from flockd.streams.live_text import CLOSING, LiveTexts
from flockd.streams.rounds import Live, Round
from flockd.streams.shared_log import SharedLog
from flockd.streams.subscription import Subscription

log = logging.getLogger(__name__)

_HOLD_SECONDS = 0.005
"""How long subscriptions are served before the loop may do something else."""


class Pump:
    """Serves subscriptions between `add` and `remove`, while `run` runs."""

    def __init__(self, hub: Hub, reads: Log, *, write_bytes: int, page_events: int, page_bytes: int) -> None:
        self.subscriptions: set[Subscription] = set()
        self._hub = hub
        self._log = SharedLog(reads)
        self._write_bytes = write_bytes
        self._page_events = page_events
        self._page_bytes = page_bytes
        self._bell = asyncio.Event()
        self._due: set[Subscription] = set()
        """Those to be served although nothing happened: they came, came back, or did not get all in one write."""
        self._everyone = False
        self._texts = LiveTexts()
        self._happened: list[tuple[int, Event]] = []
        """What `_texts` has not taken yet, each with the head of the log at that moment. Taken when it is handed
        out: so a newcomer's text so far and the chunks that follow it meet without a gap or a repeat."""
        self._catch_ups: set[asyncio.Task[None]] = set()
        hub.on_news, hub.on_live, hub.on_emptied = self._on_news, self._on_live, self._on_emptied

    async def run(self) -> None:
        """A round per loop tick in which something happened, however much that was. Never ends by itself."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            due = list(self.subscriptions if self._everyone else self._due)
            self._due.clear()
            self._everyone = False
            this_round = self._begin()
            since = time.monotonic()  # the loop's own clock stands still meanwhile
            for subscription in due:
                self._serve(subscription, this_round)
                if time.monotonic() - since > _HOLD_SECONDS:
                    await asyncio.sleep(0)
                    since = time.monotonic()
            await asyncio.sleep(0)

    def add(self, subscription: Subscription) -> None:
        """Serve it from its position on."""
        self.subscriptions.add(subscription)
        subscription.missed.update(self._texts)
        self._call_on(subscription)

    def remove(self, subscription: Subscription) -> None:
        """It is over: nothing more is written for it, and its task ends with it."""
        subscription.is_closed = True
        self.subscriptions.discard(subscription)
        self._due.discard(subscription)
        if subscription.catch_up is not None:
            subscription.catch_up.cancel()

    def flush(self) -> None:
        """Serve everyone who can take it all that was committed until now, without a tick in between."""
        this_round = self._begin()
        for subscription in list(self.subscriptions):
            self._serve(subscription, this_round)
            while subscription.position < this_round.head and subscription.is_live:
                self._serve(subscription, this_round)

    async def close(self) -> None:
        """Leave no task behind."""
        tasks = list(self._catch_ups)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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

    def _call_on(self, subscription: Subscription) -> None:
        self._due.add(subscription)
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

    def _serve(self, subscription: Subscription, this_round: Round) -> None:
        """Serve one; what goes wrong with it is its end, never the pump's."""
        try:
            self._serve_new(subscription, this_round)
        except Exception:
            log.exception("a reader could not be served; it is cut and may resume")
            subscription.connection.cut()

    def _serve_new(self, subscription: Subscription, this_round: Round) -> None:
        """Write what is new for one, if it is live and has room; otherwise it falls behind."""
        if subscription.is_over:
            return
        connection = subscription.connection
        if subscription.catch_up is not None or not connection.has_room:
            self._fall_behind(subscription, this_round.runs)
            return
        if subscription.end is not None and subscription.end.emptied_times != self._hub.emptied_times:
            self._tell_gap(subscription)
            connection.end()  # what it was about is no longer there
            return
        if subscription.position < self._hub.complete_from - 1:
            self._tell_gap(subscription)
        batch = this_round.batch(subscription)
        if batch is None:
            self._fall_behind(subscription, this_round.runs)
            return
        if batch.data:
            connection.write_framed(batch.data)
            subscription.sent += batch.events
        subscription.position = batch.position
        if batch.is_last:
            connection.end()
            return
        if batch.missed:
            subscription.missed |= batch.missed
        if subscription.position < this_round.head:
            self._call_on(subscription)  # more than one write's worth: the next round goes on
        elif subscription.missed:
            self._tell_texts(subscription)

    def _tell_gap(self, subscription: Subscription) -> None:
        """The log no longer has what comes next for it: say so, and go on from where it is complete."""
        subscription.position = self._hub.complete_from - 1
        gap = subscription.encoder.notice(EventKind.gap, self._hub.position(subscription.position))
        subscription.connection.write(gap)

    def _tell_texts(self, subscription: Subscription) -> None:
        """What the runs that it missed a part of have written so far."""
        connection = subscription.connection
        for run_id in list(subscription.missed):
            if not connection.has_room:
                self._fall_behind(subscription)
                return
            subscription.missed.discard(run_id)
            event = self._texts.so_far(run_id)
            if event is not None and subscription.wanted.admits(event):
                connection.write(self._encoded(subscription, [event]))
                subscription.sent += 1

    def _encoded(self, subscription: Subscription, events: Sequence[Event]) -> bytes:
        encoder, inline_bytes = subscription.encoder, self._hub.inline_bytes
        return b"".join(
            [piece for event in events for piece in encoder.event(event, event.encode(inline_bytes))]
        )

    # -- readers that are behind --------------------------------------------------------------------------------------

    def _fall_behind(self, subscription: Subscription, missed: Set[str] = frozenset()) -> None:
        """Leave it to a task of its own. `missed`: runs that wrote what it is not told now."""
        subscription.missed |= missed
        if len(subscription.missed) > len(self._texts):  # some of them write no more
            subscription.missed.intersection_update(self._texts)
        if subscription.catch_up is not None:
            return
        task = asyncio.get_running_loop().create_task(self._catch_up(subscription), name="streams: catch up")
        subscription.catch_up = task
        self._catch_ups.add(task)
        task.add_done_callback(self._catch_ups.discard)

    async def _catch_up(self, subscription: Subscription) -> None:
        """Wait for room, serve from disk what the ring no longer holds, and hand the subscription back."""
        connection = subscription.connection
        try:
            await connection.drained()
            subscription.reads_disk = True
            while self._needs_disk(subscription):
                await self._serve_from_disk(subscription)
        except ConnectionError:
            connection.end()
        except Exception:
            log.exception("a reader could not be served from the log; it is cut and may resume")
            connection.cut()
        finally:
            subscription.reads_disk = False
            subscription.catch_up = None
        self._call_on(subscription)

    def _needs_disk(self, subscription: Subscription) -> bool:
        """Not where the log has ended its memory after the reader's position, either: the pump tells that gap."""
        complete = subscription.position >= self._hub.complete_from - 1
        return complete and not self._hub.reaches(subscription.position) and not subscription.is_over

    async def _serve_from_disk(self, subscription: Subscription) -> None:
        page = await told_page(
            self._hub,
            self._log,
            subscription.wanted,
            subscription.position,
            end=subscription.end,
            page_events=self._page_events,
            page_bytes=self._page_bytes,
        )
        if page is None or not self._needs_disk(subscription):
            return
        self._write_page(subscription, page)
        del page  # or it would be held for as long as the reader takes
        await subscription.connection.drained()

    def _write_page(self, subscription: Subscription, page: Page) -> None:
        connection = subscription.connection
        data = self._encoded(subscription, page.events)
        if page.is_last:
            data += subscription.encoder.position(page.position)
        connection.write(data)
        subscription.sent += len(page.events)
        subscription.position = page.position
        if page.is_last:
            connection.end()
