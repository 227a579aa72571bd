"""Whose turn it is. Pure; what it costs does not grow with the number of those who wait for theirs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

L = TypeVar("L", bound=Hashable)


class Turns(Generic[L]):
    """Members take turns, whoever comes is the last; each has lanes, or members of its own, which take turns in its."""

    __slots__ = ("_lanes", "_members")

    def __init__(self) -> None:
        self._members: OrderedDict[Hashable, Turns[L]] = OrderedDict()
        self._lanes: OrderedDict[L, None] = OrderedDict()
        """Only where there are no members: a member's lanes."""

    def __bool__(self) -> bool:
        return bool(self._members or self._lanes)

    def join(self, member: Hashable, lane: L) -> None:
        """A member has this lane, too; a new member is the last."""
        mine = self._members.get(member)
        if mine is None:
            mine = self._members[member] = Turns()
        mine._lanes.setdefault(lane)

    def leave(self, member: Hashable, lane: L) -> None:
        """A member has this lane no longer; one without lanes is none."""
        mine = self._members[member]
        del mine._lanes[lane]
        if not mine:
            del self._members[member]

    def admit(self, member: Hashable, turns: Turns[L]) -> None:
        """A member that has members of its own; one that is there keeps its turn."""
        self._members.setdefault(member, turns)

    def dismiss(self, member: Hashable) -> None:
        self._members.pop(member, None)

    def next(self) -> L | None:
        """The lane whose turn it is; None where there is none."""
        node = self
        while node._members:
            node = next(iter(node._members.values()))
        return next(iter(node._lanes), None)

    def over(self) -> None:
        """The turn has been taken: it is the next one's."""
        node = self
        while node._members:
            member, inner = next(iter(node._members.items()))
            node._members.move_to_end(member)
            node = inner
        node._lanes.move_to_end(next(iter(node._lanes)))
