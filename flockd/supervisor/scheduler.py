"""Which ready runs start next. Pure: no clock, no waiting, no I/O.

Memory holds a window of each lane (one place, one priority class); the rest of the lane stays in the table, and is read
a page at a time as the window empties. So ten thousand runs of one capped agent hide nobody else's.

Between classes: while better work is ready, fifteen of sixteen picks are of the best class, and one is of the lowest.
Between correlations of one class: each run of a correlation gets a virtual start time one after its last one's, and not
before that of the run claimed last. So where every place has room, the first run of a correlation waits for at most
two of each other correlation, however many of those are ready.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterable

from flockd.domain.priority import Priority
from flockd.domain.run import SUSPECT_CRASHES
from flockd.store.reads import ReadyRun
from flockd.store.reads.base import PAGE_MAX

LOWEST_EVERY = 16
"""One pick in so many takes the head of the lowest class, so that it moves too."""

Room = Callable[[str], int]
"""How many more may start at a place."""

LaneKey = tuple[str, Priority]

SUSPECTS: LaneKey = ("", Priority.critical)
"""The lane of all suspects, so that they hide nobody while they start one at a time."""


def _lane_of(run: ReadyRun) -> LaneKey:
    return SUSPECTS if run.crashes >= SUSPECT_CRASHES else (run.place, run.priority)


def _order(run: ReadyRun) -> tuple[int, int]:
    return run.vtime, run.ord


class _Lane:
    """The window of the ready runs of one class at one place."""

    __slots__ = ("arrived", "complete", "pushed", "refilling", "window")

    def __init__(self, *, complete: bool) -> None:
        self.window: list[ReadyRun] = []
        """In order; the smallest of the lane."""
        self.complete = complete
        """Whether the window is the whole lane."""
        self.pushed: ReadyRun | None = None
        """The head that stands in the heap of its class."""
        self.refilling = False
        self.arrived: list[ReadyRun] = []
        """What became ready while a page was being read: the page may or may not have it."""


class Scheduler:
    """The lanes that have work, and the order in which it starts."""

    def __init__(self, *, window: int) -> None:
        self.window = min(window, PAGE_MAX)
        self._lanes: dict[LaneKey, _Lane] = {}
        self._heads: dict[Priority, list[tuple[int, int, str]]] = {priority: [] for priority in Priority}
        """Heads of lanes as (vtime, ord, place); an entry that is no longer a head is skipped when it surfaces."""
        self._picks = 0

    @property
    def has_work(self) -> bool:
        return bool(self._lanes)

    def clear(self) -> None:
        """Forget everything: the board was emptied."""
        self._lanes.clear()
        for heads in self._heads.values():
            heads.clear()

    def open_lane(self, place: str, priority: Priority) -> None:
        """There are ready runs in the table that nobody told of: a page of them will be asked for."""
        self._lanes.setdefault((place, priority), _Lane(complete=False)).complete = False

    def put_back(self, run: ReadyRun) -> None:
        """A run that was taken could not be claimed: it has ended, or the table still has it."""
        key = _lane_of(run)
        self.open_lane(*key)
        lane = self._lanes[key]
        lane.window.clear()  # the page that is read next has it in its place
        lane.pushed = None

    def add(self, run: ReadyRun) -> None:
        """A run became ready."""
        lane = self._lanes.setdefault(_lane_of(run), _Lane(complete=True))
        if lane.refilling:
            lane.arrived.append(run)
        elif lane.complete or (lane.window and _order(run) < _order(lane.window[-1])):
            self._insert(lane, run)

    def _insert(self, lane: _Lane, run: ReadyRun) -> None:
        insort(lane.window, run, key=_order)
        if len(lane.window) > 2 * self.window:
            del lane.window[self.window :]
            lane.complete = False

    def wanted(self, room: Room) -> list[LaneKey]:
        """The lanes whose next page is to be read: nothing left in memory, more in the table, and room to start it.

        Each is to be answered with `refill`.
        """
        wanted = [
            key
            for key, lane in self._lanes.items()
            if not lane.window and not lane.complete and not lane.refilling
            if key == SUSPECTS or room(key[0]) > 0
        ]
        for key in wanted:
            self._lanes[key].refilling = True
        return wanted

    def refill(self, place: str, priority: Priority, page: Iterable[ReadyRun], *, complete: bool) -> None:
        """The first runs of a lane, read after it was wanted; `complete` where the table has no more."""
        lane = self._lanes.get((place, priority))
        if lane is None or not lane.refilling:
            return
        lane.refilling = False
        by_id = {run.run_id: run for run in page}
        last = max(map(_order, by_id.values()), default=None)
        for run in lane.arrived:
            if complete or (last is not None and _order(run) < last):
                by_id.setdefault(run.run_id, run)
        lane.arrived = []
        lane.complete = complete
        lane.window = sorted(by_id.values(), key=_order)
        if not lane.window and lane.complete:
            del self._lanes[place, priority]

    def take(self, room: Room, total: int, *, suspect_works: bool) -> list[ReadyRun]:
        """The runs to start now, in order, at most `total`; they leave the lanes.

        Best class first, in a class by virtual start time; one pick in sixteen the lowest class. At most one suspect,
        and none while one works.
        """
        taken: list[ReadyRun] = []
        used: dict[str, int] = {}

        def has_room(place: str) -> bool:
            return room(place) - used.get(place, 0) > 0

        if not suspect_works and total > 0 and (suspect := self._pop_suspect(has_room)) is not None:
            used[suspect.place] = 1
            taken.append(suspect)
        for (place, priority), lane in self._lanes.items():
            if (place, priority) != SUSPECTS and has_room(place):
                self._push_head(place, priority, lane)
        while len(taken) < total:
            lowest = (self._picks + 1) % LOWEST_EVERY == 0
            run = None
            for priority in sorted(Priority, reverse=lowest):
                run = self._pop(priority, has_room)
                if run is not None:
                    break
            if run is None:
                break
            self._picks += 1
            used[run.place] = used.get(run.place, 0) + 1
            taken.append(run)
        return taken

    def _pop_suspect(self, has_room: Callable[[str], bool]) -> ReadyRun | None:
        lane = self._lanes.get(SUSPECTS)
        run = next((run for run in lane.window if has_room(run.place)), None) if lane else None
        if lane is not None and run is not None:
            lane.window.remove(run)
            if not lane.window and lane.complete:
                del self._lanes[SUSPECTS]
        return run

    def _pop(self, priority: Priority, has_room: Callable[[str], bool]) -> ReadyRun | None:
        """The first head of a class whose agent has room; heads without room leave the heap until the next `take`."""
        heads = self._heads[priority]
        while heads:
            _, ord_, place = heapq.heappop(heads)
            lane = self._lanes.get((place, priority))
            if lane is None or lane.pushed is None or lane.pushed.ord != ord_:
                continue
            lane.pushed = None
            if lane.window[0].ord != ord_:  # a smaller one came meanwhile
                self._push_head(place, priority, lane)
            elif has_room(place):
                run = lane.window.pop(0)
                if lane.window or not lane.complete or lane.refilling:
                    self._push_head(place, priority, lane)
                else:
                    del self._lanes[place, priority]
                return run
        return None

    def _push_head(self, place: str, priority: Priority, lane: _Lane) -> None:
        if lane.window and lane.pushed is not lane.window[0]:
            lane.pushed = lane.window[0]
            heapq.heappush(self._heads[priority], (lane.pushed.vtime, lane.pushed.ord, place))
