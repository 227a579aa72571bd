"""Which ready runs start next. Pure: no clock, no waiting, no I/O.

Runs queue in lanes, one for each priority class at each place, and one for the suspects there. Memory holds a window of
each lane; the rest stays in the table, and is read a page at a time as the window empties. A lane that may start
nothing now stands aside, and costs nothing, until `freed` names its place or its agent.

**Between classes**, while better work is ready and may start, fifteen of sixteen picks are of the best class, and one
is of the lowest.

**In a lane** the order was fixed when the runs became ready (see store/virtual_time.py). A run whose correlation has
nothing else in its lane starts after at most two runs of each other correlation there, however many of them wait, how
long the lane was held up and whatever happened elsewhere. Besides those come what was chosen already when it became
ready, and what a restart took back; and of each other correlation as many more as a single `take` started in this lane,
if they became ready while those were being claimed. Suspects are a class of their own: they start before all others,
and out of this order, but only one at a time.

**Between lanes**, where the places in all are what is scarce, correlations take turns, in each class. In its turn a
correlation has the head of a lane started in which it waits: its own run, or the one that is before it. All agents with
a rate take part as one member each, within which their correlations take turns; and what is not in a window yet has
one turn for all of it. So where n is the most members that there are at once, a correlation whose only run is at an
agent without a rate, and stands behind k others in the window of a lane that has room, starts within (k + 1) * n picks
of its class: however many runs the others have, and at however many places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable
from typing import Protocol

from flockd.domain.agent import agent_at
from flockd.domain.priority import Priority
from flockd.domain.run import SUSPECT_CRASHES
from flockd.store.reads import ReadyRun
from flockd.store.reads.base import PAGE_MAX
from flockd.supervisor.lane import Lane, LaneKey
from flockd.supervisor.turns import Turns

CLASSES: tuple[Priority | None, ...] = (None, *Priority)
"""None: suspects."""

LOWEST_EVERY = 16
"""One pick in so many takes the head of the lowest class, so that it moves too."""

_BEST_FIRST = sorted(Priority)
_LOWEST_FIRST = _BEST_FIRST[::-1]


class Room(Protocol):
    """What may start now."""

    def of(self, agent: str) -> int:
        """How many more runs of an agent may start, at all of its places; 0 while it is paused."""
        ...

    def at(self, place: str) -> int:
        """How many more runs may start at a place, by what works there."""
        ...


def _lane_of(run: ReadyRun) -> LaneKey:
    return run.place, None if run.crashes >= SUSPECT_CRASHES else run.priority


class _Gate:
    """An agent with a rate. Its lanes have turns among themselves, so that all of them can stand aside at once."""

    def __init__(self) -> None:
        self.open = True
        self.turns: dict[Priority | None, Turns[Lane]] = {one: Turns() for one in CLASSES}


class _Left:
    """What is left of the room for one agent and at one place, pick by pick."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._started_of: Counter[str] = Counter()
        self._started_at: Counter[str] = Counter()

    def of(self, agent: str) -> int:
        return self.room.of(agent) - self._started_of[agent]

    def at(self, place: str) -> int:
        return self.room.at(place) - self._started_at[place]

    def start(self, place: str) -> None:
        self._started_of[agent_at(place)] += 1
        self._started_at[place] += 1


