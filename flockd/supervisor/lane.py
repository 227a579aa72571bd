"""One lane of the queue: what is ready of one class at one place, of which memory holds the first ones."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator

from flockd.domain.agent import agent_at
from flockd.domain.priority import Priority
from flockd.store.reads import ReadyRun

LaneKey = tuple[str, Priority | None]
"""(place, class); None is the class of all suspects, whatever their priority."""

UNSEEN = ""
"""Stands for the correlations of all runs that are in no window."""


def order(run: ReadyRun) -> tuple[int, int]:
    """The order of a lane."""
    return run.vtime, run.ord


class Lane:
    """The window of a lane, and which correlations wait in it."""

    __slots__ = (
        "_waiting",
        "agent",
        "arrived",
        "aside",
        "complete",
        "key",
        "place",
        "priority",
        "refilling",
        "stands",
        "window",
    )

    def __init__(self, key: LaneKey, *, complete: bool) -> None:
        self.key = key
        self.place, self.priority = key
        self.agent = agent_at(self.place)
        self.window: list[ReadyRun] = []
        """In order; the smallest of the lane."""
        self.complete = complete
        """Whether the window is the whole lane."""
        self.refilling = False
        self.arrived: list[ReadyRun] = []
        """What became ready while a page was being read: the page may or may not have it."""
        self.stands = False
        """Whether it takes part in the turns."""
        self.aside = False
        """Whether it may start nothing until its place or its agent is freed."""
        self._waiting: dict[str, int] = {}
        """How many runs the window has of each correlation."""

    @property
    def members(self) -> Iterator[str]:
        """Whose turns serve this lane."""
        yield from self._waiting
        if not self.complete:
            yield UNSEEN

    def belongs(self, run: ReadyRun) -> bool:
        """Whether a run that became ready has its place in the window, and not behind it in the table."""
        return self.complete or (bool(self.window) and order(run) < order(self.window[-1]))

    def insert(self, run: ReadyRun) -> bool:
        """Put a run into the window; whether it is the first one there of its correlation."""
        insort(self.window, run, key=order)
        return self._count(run)

    def pop(self) -> tuple[ReadyRun, bool]:
        """Take the head of the window, and whether it was the last one there of its correlation."""
        run = self.window.pop(0)
        left = self._waiting[run.correlation_id] - 1
        if left:
            self._waiting[run.correlation_id] = left
        else:
            del self._waiting[run.correlation_id]
        return run, not left

    def fill(self, runs: Iterable[ReadyRun], *, complete: bool) -> None:
        """These are the window now; `complete` where they are the whole lane."""
        self.window = sorted(runs, key=order)
        self.complete = complete
        self._waiting = {}
        for run in self.window:
            self._count(run)

    def refill(self, page: Iterable[ReadyRun], *, complete: bool) -> None:
        """A page of the table is the window now, with what of `arrived` belongs there."""
        by_id = {run.run_id: run for run in page}
        last = max(map(order, by_id.values()), default=None)
        for run in self.arrived:
            if complete or (last is not None and order(run) < last):
                by_id.setdefault(run.run_id, run)
        self.arrived = []
        self.refilling = False
        self.fill(by_id.values(), complete=complete)

    def _count(self, run: ReadyRun) -> bool:
        before = self._waiting.get(run.correlation_id, 0)
        self._waiting[run.correlation_id] = before + 1
        return not before
