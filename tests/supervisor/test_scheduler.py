"""Which ready runs start next: the pure rules, on lanes made by hand."""

from collections import Counter
from collections.abc import Mapping

from flockd.domain.priority import Priority
from flockd.store.reads import ReadyRun
from flockd.supervisor.scheduler import LOWEST_EVERY, Room, Scheduler

WINDOW = 4


class Free:
    """So much room is at these places, and so many runs of these agents may start; of any that is not named, many."""

    def __init__(self, at: Mapping[str, int], of: Mapping[str, int], *, others: int = 1000) -> None:
        self._at = at
        self._of = of
        self._others = others

    def at(self, place: str) -> int:
        return self._at.get(place, self._others)

    def of(self, agent: str) -> int:
        return self._of.get(agent, 1000)


plenty = Free({}, {})


def room(**free: int) -> Room:
    """So much room is at these places, and none elsewhere."""
    return Free(free, {}, others=0)


def allowed(**allowed: int) -> Room:
    """So many runs of these agents may start, wherever there is a place."""
    return Free({}, allowed)


def run(
    ord: int,
    place: str = "a",
    priority: Priority = Priority.normal,
    vtime: int = 0,
    crashes: int = 0,
    *,
    of: str | None = None,
) -> ReadyRun:
    """A ready run; `of`: its correlation, one of its own if it is not named."""
    return ReadyRun(f"r{ord}", place, priority, vtime, ord, crashes, of or f"c{ord}")


def made(*runs: ReadyRun, window: int = WINDOW, rated: tuple[str, ...] = ()) -> Scheduler:
    scheduler = Scheduler(window=window, rated=rated)
    for one in runs:
        scheduler.add(one)
    return scheduler


def take(scheduler: Scheduler, total: int = 1000, free: Room = plenty, works: bool = False) -> list[int]:
    return [one.ord for one in scheduler.take(free, total, suspect_works=works)]


def test_better_classes_come_first_and_in_a_lane_the_smaller_virtual_time() -> None:
    scheduler = made(
        run(1, priority=Priority.low),
        run(2, vtime=9),
        run(3, "b", vtime=5),
        run(4, priority=Priority.critical, vtime=99),
        run(5, "b", priority=Priority.high),
        run(6, vtime=5),
    )
    assert take(scheduler) == [4, 5, 6, 3, 2, 1]
    assert not scheduler.has_work


def test_one_pick_in_sixteen_is_of_the_lowest_class() -> None:
    low, high = 1000, 100
    scheduler = made(
        *(run(n, priority=Priority.high) for n in range(high)),
        *(run(low + n, priority=Priority.low) for n in range(10)),
        window=500,
    )
    picks = take(scheduler, 3 * LOWEST_EVERY)
    lowest = [index for index, ord in enumerate(picks) if ord >= low]
    assert lowest == [LOWEST_EVERY - 1, 2 * LOWEST_EVERY - 1, 3 * LOWEST_EVERY - 1]


def test_the_one_in_sixteen_is_counted_over_single_picks_too() -> None:
    scheduler = made(
        *(run(n, priority=Priority.high) for n in range(40)), run(1000, priority=Priority.low), window=500
    )
    picks = [take(scheduler, 1)[0] for _ in range(LOWEST_EVERY)]
    assert picks[-1] == 1000
    assert 1000 not in picks[:-1]


def test_a_correlation_of_many_runs_does_not_hold_up_one_of_few() -> None:
    """Virtual start times, as the board gives them out: one more for each run of a correlation."""
    many = [run(n, vtime=n + 1, of="many") for n in range(100)]
    few = [run(1000 + n, vtime=n + 1, of="few") for n in range(3)]
    scheduler = made(*many, *few, window=500)
    first = take(scheduler, 6)
    assert sorted(first) == [0, 1, 2, 1000, 1001, 1002]


def test_an_agent_without_room_hides_nobody() -> None:
    scheduler = made(*(run(n, "full") for n in range(3)), run(10, "free"), run(11, "one"), run(12, "one"))
    assert take(scheduler, free=room(free=5, one=1)) == [10, 11]
    scheduler.freed("full")
    assert take(scheduler, free=room(full=2)) == [0, 1]
    scheduler.freed("full")
    scheduler.freed("one")
    assert take(scheduler, free=room(full=5, one=1)) == [2, 12]


def test_a_lane_without_room_is_not_asked_again_until_its_place_or_agent_is_freed() -> None:
    """That is what makes it cost nothing."""
    scheduler = made(run(1, "a"), run(2, "b"))
    assert take(scheduler, free=Free({"a": 0}, {"b": 0})) == []
    assert take(scheduler) == []
    scheduler.freed("c")
    assert take(scheduler) == []
    scheduler.freed("a")
    assert take(scheduler) == [1]
    scheduler.freed("b")
    assert take(scheduler) == [2]


