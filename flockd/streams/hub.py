"""The hub: what was committed, told in order to everyone who watches.

It holds a ring of recent frames, bounded in bytes and shared by all subscribers, and the waiters for the end of a
correlation. It is told after each commit and knows nothing that is not durable, but for live text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.event import ENDED, LIVE_ONLY, Event, EventKind
from flockd.errors import FlockdError, NotFound, Unavailable

_FRAME_OVERHEAD_BYTES = 1500
"""About what a frame weighs beside its data and payload, which it holds twice: as stored and as sent."""
_WATCH_ARTIFACTS = 1000
_WATCH_BYTES = 4 << 20
"""What an EndWatch collects at most; past either its artifacts are read from the board instead."""


class Frame:
    """One event and its JSON, made when the first subscriber needs it and then shared by all, on every transport."""

    __slots__ = ("_body", "event", "weight")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.weight = _FRAME_OVERHEAD_BYTES + 2 * len(event.data)
        if event.artifact is not None:
            self.weight += 2 * len(event.artifact.payload)
        self._body: bytes | None = None

    def body(self, inline_bytes: int) -> bytes:
        """The one line of JSON; payloads over `inline_bytes` are left out."""
        body = self._body
        if body is None:
            body = self._body = self.event.encode(inline_bytes)
        return body


class Ended(NamedTuple):
    """The end of a round, with what was told of it."""

    event: Event
    round: int
    artifacts: list[Artifact] | None
    """What agents produced in it since the watch began; None where it is too much to hold."""
    errors: list[tuple[str, bytes]]
    """(agent, data of its `run.failed`) of the runs that died in it since then, in the order of their death."""


class EndWatch:
    """Waits for the end of one correlation's round. Made before the publish, and fed by the log alone."""

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self._artifacts: list[Artifact] | None = []
        self._errors: dict[str | None, tuple[str, bytes]] = {}
        self._bytes = 0
        self._ends: list[Ended] = []
        self._given_up: FlockdError | None = None
        self._bell: asyncio.Future[None] | None = None

    async def ended(self, round: int, timeout_seconds: float | None) -> Ended | None:
        """The end of this round; None at the timeout.

        Raises Unavailable, with the correlation's id in the details, when the daemon is shutting down, and NotFound
        when the board was emptied.
        """
        deadline = None if timeout_seconds is None else asyncio.get_running_loop().time() + timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    for end in self._ends:
                        if end.round >= round:
                            return end
                    if self._given_up is not None:
                        raise self._given_up
                    self._bell = asyncio.get_running_loop().create_future()
                    await self._bell
        except TimeoutError:
            return None

    def take(self, event: Event) -> None:
        """One event of this correlation."""
        if event.kind is EventKind.artifact_published:
            self._collect(event.artifact)
        elif event.kind is EventKind.run_failed:
            self._errors[event.run_id] = (event.agent or "", event.data)
        elif event.kind is EventKind.run_started:
            self._errors.pop(event.run_id, None)  # a dead run that was retried by hand
        elif event.kind is EventKind.correlation_started:
            self._artifacts, self._errors, self._bytes = [], {}, 0
        elif event.kind in ENDED:
            round = int(orjson.loads(event.data)["round"])
            self._ends.append(Ended(event, round, self._artifacts, list(self._errors.values())))
            self._ring()

    def give_up(self, error: FlockdError) -> None:
        """There will be no end to wait for."""
        self._given_up = error
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def _collect(self, artifact: Artifact | None) -> None:
        if artifact is None or artifact.run_id is None or self._artifacts is None:
            return
        self._bytes += len(artifact.payload)
        if len(self._artifacts) >= _WATCH_ARTIFACTS or self._bytes > _WATCH_BYTES:
            self._artifacts = None
        else:
            self._artifacts.append(artifact)


