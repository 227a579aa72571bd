"""Whatever happens to lanes, nothing that may start stays behind, and nothing starts twice: against a naive model."""

from __future__ import annotations

import bisect
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flockd.domain.agent import agent_at
from flockd.domain.priority import Priority
from flockd.domain.run import SUSPECT_CRASHES
from flockd.store.reads import ReadyRun
from flockd.supervisor.lane import LaneKey, order
from flockd.supervisor.scheduler import Scheduler

WINDOW = 3
TOTAL = 6
CAP = 1
RATE = 2

PLACES = ("plain", "keyed\0a", "keyed\0b", "rated\0a", "rated\0b", "rated\0c")
RATED = ("rated",)

RUNS = st.tuples(
    st.sampled_from(PLACES),
    st.sampled_from([Priority.high, Priority.normal]),
    st.integers(0, 3),  # correlation
    st.integers(1, 9),  # virtual start time
    st.sampled_from([0] * 9 + [SUSPECT_CRASHES]),
)


def _lane_of(run: ReadyRun) -> LaneKey:
    return run.place, run.priority if run.crashes < SUSPECT_CRASHES else None


class Lanes(RuleBasedStateMachine):
    """The table, what works, who is paused and what the rate has left; the scheduler is told of each change once."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(window=WINDOW, rated=RATED)
        self.ready: dict[str, ReadyRun] = {}
        self.working: list[ReadyRun] = []
        self.paused: set[str] = set()
        self.rate_left = RATE
        self.rate_was_asked = False
        self.reading: list[tuple[LaneKey, list[ReadyRun], bool]] = []
        """Pages on their way, as the table was when they were read."""
        self._made = 0

    # -- the room ---------------------------------------------------------------------------------------------

    def of(self, agent: str) -> int:
        if agent in self.paused:
            return 0
        if agent not in RATED:
            return 1_000_000
        self.rate_was_asked |= self.rate_left <= 0
        return self.rate_left

    def at(self, place: str) -> int:
        return CAP - sum(run.place == place for run in self.working)

    # -- what happens -----------------------------------------------------------------------------------------

    @rule(runs=st.lists(RUNS, min_size=1, max_size=8))
    def wake(self, runs: list[tuple[str, Priority, int, int, int]]) -> None:
        for place, priority, correlation, vtime, crashes in runs:
            self._made += 1
            run = ReadyRun(f"r{self._made}", place, priority, vtime, self._made, crashes, f"c{correlation}")
            self.ready[run.run_id] = run
            self.scheduler.add(run)

    @precondition(lambda self: self.ready)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """The scheduler is not told: the run's claim is refused."""
        del self.ready[data.draw(st.sampled_from(sorted(self.ready)))]

    @precondition(lambda self: self.ready)
    @rule(data=st.data(), vtime=st.integers(1, 9))
    def pause_and_resume(self, data: st.DataObject, vtime: int) -> None:
        """It is told again, with another place in its lane."""
        run = self.ready[data.draw(st.sampled_from(sorted(self.ready)))]._replace(vtime=vtime)
        self.ready[run.run_id] = run
        self.scheduler.add(run)

    @rule()
    def look_again(self) -> None:
        places = {run.place for run in self.ready.values()}
        self.scheduler.look_again(lambda place: place in places)
        self.rate_was_asked = False

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        run = self.working.pop(data.draw(st.integers(0, len(self.working) - 1)))
        self.scheduler.freed(run.place)

    @rule(agent=st.sampled_from(["plain", "keyed", "rated"]))
    def pause_or_resume(self, agent: str) -> None:
        if agent in self.paused:
            self.paused.remove(agent)
            self.scheduler.freed(agent)
        else:
            self.paused.add(agent)

    @rule()
    def renew(self) -> None:
        """Who asked a rate that was used up is told of its renewal; nobody else is."""
        self.rate_left = RATE
        if self.rate_was_asked:
            self.rate_was_asked = False
            self.scheduler.freed("rated")

    @rule()
    def restart(self) -> None:
        self.scheduler = Scheduler(window=WINDOW, rated=RATED)
        self.reading.clear()
        for run in self.ready.values():
            self.scheduler.open_lane(*_lane_of(run))

    @precondition(lambda self: len(self.ready) > 30)
    @rule()
    def empty(self) -> None:
        self.ready.clear()
        self.scheduler.clear()

    @rule()
    def read_pages(self) -> None:
        for key in self.scheduler.wanted(self):
            lane: list[ReadyRun] = []
            for run in self.ready.values():
                if _lane_of(run) == key:
                    bisect.insort(lane, run, key=order)
            self.reading.append((key, lane[:WINDOW], len(lane) < WINDOW))

    @rule()
    def get_pages(self) -> None:
        for (place, priority), page, complete in self.reading:
            self.scheduler.refill(place, priority, page, complete=complete)
        self.reading.clear()

    @rule(refused=st.sampled_from([False, False, False, True]))
    def pass_(self, refused: bool) -> None:
        """One pass of the supervisor; in a `refused` one, all claims fail."""
        self.read_pages()
        self.get_pages()
        suspect_works = any(run.crashes >= SUSPECT_CRASHES for run in self.working)
        total = TOTAL - len(self.working)
        taken = self.scheduler.take(self, total, suspect_works=suspect_works)
        assert len(taken) <= max(0, total)
        for agent, count in Counter(agent_at(run.place) for run in taken).items():
            assert count <= self.of(agent)
        for place, count in Counter(run.place for run in taken).items():
            assert count <= self.at(place)
        for run in taken:
            if refused or self.ready.get(run.run_id) != run:
                self.scheduler.put_back(run)
                continue
            del self.ready[run.run_id]
            self.working.append(run)
            self.rate_left -= agent_at(run.place) in RATED
        self._picked = len(taken)

    # -- what holds -------------------------------------------------------------------------------------------

    @rule()
    def come_to_rest(self) -> None:
        """Passes go on until there is nothing more to pick: then nothing that is ready may start."""
        for _ in range(500):
            self.pass_(False)
            if not self._picked:
                break
        else:
            raise AssertionError("it never comes to rest")
        if len(self.working) >= TOTAL:
            return
        suspect_works = any(run.crashes >= SUSPECT_CRASHES for run in self.working)
        for run in self.ready.values():
            if run.crashes < SUSPECT_CRASHES or not suspect_works:
                assert self.of(agent_at(run.place)) <= 0 or self.at(run.place) <= 0, run

    def teardown(self) -> None:
        self.come_to_rest()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert all(len(lane.window) <= 2 * WINDOW + 1 for lane in self.scheduler._lanes.values())


TestLanes = Lanes.TestCase
TestLanes.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