def test_anything_may_be_looked_at_again() -> None:
    scheduler = made(run(1, "a"), run(2, "b"), run(3, "c"), rated=("c",))
    scheduler.open_lane("d", Priority.normal)
    assert scheduler.wanted(room()) == []
    assert take(scheduler, free=Free({"a": 0}, {"b": 0, "c": 0})) == []
    scheduler.look_again(lambda _place: True)
    assert scheduler.wanted(plenty) == [("d", Priority.normal)]
    assert take(scheduler) == [1, 2, 3]


def test_where_nothing_waits_any_more_nothing_is_kept() -> None:
    scheduler = made(run(1, "a"), run(2, "b"), run(3, "c", crashes=2), run(4, "d"), rated=("c",))
    assert take(scheduler, free=Free({}, {"a": 0, "c": 0}), total=1) == [2]
    scheduler.look_again(lambda place: place == "d")
    assert take(scheduler) == [4]
    assert not scheduler.has_work


def test_what_stands_aside_for_a_run_that_could_not_be_claimed_is_looked_at_again() -> None:
    """Nothing works at its place, so nobody will ever free it."""
    scheduler = made(run(1), run(2, priority=Priority.low))
    (first,) = scheduler.take(room(a=1), 5, suspect_works=False)
    assert take(scheduler, free=room(a=1)) == []
    scheduler.put_back(first)
    assert scheduler.wanted(room(a=1)) == [("a", Priority.normal)]
    scheduler.refill("a", Priority.normal, [], complete=True)
    assert take(scheduler, free=room(a=1)) == [2]


def test_no_more_is_picked_of_an_agent_than_its_rate_allows_at_all_of_its_places() -> None:
    keys = [run(n, f"a\0{n}") for n in range(5)]
    scheduler = made(*keys, run(10, "b"), rated=("a",))
    assert take(scheduler, free=allowed(a=2)) == [0, 10, 1]
    assert take(scheduler, free=allowed(a=0)) == []
    assert take(scheduler) == [], "its rate is asked when it has been renewed"
    scheduler.freed("a")
    assert take(scheduler, free=allowed(a=1)) == [2]
    assert take(scheduler, free=allowed(a=1)) == [3], "the rate has not stopped it yet"


def test_what_becomes_ready_while_a_rate_stops_its_agent_waits_for_the_rate() -> None:
    scheduler = made(run(1), rated=("a",))
    assert take(scheduler, free=allowed(a=0)) == []
    scheduler.add(run(2, "a\0key"))
    scheduler.add(run(3, priority=Priority.high))
    assert take(scheduler) == []
    scheduler.freed("a")
    assert take(scheduler, free=allowed(a=2)) == [3, 1]
    assert take(scheduler, free=allowed(a=1)) == [2]
    assert not scheduler.has_work


def test_the_correlations_of_an_agent_with_a_rate_take_turns() -> None:
    many = [run(n, f"a\0{n}", of="many") for n in range(100)]
    scheduler = made(*many, run(200, "a\0200"), run(300, "b"), rated=("a",))
    assert set(take(scheduler, 4)) >= {200, 300}


def test_never_more_than_there_is_room_for_in_all() -> None:
    scheduler = made(*(run(n) for n in range(4)))
    assert take(scheduler, 0) == []
    assert take(scheduler, -1) == []
    assert take(scheduler, 3) == [0, 1, 2]


def test_a_smaller_one_that_comes_late_is_the_head() -> None:
    scheduler = made(run(5, vtime=5))
    assert take(scheduler, free=room()) == []
    scheduler.add(run(6, vtime=1))
    scheduler.freed("a")
    assert take(scheduler, 1) == [6]
    assert take(scheduler, 1) == [5]


# -- what is in memory, and what in the table ---------------------------------------------------------------------


def test_memory_is_bounded_whatever_becomes_ready() -> None:
    scheduler = made(*(run(n) for n in range(10_000)))
    (lane,) = scheduler._lanes.values()
    assert len(lane.window) <= 2 * WINDOW
    assert take(scheduler) == list(range(WINDOW))
    assert scheduler.wanted(plenty) == [("a", Priority.normal)], "the rest is in the table"


def test_a_window_that_is_empty_is_filled_from_the_table() -> None:
    table = [run(n) for n in range(30)]
    scheduler = made(*table)
    seen: list[int] = []
    while scheduler.has_work:
        for lane in scheduler.wanted(plenty):
            page = table[len(seen) : len(seen) + WINDOW]
            scheduler.refill(*lane, page, complete=len(page) < WINDOW)
        seen += take(scheduler, 3)
    assert seen == list(range(30))


