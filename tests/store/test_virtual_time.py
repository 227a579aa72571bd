"""In which order the runs of a lane start: the bound, whatever comes, starts, leaves, and is rolled back."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.domain.priority import Priority
from flockd.store.virtual_time import Lane, VirtualTimes

LANE: Lane = ("a", Priority.normal)
LOW: Lane = ("a", Priority.low)
MANY = 10_000


class Waiting:
    """The runs that wait in one lane, in their order."""

    def __init__(self) -> None:
        self.times = VirtualTimes()
        self.queue: list[tuple[int, int, str]] = []
        self._made = 0

    def join(self, correlation: str) -> tuple[int, int, str]:
        self._made += 1
        run = (self.times.join(LANE, correlation), self._made, correlation)
        bisect.insort(self.queue, run)
        return run

    def start(self, run: tuple[int, int, str] | None = None) -> str:
        """The first one starts, or this one, which was chosen before."""
        vtime, _, correlation = run = run or self.queue[0]
        self.times.advance(LANE, vtime)
        self.leave(run)
        return correlation

    def leave(self, run: tuple[int, int, str]) -> None:
        self.queue.remove(run)
        self.times.leave(LANE, run[2])


def test_in_a_lane_correlations_start_one_by_one() -> None:
    waiting = Waiting()
    for correlation in "aaabbc":
        waiting.join(correlation)
    assert "".join(waiting.start() for _ in range(6)) == "abcaba"


def test_whoever_comes_late_is_not_behind_all_of_another() -> None:
    waiting = Waiting()
    for _ in range(MANY):
        waiting.join("many")
    for _ in range(100):
        waiting.start()
    waiting.join("one")
    assert "one" in [waiting.start() for _ in range(3)]


def test_each_lane_has_a_clock_of_its_own() -> None:
    """A class, or a place, that goes on does not make what comes to another one late."""
    times = VirtualTimes()
    for _ in range(MANY):
        times.join(LOW, "many")
    for _ in range(500):
        times.advance(LANE, times.join(LANE, "busy"))
        times.leave(LANE, "busy")
    assert times.join(LOW, "one") == 1


def test_of_what_does_not_wait_nothing_is_kept() -> None:
    times = VirtualTimes()
    for n in range(1000):
        lane = (f"place{n % 7}", Priority.normal)
        times.join(lane, f"c{n}")
        times.leave(lane, f"c{n}")
        times.commit()
    assert len(times) == 0
    assert times.join(LANE, "next") == 1


def test_whoever_left_the_queue_comes_back_as_one_who_never_was_in_it() -> None:
    """A correlation that was paused, or whose runs were cancelled, owes nothing for what did not start."""
    waiting = Waiting()
    mine = [waiting.join("mine") for _ in range(1000)]
    waiting.join("other")
    for run in mine:
        waiting.leave(run)
    assert waiting.join("mine")[0] == 1


def test_what_is_rolled_back_was_never_there() -> None:
    times = VirtualTimes()
    for _ in range(3):
        times.join(LANE, "a")
    times.commit()
    times.advance(LANE, 1)
    times.leave(LANE, "a")
    times.join(LANE, "b")
    times.join(LOW, "b")
    times.rollback()
    assert (times.join(LANE, "b"), times.join(LANE, "a"), len(times)) == (1, 4, 3)
    times.rollback()
    times.clear()
    assert (len(times), times.join(LANE, "a")) == (0, 1)
    times.rollback()
    assert times.join(LANE, "a") == 4


def test_a_restart_finds_the_order_again() -> None:
    times = VirtualTimes()
    times.seed(LANE, "a", 10, 501, 510)
    times.seed(LANE, "b", 1, 502, 502)
    assert (times.join(LANE, "c"), times.join(LANE, "b"), times.join(LANE, "a")) == (501, 503, 511)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 4)),
            st.tuples(st.just("start"), st.integers(1, 3)),
            st.tuples(st.just("leave"), st.integers(0, 4)),
            st.tuples(st.just("newcomer"), st.just(0)),
        ),
        max_size=120,
    )
)
def test_a_first_run_waits_for_at_most_two_of_each_other_correlation(steps: list[tuple[str, int]]) -> None:
    """And for as many more as one pass of the scheduler started, which chose them before it was known what came.

    A correlation may leave the queue at any time, with all that it has (a pause, a cancelling).
    """
    waiting = Waiting()
    before: dict[str, Counter[str]] = {}
    chosen: list[tuple[int, int, str]] = []
    """Chosen, and not started yet."""

    def start_chosen() -> None:
        while chosen:
            run = chosen.pop(0)
            if run in waiting.queue:
                waiting.start(run)
                before.pop(run[2], None)
                for counted in before.values():
                    counted[run[2]] += 1
                    assert counted[run[2]] <= 2 + 3

    for n, (step, number) in enumerate([*steps, *[("start", 3)] * (2 * len(steps) + 2)]):
        if step == "join":
            waiting.join(f"c{number}")
        elif step == "newcomer":
            before[waiting.join(f"newcomer{n}")[2]] = Counter()
        elif step == "leave":
            for run in [run for run in waiting.queue if run[2] == f"c{number}"]:
                waiting.leave(run)
        else:  # the choice of this pass is made when the last one's has started, and starts after what comes next
            start_chosen()
            chosen += waiting.queue[:number]
    start_chosen()
    assert not waiting.queue
    assert not before
    assert len(waiting.times) == 0


@settings(max_examples=200, deadline=None)
@given(joins=st.lists(st.integers(0, 5), max_size=60), starts=st.integers(0, 40))
def test_where_one_starts_at_a_time_the_bound_is_two(joins: list[int], starts: int) -> None:
    waiting = Waiting()
    for n, number in enumerate(joins):
        waiting.join(f"c{number}")
        if n % 3 == 0 and starts > n:
            waiting.start()
    waiting.join("newcomer")
    before: defaultdict[str, int] = defaultdict(int)
    for number in [*joins, *joins]:
        if (started := waiting.start()) == "newcomer":
            break
        before[started] += 1
        waiting.join(f"c{number}")
    assert max(before.values(), default=0) <= 2
