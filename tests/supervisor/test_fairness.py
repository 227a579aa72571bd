"""Who may wait for whom, as bounds: between the classes of priority, and between correlations of one class."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.domain.priority import Priority
from flockd.store.occupancy import Limits
from flockd.store.reads import ReadyRun
from flockd.supervisor.scheduler import LOWEST_EVERY, Scheduler

from ..rig import Rigs, agent, publication

MANY = 10_000


class Queue:
    """A scheduler with its table, under virtual start times that are given out as the board does (see new_run)."""

    def __init__(self, window: int) -> None:
        self.scheduler = Scheduler(window=window)
        self.correlation_of: dict[int, int] = {}
        self._table: dict[int, ReadyRun] = {}
        self._clock = 0
        self._vtimes: dict[int, int] = {}

    def wake(self, correlation: int, place: str, priority: Priority = Priority.normal) -> int:
        """One more ready run of a correlation; its number."""
        ord = len(self.correlation_of) + 1
        vtime = max(self._clock, self._vtimes.get(correlation, 0)) + 1
        self._vtimes[correlation] = vtime
        run = ReadyRun(f"run {ord}", place, priority, vtime, ord, 0)
        self.correlation_of[ord] = correlation
        self._table[ord] = run
        self.scheduler.add(run)
        return ord

    def start(self) -> int:
        """The run that starts next, where each place has room for it."""
        while True:
            for place, priority in self.scheduler.wanted(lambda _: 1):
                lane = [run for run in self._table.values() if (run.place, run.priority) == (place, priority)]
                lane.sort(key=lambda run: (run.vtime, run.ord))
                page = lane[: self.scheduler.window]
                self.scheduler.refill(place, priority, page, complete=len(page) < self.scheduler.window)
            taken = self.scheduler.take(lambda _: 1, 1, suspect_works=False)
            if taken:
                break
        (run,) = taken
        del self._table[run.ord]
        self._clock = max(self._clock, run.vtime)
        return run.ord

    def __len__(self) -> int:
        return len(self._table)


def test_ten_thousand_ready_runs_of_one_correlation_do_not_starve_one_of_another() -> None:
    queue = Queue(window=64)
    for n in range(MANY):
        queue.wake(1, f"agent{n % 3}")
    for _ in range(100):
        queue.start()
    late = queue.wake(2, "agent0")
    started = [queue.start() for _ in range(3)]
    assert late in started, "there are two correlations: after at most two others"


async def test_a_workflow_of_ten_thousand_ready_runs_does_not_starve_one_of_one(rigs: Rigs) -> None:
    """The same on a board, whose runs are in the table but for a window."""
    rig = await rigs(agent("one", "A", max_concurrency=1), lane_window=16)
    many = (await rig.publish("E")).correlation_id
    for _ in range(MANY // 500):
        await rig.board.publish_many([publication("A", n, many) for n in range(500)])
    assert rig.writer.occupancy.ready["one"] == MANY - 1
    await rig.publish("A", MANY)
    started: list[int] = []
    while MANY not in started:
        call = await rig.until(lambda: rig.working and rig.working[0])
        started.append(call.inputs[0])
        assert len(started) <= 1 + 2 + 1, "the one that was at work, two others, and then it"
        call.give()
        await call.ended.wait()
        await rig.until(lambda: rig.kinds().count("run.completed") == len(started))


@settings(max_examples=200, deadline=None)
@given(
    waiting=st.lists(st.integers(0, 5), max_size=60),
    steps=st.lists(st.integers(0, 6), max_size=80),
    places=st.integers(1, 3),
)
def test_a_first_run_waits_for_at_most_two_of_each_other_correlation(
    waiting: list[int], steps: list[int], places: int
) -> None:
    """The bound, whoever woke what before, and whatever wakes while it waits. A 6 starts a run."""
    queue = Queue(window=4)
    for n, correlation in enumerate(waiting):
        queue.wake(correlation, f"agent{n % places}")
    for _ in range(len(waiting) // 3):
        queue.start()
    mine = queue.wake(99, "agent0")
    before: Counter[int] = Counter()
    for n, step in enumerate([*steps, *[6] * (len(waiting) + len(steps) + 1)]):
        if step < 6:
            queue.wake(step, f"agent{n % places}")
        elif (started := queue.start()) == mine:
            break
        else:
            before[queue.correlation_of[started]] += 1
    else:
        raise AssertionError("it never started")
    assert max(before.values(), default=0) <= 2


@settings(max_examples=100, deadline=None)
@given(low=st.integers(1, 40), critical=st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_critical_work_starts_before_low_work_but_for_one_pick_in_sixteen(
    low: int, critical: list[int]
) -> None:
    """Between any two picks of the lowest class there are fifteen others, as long as better work is ready."""
    queue = Queue(window=4)
    lows = {queue.wake(n, "agent0", Priority.low) for n in range(low)}
    picks: list[bool] = []
    for n, more in enumerate(critical):
        for _ in range(more + 1):
            queue.wake(1000 + n, "agent0", Priority.critical)
        picks.append(queue.start() in lows)
    sixteenths = list(range(LOWEST_EVERY, len(picks) + 1, LOWEST_EVERY))
    assert [n for n, was_low in enumerate(picks, 1) if was_low] == sixteenths[:low]


async def test_a_critical_publication_starts_before_the_low_ones_that_wait(rigs: Rigs) -> None:
    """On a board that is full: each end makes room for one, and the choice is the scheduler's."""
    rig = await rigs(agent("one", "A"), limits=Limits(running=1))
    await rig.board.publish_many(
        [publication("A", n, priority=Priority.low) for n in range(3 * LOWEST_EVERY)]
    )
    await rig.board.publish_many(
        [publication("A", 1000 + n, priority=Priority.critical) for n in range(2 * LOWEST_EVERY)]
    )
    started: list[int] = []
    for done in range(1 + 2 * LOWEST_EVERY):
        call = await rig.until(lambda: rig.working and rig.working[0])
        started.append(call.inputs[0])
        call.give()
        await call.ended.wait()
        await rig.until(lambda n=done: rig.kinds().count("run.completed") == n + 1)  # type: ignore[misc]
    critical = [n for n in started[1:] if n >= 1000]
    low = [n for n in started[1:] if n < 1000]
    assert critical == list(range(1000, 1000 + len(critical)))
    assert low == [1, 2], "one pick in sixteen"
    assert started.index(low[1]) - started.index(low[0]) == LOWEST_EVERY
