"""What one watcher was told over all its connections, checked as it comes in and compared with the log at the end."""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import orjson

from .filters import Json, Wanted, by_field

ABOUT_THE_STREAM = frozenset({"hello", "gap", "goodbye"})
_DIGEST_BYTES = 8


class Item(NamedTuple):
    """One thing that a stream said, whatever the transport. `kind` is an event's, or "position" for a heartbeat.

    `seq` is None for what has no place in the log, and `body` for a heartbeat.
    """

    kind: str
    seq: int | None
    body: Json | None


class Start(NamedTuple):
    """Where a watcher wants to begin, and how it says so."""

    how: Literal["now", "start", "after", "last-event-id", "future"]
    seq: int = 0
    """Of the cursor, or, for now, what had been acknowledged to somebody before the watcher connected."""


class Bodies:
    """What the events looked like, the same for everybody: kept as a digest a seq, at first sight."""

    def __init__(self) -> None:
        self._seen: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def fits(self, seq: int, body: Json) -> bool:
        """Whether this is the body that was seen before under this seq, if one was."""
        digest = _digest(body)
        return self._seen.setdefault(seq, digest) == digest

    def differing(self, log: Iterable[Json]) -> list[str]:
        """A sentence for each seq that was told otherwise than the log has it, or that the log does not have."""
        unknown = dict(self._seen)
        wrong = [
            f"{event['seq']} was not told as it is: {event}"
            for event in log
            if unknown.pop(event["seq"], digest := _digest(event)) != digest
        ]
        return wrong + [f"{seq} was told and is not in the log" for seq in sorted(unknown)]


def _digest(body: Json) -> bytes:
    """Of the value, not of its text: transports may write it differently."""
    return hashlib.blake2b(
        orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES
    ).digest()


class Watch:
    """One subscription over any number of connections: a filter, a cursor, and everything that it was given.

    `served` is set when its position has reached the goal, once there is one.
    """

    def __init__(self, name: str, wanted: Wanted, bodies: Bodies) -> None:
        self.name = name
        self.wanted = wanted
        self.start = Start("start")
        self.begin: int | None = None
        """It is owed what follows this seq; None before the first greeting."""
        self.cursor: int | None = None
        """Where it goes on at its next connection."""
        self.seqs = array("I")
        self.faults: list[str] = []
        self.story: list[str] = []
        """What it did and what was done to it, for whoever has to find out why it failed."""
        self.connections = 0
        self.goodbyes = 0
        self.served = asyncio.Event()
        self._bodies = bodies
        self._goal: int | None = None
        self._greeted = False

    def connected(self) -> None:
        """A stream was opened for it; a greeting has to come first."""
        self.connections += 1
        self._greeted = False
        self.tell(f"connects at {self.cursor if self.begin is not None else self.start}")

    def aim(self, seq: int) -> None:
        """It has been served when its position reaches this seq."""
        self._goal = seq
        self._check_goal()

    def tell(self, what: str) -> None:
        """A line of its story; of a long one the end is kept."""
        self.story.append(what)
        del self.story[:-40]

    def take(self, item: Item) -> None:
        """What came next. Whatever is wrong with it is noted, not raised: the watcher goes on."""
        if item.kind == "hello":
            self._greet(item)
        elif not self._greeted:
            self._blame(f"was told {item.kind} before it was greeted")
        elif item.kind == "gap":
            self._skip(item)
        elif item.kind == "goodbye":
            self.goodbyes += 1
        elif item.seq is None:
            pass  # live text, which is not in the log
        elif item.kind == "position":
            self._advance(item.seq)
        else:
            self._receive(item.seq, item)
        self._check_goal()

    def difference(self, matching: Sequence[int]) -> str | None:
        """None if it got exactly what of the log passes its filter (`matching`) and follows its beginning."""
        faults = list(self.faults)
        if self.begin is None:
            faults.append("was never greeted")
        else:
            owed = array("I", matching[bisect_right(matching, self.begin) :])
            if owed != self.seqs:
                faults.append(_first_difference(owed, self.seqs))
        if not faults:
            return None
        return f"{self.name} {by_field(self.wanted)}: {'; '.join(faults[:5])}\n    {' | '.join(self.story)}"

    def _greet(self, item: Item) -> None:
        assert item.body is not None
        position = item.body["data"]["position"]
        if self._greeted:
            self._blame("was greeted twice")
        self._greeted = True
        if self.begin is None:
            self.begin = position
            expected = {"start": 0, "after": self.start.seq, "last-event-id": self.start.seq}
            if position != expected.get(self.start.how, position):
                self._blame(f"asked to begin at {self.start} and begins at {position}")
            if self.start.how == "now" and position < self.start.seq:
                self._blame(f"wanted what is new after {self.start.seq} and begins at {position}")
        elif position != self.cursor:
            self._blame(f"goes on at {position} and not at {self.cursor}")
        self.cursor = position

    def _skip(self, item: Item) -> None:
        assert item.body is not None
        if self.start.how != "future" or self.connections > 1:
            self._blame(f"was told of a gap: {item.body}")
        self.begin = self.cursor = item.body["data"]["position"]

    def _receive(self, seq: int, item: Item) -> None:
        assert item.body is not None
        if item.body["seq"] != seq:
            self._blame(f"{item.body} came as {seq}")
        if not self._bodies.fits(seq, item.body):
            self._blame(f"{seq} was told in two ways: {item.body}")
        if self.cursor is None or seq > self.cursor:
            self.cursor = seq
        else:
            self._blame(f"got {seq} at {self.cursor}")
        self.seqs.append(seq)

    def _advance(self, seq: int) -> None:
        assert self.cursor is not None
        if seq < self.cursor:
            self._blame(f"its position went back from {self.cursor} to {seq}")
        self.cursor = seq

    def _blame(self, fault: str) -> None:
        self.faults.append(f"[connection {self.connections}] it {fault}")

    def _check_goal(self) -> None:
        if self._goal is not None and self.cursor is not None and self.cursor >= self._goal:
            self.served.set()


def _first_difference(owed: Sequence[int], got: Sequence[int]) -> str:
    index = next((i for i, (one, two) in enumerate(zip(owed, got, strict=False)) if one != two), None)
    if index is None:
        index = min(len(owed), len(got))
    return (
        f"it got {len(got)} events of {len(owed)}; they part at {index}: "
        f"owed {list(owed[index : index + 5])}, got {list(got[index : index + 5])}"
    )
