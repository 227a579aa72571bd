"""One pool, as far as a group knows it: the oldest of each type, and what the group has added."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from flockd.store.records import Pooled

_by_seq = attrgetter("seq")


class Pool:
    """What is gathered together, by seq. No change of it costs more for all that waits beside."""

    __slots__ = ("_of_type",)

    def __init__(self, held: Iterable[Pooled] = ()) -> None:
        self._of_type: dict[str, list[Pooled]] = {}
        for one in sorted(held, key=_by_seq):
            self._of_type.setdefault(one.type, []).append(one)

    def __len__(self) -> int:
        return sum(map(len, self._of_type.values()))

    def __iter__(self) -> Iterator[Pooled]:
        """By seq; not to be changed meanwhile."""
        return heapq.merge(*self._of_type.values(), key=_by_seq)

    def __contains__(self, one: Pooled) -> bool:
        same = self._of_type.get(one.type, ())
        place = bisect_left(same, one.seq, key=_by_seq)
        return place < len(same) and same[place].seq == one.seq

    def oldest(self, type: str, count: int) -> Sequence[Pooled]:
        """So many of a type, the oldest; fewer where there are no more."""
        return self._of_type.get(type, [])[:count]

    def add(self, one: Pooled) -> None:
        """One more; what was hidden meanwhile is older than others that came before it."""
        insort(self._of_type.setdefault(one.type, []), one, key=_by_seq)

    def remove(self, one: Pooled) -> None:
        """One less, which must be there."""
        assert one in self, "only what is in a pool is taken from it"
        same = self._of_type[one.type]
        del same[bisect_left(same, one.seq, key=_by_seq)]
