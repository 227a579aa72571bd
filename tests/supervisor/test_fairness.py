"""Who may wait for whom, as bounds: between correlations at one place and at many, and between classes of priority."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.domain.predicate import compile_path
from flockd.domain.priority import Priority
from flockd.domain.rate import Rate
from flockd.store.occupancy import Limits
from flockd.store.reads import ReadyRun
from flockd.store.virtual_time import VirtualTimes
from flockd.supervisor.scheduler import LOWEST_EVERY, Scheduler

from ..rig import Rig, Rigs, agent, publication

MANY = 10_000
HELD_UP = 1_000


class Queue:
    """A scheduler with its table: runs become ready and start as on a board, one after the other."""

    def __init__(self, window: int, *, rated: tuple[str, ...] = ()) -> None:
        self.scheduler = Scheduler(window=window, rated=rated)
        self.correlation_of: dict[int, int] = {}
        self.place_of: dict[int, str] = {}
        self.held: set[str] = set()
        """Places that have no room."""
        self._table: dict[int, ReadyRun] = {}
        self._times = VirtualTimes()

    def at(self, place: str) -> int:
        return 0 if place in self.held else 1

    def of(self, agent: str) -> int:
        return 0 if agent in self.held else 1

    def wake(self, correlation: int, place: str, priority: Priority = Priority.normal) -> int:
        """One more ready run of a correlation; its number."""
        ord = len(self.correlation_of) + 1
        vtime = self._times.join((place, priority), str(correlation))
        run = ReadyRun(f"run {ord}", place, priority, vtime, ord, 0, str(correlation))
        self.correlation_of[ord] = correlation
        self.place_of[ord] = place
        self._table[ord] = run
        self.scheduler.add(run)
        return ord

    def before(self, mine: int) -> int:
        """How many start before this run at its place, as it is now."""
        my = self._table[mine]
        return sum(
            (run.vtime, run.ord) < (my.vtime, my.ord)
            for run in self._table.values()
            if (run.place, run.priority) == (my.place, my.priority)
        )

    def correlations(self) -> int:
        """How many have ready runs."""
        return len({run.correlation_id for run in self._table.values()})

    def start(self) -> int:
        """The run that starts next."""
        while True:
            for place, priority in self.scheduler.wanted(self):
                lane = [run for run in self._table.values() if (run.place, run.priority) == (place, priority)]
                lane.sort(key=lambda run: (run.vtime, run.ord))
                page = lane[: self.scheduler.window]
                self.scheduler.refill(place, priority, page, complete=len(page) < self.scheduler.window)
            taken = self.scheduler.take(self, 1, suspect_works=False)
            if taken:
                break
        (run,) = taken
        del self._table[run.ord]
        self._times.advance((run.place, run.priority), run.vtime)
        self._times.leave((run.place, run.priority), run.correlation_id)
        return run.ord

    def release(self, *names: str) -> None:
        """These places, or agents, have room again."""
        self.held.difference_update(names)
        for name in names:
            self.scheduler.freed(name)

    def __len__(self) -> int:
        return len(self._table)


# -- at one place -------------------------------------------------------------------------------------------------


def test_ten_thousand_ready_runs_of_one_correlation_do_not_starve_one_of_another() -> None:
    queue = Queue(window=64)
    for _ in range(MANY):
        queue.wake(1, "agent")
    for _ in range(100):
        queue.start()
    late = queue.wake(2, "agent")
    assert late in [queue.start() for _ in range(3)], "there are two correlations: after at most two others"


@pytest.mark.parametrize("rated", [(), ("held",)], ids=["paused", "rate"])
def test_a_place_that_was_held_up_has_not_grown_old_meanwhile(rated: tuple[str, ...]) -> None:
    """Others went on; who comes then to where ten thousand of one correlation wait is not behind all of them."""
    queue = Queue(window=64, rated=rated)
    queue.held = {"held"}
    for _ in range(MANY):
        queue.wake(1, "held")
    for n in range(HELD_UP):
        queue.wake(n % 3 + 10, "free")
        queue.start()
    late = queue.wake(2, "held")
    queue.release("held")
    assert late in [queue.start() for _ in range(3)]


async def test_a_workflow_of_ten_thousand_ready_runs_does_not_starve_one_of_one(rigs: Rigs) -> None:
    """The same on a board, whose runs are in the table but for a window."""
    rig = await rigs(agent("one", "A", max_concurrency=1), lane_window=16)
    await many_ready(rig, "A")
    assert rig.writer.occupancy.ready["one"] == MANY - 1
    await rig.publish("A", MANY)
    await started_within(rig, "one", MANY, 1 + 2 + 1)


@pytest.mark.parametrize("held_by", ["a pause", "a pause of the workflow", "its limit", "its rate"])
async def test_a_newcomer_at_a_place_that_was_held_up_does_not_wait_for_all_of_another(
    rigs: Rigs, held_by: str
) -> None:
    """Ten thousand runs of one workflow wait at an agent that starts none of them, and other agents go on."""
    rate = Rate(3, 60_000) if held_by == "its rate" else None
    rig = await rigs(agent("held", "A", max_concurrency=1, rate=rate), agent("free", "B"), lane_window=16)
    held = rig.board.agents["held"]
    if held_by == "a pause":
        await rig.board.pause_agent(held, True)
    if held_by == "its rate":  # all of its starts but one
        for _ in range(2):
            await rig.publish("A")
            (await rig.call("held")).give()
            await rig.until(lambda: not rig.working)
    many = await many_ready(rig, "A")
    if held_by == "a pause of the workflow":
        await rig.board.pause_correlation(many, True)
    done = rig.kinds().count("run.completed")
    for n in range(30):
        other = (await rig.publish("B")).correlation_id
        for kind in "BA" if held_by == "a pause of the workflow" else "B":
            await rig.publish(kind, n, other)
        for _ in range(2):
            (await rig.call("free")).give()
            await rig.until(lambda: len([call for call in rig.working if call.agent == "free"]) <= 1)
        done += 2
        await rig.until(lambda done=done: rig.kinds().count("run.completed") >= done)  # type: ignore[misc]
    if held_by == "a pause of the workflow":
        await rig.board.pause_correlation(many, False)
    await rig.publish("A", MANY)
    if held_by == "a pause":
        await rig.board.pause_agent(held, False)
    await started_within(rig, "held", MANY, 1 + 2 + 1 + (30 if held_by == "a pause of the workflow" else 0))


async def many_ready(rig: Rig, type: str) -> str:
    """Ten thousand runs of one workflow become ready, but for those that start; its id."""
    many = (await rig.publish("E")).correlation_id
    for _ in range(MANY // 500):
        await rig.board.publish_many([publication(type, n, many) for n in range(500)])
    return many


async def started_within(rig: Rig, agent: str, n: int, most: int) -> None:
    """The run on `n` is at its engine when at most so many of its agent have been; the first may be there already."""
    started: list[int] = []
    done = rig.kinds().count("run.completed")
    while n not in started:
        rig.clock.advance(60)  # whatever its rate
        rig.supervisor._alarm.set()
        call = await rig.call(agent)
        started.append(call.inputs[0])
        assert len(started) <= most
        call.give()
        await call.ended.wait()
        done += 1
        await rig.until(lambda done=done: rig.kinds().count("run.completed") == done)  # type: ignore[misc]


@settings(max_examples=200, deadline=None)
@given(
    waiting=st.lists(st.integers(0, 5), max_size=60),
    steps=st.lists(st.integers(0, 7), max_size=80),
    held_up=st.integers(0, 20),
)
def test_a_first_run_waits_for_at_most_two_of_each_other_correlation_at_its_place(
    waiting: list[int], steps: list[int], held_up: int
) -> None:
    """The bound, whoever woke what before, and whatever wakes while it waits. 6 starts a run, 7 holds the place up."""
    queue = Queue(window=4)
    for correlation in waiting:
        queue.wake(correlation, "agent")
    for _ in range(len(waiting) // 3):
        queue.start()
    queue.held = {"agent"}
    for n in range(held_up):
        queue.wake(n % 7, "other")
        queue.start()
    queue.release("agent")
    mine = queue.wake(99, "agent")
    before: Counter[int] = Counter()
    for step in [*steps, *[6] * (len(waiting) + len(steps) + 1)]:
        if step < 6:
            queue.wake(step, "agent")
        elif step == 7:
            queue.held = {"agent"}
            queue.wake(step, "other")
            queue.start()
            queue.release("agent")
        elif (started := queue.start()) == mine:
            break
        else:
            before[queue.correlation_of[started]] += 1
    else:
        raise AssertionError("it never started")
    assert max(before.values(), default=0) <= 2


# -- between places -----------------------------------------------------------------------------------------------


def test_a_workflow_at_thousands_of_keys_waits_its_turn() -> None:
    """One run starts at a time, and each key has room."""
    queue = Queue(window=64)
    for n in range(MANY):
        queue.wake(1, f"agent\0{n}")
    for _ in range(100):
        queue.start()
    late = queue.wake(2, "agent\0none of those")
    assert late in [queue.start() for _ in range(2)]


def test_who_is_behind_a_workflow_of_thousands_of_keys_at_one_of_them_has_its_turns_for_what_is_before_it() -> (
    None
):
    """Else it would wait until the other one has had a turn for each of its keys."""
    queue = Queue(window=64)
    for n in range(MANY):
        queue.wake(1, f"agent\0{n}")
    late = queue.wake(2, f"agent\0{MANY - 1}")
    assert queue.before(late) == 1
    assert late in [queue.start() for _ in range(4)]


async def test_on_a_board_that_is_full_a_workflow_of_many_keys_waits_its_turn(rigs: Rigs) -> None:
    rig = await rigs(
        agent("a", "A", max_concurrency=1, concurrency_key=compile_path("n")), limits=Limits(running=1)
    )
    many = (await rig.publish("E")).correlation_id
    for begin in range(0, 2000, 500):
        await rig.board.publish_many([publication("A", n, many) for n in range(begin, begin + 500)])
    await rig.publish("A", MANY)
    await started_within(rig, "a", MANY, 1 + 1 + 1)


@settings(max_examples=300, deadline=None)
@given(
    waiting=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=80),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7)), max_size=80),
    started=st.integers(0, 30),
    window=st.integers(20, 40),
    mine=st.integers(0, 7),
)
def test_a_first_run_starts_within_a_turn_of_each_member_for_each_run_before_it(
    waiting: list[tuple[int, int]],
    steps: list[tuple[int, int]],
    started: int,
    window: int,
    mine: int,
) -> None:
    """The bound, whoever has runs at whichever places. From 6 on it is a start."""
    queue = Queue(window=window)
    for correlation, place in waiting:
        queue.wake(correlation, f"agent{place}")
    for _ in range(min(started, len(queue))):
        queue.start()
    late = queue.wake(99, f"agent{mine}")
    members = queue.correlations() + 1
    picks: list[str] = []
    for correlation, place in [*steps, *[(9, 0)] * (len(waiting) + len(steps) + 1)]:
        if correlation < 6:
            queue.wake(correlation, f"agent{place}")
            members = max(members, queue.correlations() + 1)
        else:
            number = queue.start()
            picks.append(queue.place_of[number])
            if number == late:
                break
    else:
        raise AssertionError("it never started")
    assert len(picks) <= picks.count(f"agent{mine}") * members


# -- between classes ----------------------------------------------------------------------------------------------


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
