"""A round of the pump: what is new, joined once for all readers who stand at the same place and want the same."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from flockd.domain.filter import EventFilter
from flockd.streams.encode import Encoder, chunk
from flockd.streams.hub import Frame, Hub
from flockd.streams.subscriber import Subscriber

_FRAMES = 1000
"""Frames looked at for one write: bounds the time that one reader far behind in the ring holds the loop."""


class Live(NamedTuple):
    """A live event and its place: behind the event of the log that was the newest when it happened."""

    after: int
    frame: Frame


class Batch(NamedTuple):
    """What one write carries."""

    data: bytes
    position: int
    """Up to which seq it serves."""
    missed: Set[str]
    """Runs of whose live text it leaves a part out, because it does not reach so far."""


class Round:
    """Ends at the head of the log as it was when the round began, so that live text keeps its place."""

    def __init__(self, hub: Hub, live: Sequence[Live], write_bytes: int) -> None:
        self.head = hub.head
        self.runs = frozenset(_run_id(one) for one in live)
        """The runs that wrote something."""
        self._hub = hub
        self._live = live
        self._write_bytes = write_bytes
        self._shared: dict[tuple[EventFilter, int, Encoder, bool], Batch] = {}

    def batch(self, subscriber: Subscriber) -> Batch | None:
        """What is new for a subscriber, as it goes over the wire; None where the ring does not reach back to it."""
        if subscriber.missed:
            return self._join(subscriber)
        key = (subscriber.wanted, subscriber.position, subscriber.encoder, subscriber.chunked)
        batch = self._shared.get(key)
        if batch is None:
            batch = self._join(subscriber)
            if batch is not None:
                self._shared[key] = batch
        return batch

    def _join(self, subscriber: Subscriber) -> Batch | None:
        wanted_frames = min(_FRAMES, max(0, self.head - subscriber.position))
        frames = self._hub.frames_after(subscriber.position, wanted_frames) if wanted_frames else []
        if frames is None:
            return None
        live = [one for one in self._live if _run_id(one) not in subscriber.missed]
        wanted, encoder, inline_bytes = subscriber.wanted, subscriber.encoder, self._hub.inline_bytes
        pieces: list[bytes] = []
        size, position, said = 0, subscriber.position, 0
        for frame in frames:
            while said < len(live) and live[said].after < frame.event.seq:
                if wanted.admits(live[said].frame.event):
                    pieces.append(live[said].frame.encoded(encoder, inline_bytes))
                said += 1
            if wanted.admits(frame.event):
                pieces.append(frame.encoded(encoder, inline_bytes))
                size += len(pieces[-1])
            position = frame.event.seq
            if size >= self._write_bytes:
                break
        if position >= self.head:
            rest = [one.frame for one in live[said:] if wanted.admits(one.frame.event)]
            pieces += [frame.encoded(encoder, inline_bytes) for frame in rest]
            said = len(live)
        data = b"".join(pieces)
        return Batch(
            chunk(data) if data and subscriber.chunked else data,
            position,
            {_run_id(one) for one in live[said:]},
        )


def _run_id(live: Live) -> str:
    return live.frame.event.run_id or ""
