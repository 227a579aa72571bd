"""One pump for all sockets: after each commit, one write per subscriber with everything that is new for it.

A subscriber goes live only when its next event is in the ring, looked up and joined without an await in between. One
that falls off the ring reads from disk, page by page, and comes back. One that takes nothing for too long is cut, and
resumes by its cursor. It delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EventFilter
from flockd.errors import Unavailable
from flockd.streams.encode import chunk, sse_event, sse_notice, sse_position
from flockd.streams.follow import Log, follow
from flockd.streams.hub import Frame, Hub
from flockd.streams.live_text import LiveTexts
from flockd.streams.subscriber import Subscriber

log = logging.getLogger(__name__)

_WRITE_BYTES = 256 * 1024
"""Frames joined into one write at most; the rest follows when the transport has room."""
_SWEEP_SECONDS = 0.25
"""How often readers whose transport was full are looked at."""
_GOODBYE_SECONDS = 1.0
"""How long the last bytes may take to leave at shutdown."""


class Streams:
    """An async context manager that owns the pump, the sweep and every open stream."""

    def __init__(
        self,
        hub: Hub,
        log_reader: Log,
        *,
        heartbeat_seconds: float,
        stall_seconds: float,
        buffer_bytes: int,
        subscribers: int,
        page_events: int,
        page_bytes: int,
    ) -> None:
        self.hub = hub
        self.buffer_bytes = buffer_bytes
        self.tasks: list[asyncio.Task[None]] = []
        """Core tasks: one that ends is fatal."""
        self.cut_readers = 0
        self._log = log_reader
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._most = subscribers
        self._page_events = page_events
        self._page_bytes = page_bytes
        self._open: set[Subscriber] = set()
        self._full: set[Subscriber] = set()
        """Those who had no room at the last look."""
        self._texts = LiveTexts(buffer_bytes)
        self._news = asyncio.Event()
        self._catch_ups: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def count(self) -> int:
        """Open streams."""
        return len(self._open)

    async def __aenter__(self) -> Streams:
        loop = asyncio.get_running_loop()
        self.hub.on_news = self._on_news
        self.hub.on_live = self._tell_live
        self.tasks = [
            loop.create_task(self._pump(), name="streams: pump"),
            loop.create_task(self._sweep(), name="streams: sweep"),
            loop.create_task(self._heartbeat(), name="streams: heartbeat"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.goodbye("shutdown")
        for task in [*self.tasks, *self._catch_ups]:
            task.cancel()
        await asyncio.gather(*self.tasks, *self._catch_ups, return_exceptions=True)

    def admit(self) -> None:
        """Whether one more stream may open. Raises Unavailable."""
        if self._closing:
            raise Unavailable("The daemon is shutting down.")
        if len(self._open) >= self._most:
            raise Unavailable(
                f"{self._most} streams are open (streams.subscribers); try again later.",
                retry_after_seconds=10,
            )

    @contextmanager
    def joined(self, subscriber: Subscriber) -> Iterator[None]:
        """Serve a subscriber from its position on, for as long as this lasts."""
        self._open.add(subscriber)
        self._serve(subscriber, {})
        try:
            yield
        finally:
            self._open.discard(subscriber)
            self._full.discard(subscriber)
            subscriber.end()

    async def goodbye(self, reason: str) -> None:
        """End every stream: what was committed is served, then `goodbye`; whoever does not take it is cut."""
        if self._closing:
            return
        self._closing = True
        for subscriber in list(self._open):
            if not subscriber.catching_up and subscriber.has_room:
                self._serve(subscriber, {})
            subscriber.write_unshared(sse_notice(EventKind.goodbye, {"reason": reason}, retry=True))
        deadline = asyncio.get_running_loop().time() + _GOODBYE_SECONDS
        for subscriber in list(self._open):
            try:
                async with asyncio.timeout_at(deadline):
                    await subscriber.drained()
            except (TimeoutError, ConnectionError):
                subscriber.cut()
            subscriber.end()

    # -- core tasks -----------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """One round per loop tick in which something was committed, however much that was."""
        while True:
            await self._news.wait()
            self._news.clear()
            shared: dict[tuple[EventFilter, int, bool], tuple[bytes, int]] = {}
            for subscriber in list(self._open):
                if not subscriber.catching_up:
                    self._serve(subscriber, shared)
            await asyncio.sleep(0)

    async def _sweep(self) -> None:
        """Those who had no room get what they missed; those who take nothing are cut."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for subscriber in list(self._full):
                if not subscriber.catching_up:
                    self._full.discard(subscriber)
                    self._serve(subscriber, {})
            for subscriber in list(self._open):
                if subscriber.stalled_seconds() >= self._stall_seconds:
                    self.cut_readers += 1
                    subscriber.cut()

    async def _heartbeat(self) -> None:
        """Tell every reader how far it has been served, so that a rare filter's cursor moves too."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            for subscriber in list(self._open):
                if subscriber.has_room:
                    subscriber.write_unshared(sse_position(subscriber.position))

    def _on_news(self, events: Sequence[Event]) -> None:
        self._news.set()
        if self._texts:
            for event in events:
                self._texts.close(event)

    # -- serving --------------------------------------------------------------------------------------------

    def _serve(
        self, subscriber: Subscriber, shared: dict[tuple[EventFilter, int, bool], tuple[bytes, int]]
    ) -> None:
        """Write what is new for one live subscriber; equal readers share the joined bytes of one round."""
        hub = self.hub
        if subscriber.position < hub.complete_from - 1:
            self._gap(subscriber)
        if subscriber.position >= hub.head:
            return
        if not subscriber.has_room:
            self._full.add(subscriber)
            return
        key = (subscriber.wanted, subscriber.position, subscriber.chunked)
        served = shared.get(key)
        if served is None:
            frames = hub.frames_after(subscriber.position)
            if frames is None:
                self._catch_up(subscriber)
                return
            served = shared[key] = self._join(frames, subscriber.wanted, subscriber.chunked)
        subscriber.write(served[0])
        subscriber.position = served[1]
        if subscriber.position < hub.head:
            self._news.set()  # more than one write's worth: the next round goes on

    def _join(self, frames: list[Frame], wanted: EventFilter, chunked: bool) -> tuple[bytes, int]:
        """The frames that pass the filter, up to one write's worth, and the seq up to which they serve."""
        pieces: list[bytes] = []
        size = 0
        position = frames[-1].event.seq
        for frame in frames:
            if wanted.admits(frame.event):
                piece = (
                    frame.sse_chunk(self.hub.inline_bytes) if chunked else frame.sse(self.hub.inline_bytes)
                )
                pieces.append(piece)
                size += len(piece)
                if size >= _WRITE_BYTES:
                    position = frame.event.seq
                    break
        return b"".join(pieces), position

    def _gap(self, subscriber: Subscriber) -> None:
        """The log no longer has what comes next for this reader: say so, and go on from where it is complete."""
        subscriber.position = self.hub.complete_from - 1
        subscriber.write_unshared(sse_notice(EventKind.gap, self.notice(subscriber.position)))

    def notice(self, position: int) -> dict[str, Any]:
        """The data of `hello` and `gap`."""
        return {**self.hub.position(), "position": position}

    def _catch_up(self, subscriber: Subscriber) -> None:
        subscriber.catching_up = True
        task = asyncio.get_running_loop().create_task(self._read_log(subscriber), name="streams: catch up")
        self._catch_ups.add(task)
        task.add_done_callback(self._catch_ups.discard)

    async def _read_log(self, subscriber: Subscriber) -> None:
        """Serve one subscriber from disk until the ring reaches it again."""
        try:
            while subscriber in self._open and self.hub.frames_after(subscriber.position) is None:
                async for page in follow(
                    self._log,
                    subscriber.wanted,
                    subscriber.position,
                    page_events=self._page_events,
                    page_bytes=self._page_bytes,
                ):
                    encoded = b"".join(
                        sse_event(one, one.encode(self.hub.inline_bytes)) for one in page.events
                    )
                    if encoded:
                        subscriber.write_unshared(encoded)
                    subscriber.position = page.position
                    await subscriber.drained()
                    if subscriber not in self._open or self.hub.frames_after(subscriber.position) is not None:
                        break
                if subscriber.position < self.hub.complete_from - 1:
                    break  # what it wanted is gone: the gap is told when it is served
        except ConnectionError:
            subscriber.end()
        except Exception:
            log.exception("a reader could not be served from the log; it is cut and may resume")
            subscriber.cut()
        finally:
            subscriber.catching_up = False
        if subscriber in self._open:
            self._serve(subscriber, {})

    # -- live text ------------------------------------------------------------------------------------------

    def _tell_live(self, event: Event) -> None:
        """Something that is in no log, to those who are live and have room; offsets show others what they missed."""
        self._texts.take(event)
        frame = None
        for subscriber in self._open:
            if not subscriber.catching_up and subscriber.wanted.admits(event) and subscriber.has_room:
                frame = frame or sse_event(event, event.encode(self.hub.inline_bytes))
                subscriber.write(chunk(frame) if subscriber.chunked else frame)

    def texts_so_far(self, wanted: EventFilter) -> bytes:
        """What running agents have written, for one who joins now."""
        return b"".join(
            sse_event(event, event.encode(self.hub.inline_bytes))
            for event in self._texts.so_far()
            if wanted.admits(event)
        )
