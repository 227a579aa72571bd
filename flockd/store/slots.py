"""What the ANDs of one correlation hold, as far as a group knows it: of each agent and type the oldest."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from flockd.store.records import Held

WINDOW = 128
"""Of what one agent holds of one type, so many are read at once, and remembered between groups."""
UNJOINED_MOST = 100
"""Ids that are listed for each agent at the end of a round, and with the status: every artifact that finds no partner
ends a round, and the log would grow with the square of them."""

_by_seq = attrgetter("seq")


class Slot:
    """The artifacts of one type that one agent holds: the oldest of them, or (`is_whole`) all."""

    __slots__ = ("_beyond", "held", "is_whole", "last")

    def __init__(self, *, is_whole: bool) -> None:
        self.held: list[Held] = []
        """By seq; changed here only."""
        self.is_whole = is_whole
        self.last = 0
        """The highest seq up to which all are here."""
        self._beyond: list[Held] = []
        """What the group has added behind those that are not loaded."""

    def extend(self, loaded: Sequence[Held], *, is_whole: bool) -> None:
        """Those that come next after `last`, by seq; `is_whole`: there are no more of them."""
        self.held += loaded
        self.is_whole = is_whole
        if loaded:
            self.last = loaded[-1].seq
        beyond, self._beyond = self._beyond, []
        for one in beyond:
            self.add(one)

    def add(self, one: Held) -> None:
        """One more; what was hidden meanwhile is older than others that came before it."""
        if not self.is_whole and one.seq > self.last:
            self._beyond.append(one)
        elif self.held and one.seq < self.held[-1].seq:
            insort(self.held, one, key=_by_seq)
        else:
            self.held.append(one)

    def remove(self, one: Held) -> None:
        """One less, which must be here."""
        place = bisect_left(self.held, one.seq, key=_by_seq)
        assert self.held[place : place + 1] == [one], "only what is held is taken"
        del self.held[place]

    def shorten(self) -> None:
        """After a commit: of many, no more than a window is remembered."""
        if self.is_whole and len(self.held) > 2 * WINDOW:
            self.is_whole = False
        if not self.is_whole:
            self._beyond.clear()
            if len(self.held) > WINDOW:
                del self.held[WINDOW:]
                self.last = self.held[-1].seq


class Slots(dict[tuple[str, str], Slot]):
    """By agent and type. What has no slot here is held by nobody."""

    __slots__ = ()

    def add(self, one: Held) -> None:
        slot = self.get((one.agent, one.type))
        if slot is None:
            slot = self[one.agent, one.type] = Slot(is_whole=True)
        slot.add(one)

    def load(self, held: Iterable[Held], window: int | None) -> None:
        """By seq: of each agent and type the first of a window, or (None) all."""
        by_slot: dict[tuple[str, str], list[Held]] = {}
        for one in held:
            by_slot.setdefault((one.agent, one.type), []).append(one)
        for name, same in by_slot.items():
            self[name] = slot = Slot(is_whole=False)
            slot.extend(same, is_whole=window is None or len(same) < window)

    def shorten(self) -> None:
        """After a commit: of many, no more than a window is remembered."""
        for slot in self.values():
            slot.shorten()


def unjoined(held: Iterable[Held]) -> list[dict[str, Any]]:
    """What ANDs hold, on the wire, in the order of publication: of each agent the oldest UNJOINED_MOST ids.

    `held`: of each agent and type one more than that, or all.
    """
    by_agent: dict[str, list[str]] = {}
    for one in sorted(held, key=_by_seq):
        by_agent.setdefault(one.agent, []).append(one.artifact_id)
    return [
        {"agent": agent, "artifacts": ids}
        if len(ids) <= UNJOINED_MOST
        else {"agent": agent, "artifacts": ids[:UNJOINED_MOST], "truncated": True}
        for agent, ids in by_agent.items()
    ]