class Scheduler:
    """The lanes that have work, and the order in which it starts.

    `rated`: the agents that have a rate. Of any other agent, any number of runs may start or none (`Room.of`).
    """

    def __init__(self, *, window: int, rated: Container[str] = ()) -> None:
        self.window = min(window, PAGE_MAX)
        self._rated = rated
        self._picks = 0
        self.clear()

    @property
    def has_work(self) -> bool:
        return bool(self._lanes)

    def clear(self) -> None:
        """Forget everything: the board was emptied."""
        self._lanes: dict[LaneKey, Lane] = {}
        self._hungry: dict[LaneKey, Lane] = {}
        """Lanes of which a page is needed, and may be of use."""
        self._aside: dict[str, list[Lane]] = {}
        """By what each waits for, a place or an agent: lanes that may start nothing now."""
        self._gates: dict[str, _Gate] = {}
        self._turns: dict[Priority | None, Turns[Lane]] = {one: Turns() for one in CLASSES}

    # -- what is told -----------------------------------------------------------------------------------------

    def open_lane(self, place: str, priority: Priority | None) -> None:
        """There are ready runs in the table that nobody told of: a page of them will be asked for."""
        lane = self._lane((place, priority), complete=False)
        self._withdraw(lane)
        lane.complete = False
        self._settle(lane)

    def put_back(self, run: ReadyRun) -> None:
        """A run that was taken could not be claimed: it has ended, or the table still has it."""
        lane = self._lane(_lane_of(run), complete=False)
        self._withdraw(lane)
        lane.fill((), complete=False)  # the page that is read next has it in its place
        self._settle(lane)
        self.freed(run.place)  # whoever stood aside for it may have stood aside for nothing

    def add(self, run: ReadyRun) -> None:
        """A run became ready."""
        lane = self._lane(_lane_of(run), complete=True)
        if lane.refilling:
            lane.arrived.append(run)
        elif lane.belongs(run):
            if lane.insert(run) and lane.stands:
                self._join(lane, run.correlation_id)
            if len(lane.window) > 2 * self.window:
                self._withdraw(lane)
                lane.fill(lane.window[: self.window], complete=False)
            self._settle(lane)

    def freed(self, name: str) -> None:
        """This place, or this agent, may start more than it did: what stood aside for it is looked at again."""
        for lane in self._aside.pop(name, ()):
            lane.aside = False
            self._settle(lane)
        gate = self._gates.get(name)
        if gate is not None and not gate.open:
            self._open(gate)

    def look_again(self, waits: Callable[[str], bool]) -> None:
        """Anything may start more than it did; and places at which nothing `waits` any more are forgotten.

        What was cancelled while its agent is paused is noticed by nobody else.
        """
        for name in [*self._aside, *self._gates]:
            self.freed(name)
        for lane in list(self._lanes.values()):
            if not lane.refilling and not waits(lane.place):
                self._withdraw(lane)
                lane.fill((), complete=True)
                self._settle(lane)

    # -- pages ------------------------------------------------------------------------------------------------

    def wanted(self, room: Room) -> list[LaneKey]:
        """The lanes whose next page is to be read: nothing left in memory, more in the table, and room to start it.

        Each is to be answered with `refill`.
        """
        wanted = []
        for lane in self._hungry.values():
            if room.of(lane.agent) <= 0:
                self._stand_aside(lane, lane.agent)
            elif room.at(lane.place) <= 0:
                self._stand_aside(lane, lane.place)
            else:
                lane.refilling = True
                wanted.append(lane.key)
        self._hungry.clear()
        return wanted

    def refill(
        self, place: str, priority: Priority | None, page: Iterable[ReadyRun], *, complete: bool
    ) -> None:
        """The first runs of a lane, read after it was wanted; `complete` where the table has no more."""
        lane = self._lanes.get((place, priority))
        if lane is not None and lane.refilling:
            lane.refill(page, complete=complete)
            self._settle(lane)

    # -- picks ------------------------------------------------------------------------------------------------

    def take(self, room: Room, total: int, *, suspect_works: bool) -> list[ReadyRun]:
        """The runs to start now, in order, at most `total`; they leave the lanes.

        Best class first, one pick in sixteen the lowest class. At most one suspect, and none while one works.
        """
        left, spent = _Left(room), list[_Gate]()
        taken: list[ReadyRun] = []
        if not suspect_works and total > 0 and (suspect := self._pick(None, left, spent)) is not None:
            taken.append(suspect)
        while len(taken) < total:
            lowest = (self._picks + 1) % LOWEST_EVERY == 0
            for priority in _LOWEST_FIRST if lowest else _BEST_FIRST:
                run = self._pick(priority, left, spent)
                if run is not None:
                    break
            else:
                break
            self._picks += 1
            taken.append(run)
        for gate in spent:
            self._open(gate)
        return taken

    def _pick(self, priority: Priority | None, left: _Left, spent: list[_Gate]) -> ReadyRun | None:
        """The head of the lane whose turn it is in a class. Those that come first and have no room stand aside.

        `spent` gets the agents whose rate lets no more start than this `take` has started.
        """
        turns = self._turns[priority]
        while (lane := turns.next()) is not None:
            if left.of(lane.agent) <= 0:
                gate = self._gates.get(lane.agent)
                if gate is None:
                    self._stand_aside(lane, lane.agent)
                    continue
                self._close(gate)
                if left.room.of(lane.agent) > 0:
                    spent.append(gate)
            elif left.at(lane.place) <= 0:
                self._stand_aside(lane, lane.place)
            else:
                turns.over()
                left.start(lane.place)
                return self._start_head(lane)
        return None

    def _start_head(self, lane: Lane) -> ReadyRun:
        run, was_last = lane.pop()
        if was_last:
            self._leave(lane, run.correlation_id)
        if not lane.window:
            self._withdraw(lane)
            self._settle(lane)
        return run

    # -- where a lane stands ------------------------------------------------------------------------------------

    def _lane(self, key: LaneKey, *, complete: bool) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, complete=complete)
            if lane.agent in self._rated:
                self._gates.setdefault(lane.agent, _Gate())
        return lane

    def _settle(self, lane: Lane) -> None:
        """A lane goes where it belongs, by what it has."""
        if lane.aside or lane.refilling or lane.stands:
            return
        if not lane.window:
            if lane.complete:
                del self._lanes[lane.key]
                self._hungry.pop(lane.key, None)
            else:
                self._hungry[lane.key] = lane
        else:
            lane.stands = True
            for member in lane.members:
                self._join(lane, member)

    def _withdraw(self, lane: Lane) -> None:
        """Out of the turns: what it has is about to change, or it may start nothing. `_settle` ends this."""
        if lane.stands:
            lane.stands = False
            for member in lane.members:
                self._leave(lane, member)

    def _stand_aside(self, lane: Lane, name: str) -> None:
        self._withdraw(lane)
        lane.aside = True
        self._aside.setdefault(name, []).append(lane)

    def _join(self, lane: Lane, member: str) -> None:
        turns, gate = self._turns[lane.priority], self._gates.get(lane.agent)
        if gate is None:
            turns.join(member, lane)
        else:
            gate.turns[lane.priority].join(member, lane)
            if gate.open:
                turns.admit(gate, gate.turns[lane.priority])

    def _leave(self, lane: Lane, member: str) -> None:
        turns, gate = self._turns[lane.priority], self._gates.get(lane.agent)
        if gate is None:
            turns.leave(member, lane)
        else:
            gate.turns[lane.priority].leave(member, lane)
            if not gate.turns[lane.priority]:
                turns.dismiss(gate)

    def _open(self, gate: _Gate) -> None:
        gate.open = True
        for priority, turns in gate.turns.items():
            if turns:
                self._turns[priority].admit(gate, turns)

    def _close(self, gate: _Gate) -> None:
        gate.open = False
        for turns in self._turns.values():
            turns.dismiss(gate)