class Hub:
    """Told after each commit, on the loop, in commit order."""

    def __init__(
        self, *, ring_bytes: int, inline_bytes: int, head: int, log_id: str, complete_from: int
    ) -> None:
        self.log_id = log_id
        self.head = head
        """The seq of the newest event that is told."""
        self.complete_from = complete_from
        """Every event from this seq on is in the log."""
        self.emptied_times = 0
        """How often the board was emptied since the process began."""
        self.inline_bytes = inline_bytes
        self.ring: deque[Frame] = deque()
        """Recent frames, seq by seq without a hole, ending at `head`."""
        self.on_news: Callable[[Sequence[Event]], None] = lambda _events: None
        """The pump's bell."""
        self.on_live: Callable[[Event], None] = lambda _event: None
        """The pump's ear for live events, which are in no ring."""
        self.on_emptied: Callable[[], None] = lambda: None
        self._ring_bytes = ring_bytes
        self._weight = 0
        self._watches: dict[str, list[EndWatch]] = {}
        self._news: asyncio.Future[None] | None = None
        self._draining = False

    def tell(self, events: Sequence[Event]) -> None:
        """What one transaction appended to the log."""
        if not events:
            return
        for event in events:
            frame = Frame(event)
            self.ring.append(frame)
            self._weight += frame.weight
            if self._watches and event.correlation_id in self._watches:
                for watch in self._watches[event.correlation_id]:
                    watch.take(event)
        while self._weight > self._ring_bytes and len(self.ring) > 1:
            self._weight -= self.ring.popleft().weight
        self.head = events[-1].seq
        self.on_news(events)
        self._ring()

    def tell_live(self, event: Event) -> None:
        """Something that is never stored: the text that a run just wrote."""
        assert event.kind in LIVE_ONLY
        self.on_live(event)

    def emptied(self, complete_from: int) -> None:
        """The board was emptied: the log is complete from this seq on."""
        self.complete_from = complete_from
        self.emptied_times += 1
        self.head = complete_from - 1
        self.ring.clear()
        self._weight = 0
        for watch in self._all_watches():
            watch.give_up(
                NotFound(f"The workflow {watch.correlation_id} is no longer on the board: it was emptied.")
            )
        self.on_emptied()
        self._ring()

    async def news(self) -> None:
        """Returns when the next commit has been told, or that the board was emptied."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _ring(self) -> None:
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

    def reaches(self, seq: int) -> bool:
        """Whether everything after this seq is in the ring."""
        return self.head - seq <= len(self.ring)

    def frames_after(self, seq: int, limit: int) -> list[Frame] | None:
        """The first frames after this seq, at most `limit`; None where the ring does not reach back that far."""
        behind = max(0, self.head - seq)
        if behind > len(self.ring):
            return None
        if behind <= limit:  # what is new: from the near end
            frames = list(islice(reversed(self.ring), behind))
            frames.reverse()
            return frames
        first = len(self.ring) - behind
        return list(islice(self.ring, first, first + limit))

    def position(self, reader: int) -> dict[str, Any]:
        """The data of `hello` and `gap`, for a reader at this position."""
        return {
            "log_id": self.log_id,
            "head": self.head,
            "complete_from": self.complete_from,
            "position": reader,
        }

    @contextmanager
    def watch_end(self, correlation_id: str) -> Iterator[EndWatch]:
        """A watch for the end of a correlation; while the daemon is shutting down its `ended` raises at once."""
        watch = EndWatch(correlation_id)
        if self._draining:
            watch.give_up(_shutting_down(watch))
        self._watches.setdefault(correlation_id, []).append(watch)
        try:
            yield watch
        finally:
            watches = self._watches[correlation_id]
            watches.remove(watch)
            if not watches:
                del self._watches[correlation_id]

    def drain(self) -> None:
        """The daemon is shutting down: whoever waits for an end is told so."""
        self._draining = True
        for watch in self._all_watches():
            watch.give_up(_shutting_down(watch))

    def _all_watches(self) -> list[EndWatch]:
        return [watch for watches in self._watches.values() for watch in watches]


def _shutting_down(watch: EndWatch) -> Unavailable:
    return Unavailable(
        "The daemon is shutting down; the work goes on at its next start.",
        details={"correlation_id": watch.correlation_id},
    )
