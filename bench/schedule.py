"""What it costs to choose the next run, beside thousands of lanes that have work."""

from collections.abc import Callable, Iterator

from bench.choices import Choice, choice_rows
from bench.report import Row
from bench.rounds import Bench
from flockd.domain.agent import agent_at
from flockd.domain.priority import Priority
from flockd.store.reads import ReadyRun
from flockd.supervisor.scheduler import Scheduler

_EACH = 4
"""Runs that each lane has."""

_RATED = "rated"


def measure_schedule(bench: Bench) -> list[Row]:
    """One run out of 1,000 and 10,000 lanes, each against ten; another one becomes ready in the place of the chosen."""
    measures: list[tuple[str, Callable[[int], Choice]]] = [
        ("choose the next run, all have room", _all_have_room),
        ("choose the next run, all are of one workflow", _one_workflow),
        ("choose the next run, 1 has room", _one_has_room),
        ("choose what a place that is freed starts, all are full", _a_place_is_freed),
        ("choose what a rate that is renewed starts, of its keys", _a_rate_is_renewed),
    ]
    return [
        row
        for what, build in measures
        for row in choice_rows(bench, "schedule", what, "lanes with work", build)
    ]


class _Lanes:
    """A scheduler with so many lanes that have work, and the room that they have."""

    def __init__(self, count: int, *, name: str, correlations: Callable[[int], int], room: int) -> None:
        self.places = [name.format(n) for n in range(count)]
        self._scheduler = Scheduler(window=64, rated=(_RATED,))
        self._room = dict.fromkeys(self.places, room)
        self._correlations = correlations
        self._made = 0
        self.allowed = 0
        """Of the agent with a rate."""
        for _ in range(_EACH):
            for place in self.places:
                self._wake(place)

    def of(self, agent: str) -> int:
        return self.allowed if agent == _RATED else 1

    def at(self, place: str) -> int:
        return self._room[place]

    def free(self, place: str, room: int) -> None:
        self._room[place] = room
        self._scheduler.freed(place)

    def renew(self) -> None:
        self.allowed = 1
        self._scheduler.freed(_RATED)

    def start(self) -> str | None:
        """One pass of the supervisor; the place at which a run starts."""
        if self._scheduler.wanted(self):
            raise AssertionError("all lanes are in memory")
        taken = self._scheduler.take(self, 1, suspect_works=False)
        if not taken:
            return None
        self._wake(taken[0].place)
        return taken[0].place

    def _wake(self, place: str) -> None:
        self._made += 1
        correlation = f"correlation{self._correlations(self._made)}"
        run = ReadyRun(f"run{self._made}", place, Priority.normal, self._made, self._made, 0, correlation)
        self._scheduler.add(run)


def _own(made: int) -> int:
    """Each run is of a correlation of its own."""
    return made


def _all_have_room(count: int) -> Choice:
    return _started(_Lanes(count, name="agent{}", correlations=_own, room=1))


def _one_workflow(count: int) -> Choice:
    """But for one run in a hundred."""
    lanes = _Lanes(count, name="agent\0{}", correlations=lambda made: made if made % 100 == 0 else 0, room=1)
    return _started(lanes)


def _one_has_room(count: int) -> Choice:
    lanes = _Lanes(count, name="agent{}", correlations=_own, room=0)
    lanes.start()  # finds no room anywhere, once
    lanes.free(lanes.places[0], 1)
    return _started(lanes)


def _started(lanes: _Lanes) -> Choice:
    def choose() -> None:
        if lanes.start() is None:
            raise AssertionError("nothing could start")

    return choose


def _a_place_is_freed(count: int) -> Choice:
    """Each time another one, which is full again with the run that starts there."""
    lanes = _Lanes(count, name="agent{}", correlations=_own, room=0)
    lanes.start()  # finds no room anywhere, once
    turns = _again(lanes.places)

    def choose() -> None:
        place = next(turns)
        lanes.free(place, 1)
        if lanes.start() != place:
            raise AssertionError("nothing could start where there is room")
        lanes.free(place, 0)
        if lanes.start() is not None:
            raise AssertionError("a run started where there is no room")

    return choose


def _a_rate_is_renewed(count: int) -> Choice:
    """One start at a time; all keys have room."""
    lanes = _Lanes(count, name=f"{_RATED}\0{{}}", correlations=_own, room=1)

    def choose() -> None:
        lanes.renew()
        place = lanes.start()
        lanes.allowed = 0
        if place is None or agent_at(place) != _RATED or lanes.start() is not None:
            raise AssertionError("the rate lets one start")

    return choose


def _again(places: list[str]) -> Iterator[str]:
    while True:
        yield from places