def test_a_lane_is_read_only_where_it_is_empty_and_its_agent_has_room() -> None:
    scheduler = Scheduler(window=WINDOW)
    scheduler.open_lane("a", Priority.normal)
    scheduler.open_lane("b", Priority.low)
    assert scheduler.wanted(room(b=1)) == [("b", Priority.low)]
    assert scheduler.wanted(room(b=1)) == [], "it is being read"
    scheduler.freed("a")
    assert scheduler.wanted(plenty) == [("a", Priority.normal)]
    scheduler.refill("a", Priority.normal, [], complete=True)
    scheduler.refill("b", Priority.low, [run(1, "b", Priority.low)], complete=True)
    assert scheduler.wanted(plenty) == []
    assert take(scheduler) == [1]
    assert not scheduler.has_work


def test_what_becomes_ready_while_a_page_is_read_is_neither_lost_nor_doubled() -> None:
    for complete in (True, False):
        scheduler = Scheduler(window=WINDOW)
        scheduler.open_lane("a", Priority.normal)
        scheduler.wanted(plenty)
        scheduler.add(run(2))  # the page has it
        scheduler.add(run(3))  # the page was read before it
        scheduler.add(run(9))  # beyond the page
        scheduler.refill("a", Priority.normal, [run(1), run(2), run(4)], complete=complete)
        assert take(scheduler) == [1, 2, 3, 4] + ([9] if complete else [])
        assert scheduler.has_work is not complete, "the rest is in the table"


def test_what_becomes_ready_while_an_empty_page_is_read_is_kept() -> None:
    scheduler = Scheduler(window=WINDOW)
    scheduler.open_lane("a", Priority.normal)
    scheduler.wanted(plenty)
    scheduler.add(run(1))
    scheduler.refill("a", Priority.normal, [], complete=True)
    assert take(scheduler) == [1]


def test_what_comes_behind_the_window_of_a_longer_lane_stays_in_the_table() -> None:
    scheduler = Scheduler(window=WINDOW)
    scheduler.open_lane("a", Priority.normal)
    scheduler.wanted(plenty)
    scheduler.refill("a", Priority.normal, [run(n) for n in range(4)], complete=False)
    scheduler.add(run(10))
    scheduler.add(run(11, vtime=-1))
    assert take(scheduler) == [11, 0, 1, 2, 3]
    assert scheduler.wanted(plenty) == [("a", Priority.normal)]


def test_a_run_that_could_not_be_claimed_is_looked_for_in_the_table() -> None:
    scheduler = made(run(1), run(2, crashes=2))
    taken = scheduler.take(plenty, 5, suspect_works=False)
    assert not scheduler.has_work
    for one in taken:
        scheduler.put_back(one)
    assert Counter(scheduler.wanted(plenty)) == Counter([("a", Priority.normal), ("a", None)])


def test_a_page_that_comes_after_the_board_was_emptied_is_dropped() -> None:
    scheduler = Scheduler(window=WINDOW)
    scheduler.open_lane("a", Priority.normal)
    scheduler.wanted(plenty)
    scheduler.clear()
    scheduler.refill("a", Priority.normal, [run(1)], complete=True)
    assert not scheduler.has_work
    scheduler.add(run(2))
    assert take(scheduler) == [2]


# -- suspects -----------------------------------------------------------------------------------------------------


def test_suspects_start_one_at_a_time_and_hide_nobody() -> None:
    scheduler = made(run(1, crashes=2), run(2, crashes=3), run(3))
    assert take(scheduler) == [1, 3]
    scheduler.add(run(4))
    assert take(scheduler, works=True) == [4]
    assert take(scheduler) == [2]
    assert not scheduler.has_work


def test_a_suspect_without_room_lets_the_next_one_go() -> None:
    scheduler = made(run(1, "full", crashes=2), run(2, "free", crashes=2))
    assert take(scheduler, free=room(free=1)) == [2]
    scheduler.freed("full")
    assert take(scheduler, free=room(full=1)) == [1]


def test_a_suspect_counts_as_one_of_its_agents_places() -> None:
    scheduler = made(run(1, crashes=2), run(2))
    assert take(scheduler, free=room(a=1)) == [1]
    scheduler.freed("a")
    assert take(scheduler, free=room(a=1)) == [2]


def test_suspects_are_read_from_the_table_a_page_at_a_time() -> None:
    scheduler = Scheduler(window=WINDOW)
    scheduler.open_lane("a", None)
    assert scheduler.wanted(plenty) == [("a", None)]
    scheduler.refill("a", None, [run(n, crashes=2) for n in range(WINDOW)], complete=False)
    assert [take(scheduler) for _ in range(WINDOW)] == [[n] for n in range(WINDOW)]
    assert scheduler.wanted(plenty) == [("a", None)]
    scheduler.refill("a", None, [], complete=True)
    assert not scheduler.has_work
