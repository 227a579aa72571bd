"""A round of the pump: what is new, joined once for all readers who stand at the same place and want the same."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, NamedTuple

from flockd.domain.artifact import Artifact
from flockd.domain.filter import EventFilter, payload_of
from flockd.streams.encode import Encoder, chunk
from flockd.streams.follow import End
from flockd.streams.hub import Frame, Hub
from flockd.streams.subscription import Subscription

_FRAMES = 1000
"""Frames looked at for one write: bounds the time that one reader far behind in the ring holds the loop."""


class Live(NamedTuple):
    """A live event and its place: behind the event of the log that was the newest when it happened."""

    after: int
    frame: Frame


class Batch(NamedTuple):
    """What one write carries."""

    data: bytes
    events: int
    position: int
    """Up to which seq it serves."""
    missed: Set[str]
    """Runs of whose live text it leaves a part out, because it does not reach so far."""
    is_last: bool
    """The end of the subscription is in it."""


class _Selection(NamedTuple):
    """What a filter lets through, before anybody has encoded it."""

    frames: list[Frame]
    position: int
    missed: Set[str]
    is_last: bool


class Round:
    """Ends at the head of the log as it was when the round began, so that live text keeps its place."""

    def __init__(self, hub: Hub, live: Sequence[Live], write_bytes: int) -> None:
        self.head = hub.head
        self.runs = frozenset(_run_id(one) for one in live)
        """The runs that wrote something."""
        self._hub = hub
        self._live = live
        self._write_bytes = write_bytes
        self._batches: dict[tuple[EventFilter, int, End | None, Encoder, bool], Batch] = {}
        self._selections: dict[tuple[EventFilter, int, End | None], _Selection] = {}
        self._payloads: dict[int, Any] = {}

    def batch(self, subscription: Subscription) -> Batch | None:
        """What is new for one, as it goes over the wire; None where the ring does not reach back to it."""
        wanted, encoder, chunked = subscription.wanted, subscription.encoder, subscription.connection.chunked
        if subscription.missed:
            selection = self._select(subscription)
            return None if selection is None else self._encode(selection, encoder, chunked)
        key = (wanted, subscription.position, subscription.end, encoder, chunked)
        batch = self._batches.get(key)
        if batch is None:
            selection = self._selections.get(key[:3]) or self._select(subscription)
            if selection is not None:
                self._selections[key[:3]] = selection
                batch = self._batches[key] = self._encode(selection, encoder, chunked)
        return batch

    def _select(self, subscription: Subscription) -> _Selection | None:
        wanted, position, end = subscription.wanted, subscription.position, subscription.end
        number = min(_FRAMES, max(0, self.head - position))
        frames = self._hub.frames_after(position, number) if number else []
        if frames is None:
            return None
        live = [one for one in self._live if _run_id(one) not in subscription.missed]
        inline_bytes, payload = self._hub.inline_bytes, self._payload
        admitted: list[Frame] = []
        size = said = 0
        is_last = False
        for frame in frames:
            event = frame.event
            while said < len(live) and live[said].after < event.seq:
                if wanted.admits(live[said].frame.event):
                    admitted.append(live[said].frame)
                said += 1
            if wanted.admits(event, payload):
                admitted.append(frame)
                size += len(frame.body(inline_bytes))
            position = event.seq
            is_last = end is not None and end.is_at(event)
            if is_last or size >= self._write_bytes:
                break
        if position >= self.head and not is_last:
            admitted += [one.frame for one in live[said:] if wanted.admits(one.frame.event)]
            said = len(live)
        return _Selection(admitted, position, {_run_id(one) for one in live[said:]}, is_last)

    def _encode(self, selection: _Selection, encoder: Encoder, chunked: bool) -> Batch:
        frames, inline_bytes = selection.frames, self._hub.inline_bytes
        pieces: list[bytes] = []
        for frame in frames:
            pieces += encoder.event(frame.event, frame.body(inline_bytes))
        if selection.is_last:
            pieces.append(encoder.position(selection.position))
        data = b"".join(pieces)
        return Batch(
            chunk(data) if data and chunked else data,
            len(frames),
            selection.position,
            selection.missed,
            selection.is_last,
        )

    def _payload(self, artifact: Artifact) -> Any:
        """Parsed once for all filters that look into it."""
        seq = artifact.seq
        if seq not in self._payloads:
            self._payloads[seq] = payload_of(artifact)
        return self._payloads[seq]


def _run_id(live: Live) -> str:
    return live.frame.event.run_id or ""
