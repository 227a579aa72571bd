"""What a choice costs beside thousands that are not chosen: agents for an artifact, and the next run of many lanes.

Both are functions of values in memory, timed in this process. The ceiling is the same choice where there are ten: what
there is more of should cost nothing.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from bench.report import Row
from bench.rounds import Bench
from flockd.domain.agent import Agent
from flockd.domain.predicate import compile_where
from flockd.domain.priority import Priority
from flockd.domain.subscription import Candidate, Matcher, Subscription
from flockd.domain.visibility import PUBLIC
from flockd.domain.where import WherePayload
from flockd.store.reads import ReadyRun
from flockd.supervisor.scheduler import Scheduler

MOST_MICROSECONDS = 50.0
"""To match one artifact, whoever else subscribes."""

FEW = 10
MANY = (1_000, 10_000)
CARE = 10
"""Agents that subscribe to the type of the artifact, where some do."""

_WINDOW = 64
"""Ready runs of a lane in memory; the cost of a choice should not depend on it."""

Choice = Callable[[], object]


def measure_match(bench: Bench) -> list[Row]:
    """One artifact against 1,000 and 10,000 subscriptions, and one run out of as many lanes, each against ten."""
    return [
        *_rows(bench, "match an artifact that nobody wants", "agents", _match_none, MOST_MICROSECONDS),
        *_rows(bench, "match, 1 agent wants its type", "agents", _match_one, MOST_MICROSECONDS),
        *_rows(bench, f"match, {CARE} ask more of it", "agents", _match_choosy, MOST_MICROSECONDS),
        *_rows(bench, "choose the next run", "lanes with work", _choose, None),
        *_rows(bench, "choose the next run, 1 agent has room", "lanes with work", _choose_free, None),
    ]


def _rows(bench: Bench, what: str, unit: str, build: Callable[[int], Choice], aim: float | None) -> list[Row]:
    """A row for each of the larger numbers; all are timed in turn."""
    bench.progress(what)
    choices = {count: build(count) for count in (FEW, *MANY)}
    times: dict[int, list[float]] = {count: [] for count in choices}
    for _ in range(bench.rounds):
        for count, choice in choices.items():
            times[count].append(_microseconds(choice, bench.seconds / 10))
    few = times[FEW]
    return [
        Row(
            part="match",
            measure=f"{what}, {count:,} {unit}",
            unit="µs",
            flockd=statistics.median(times[count]),
            ceiling=statistics.median(few),
            ratios=tuple(ten / ours for ten, ours in zip(few, times[count], strict=True)),
            note=f"beside {FEW}: {statistics.median(few):.2f} µs",
            aim="" if aim is None else f"< {aim:.0f} µs",
            met=None if aim is None else statistics.median(times[count]) < aim,
        )
        for count in MANY
    ]


def _microseconds(choice: Choice, seconds: float) -> float:
    """What one call takes, over as many as fit into so long."""
    choice()
    calls, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        for _ in range(20):
            choice()
        calls += 20
    return elapsed / calls * 1e6


# -- matching -----------------------------------------------------------------------------------------------------


def _match_none(count: int) -> Choice:
    return _match(_others(count), expected=0)


def _match_one(count: int) -> Choice:
    return _match([*_others(count - 1), Agent("wants", Subscription(("Wanted",)), ())], expected=1)


def _match_choosy(count: int) -> Choice:
    """Of those that want the type, every other one refuses: by its predicate, its tags or its producers."""
    where = [WherePayload(compile_where(f"n == `{n}`")) for n in (1, 2)]
    tags = [frozenset({"red"}), frozenset({"blue"})]
    producers = [frozenset({"external"}), frozenset({"nobody"})]
    choosy = [
        Subscription(("Wanted",), where=where[n % 2], tags=tags[0], from_agents=producers[0])
        if n % 3 == 0
        else Subscription(("Wanted",), where=where[0], tags=tags[n % 2], from_agents=producers[0])
        if n % 3 == 1
        else Subscription(("Wanted",), where=where[0], tags=tags[0], from_agents=producers[n % 2])
        for n in range(CARE)
    ]
    agents = [Agent(f"choosy{n}", subscription, ()) for n, subscription in enumerate(choosy)]
    return _match([*_others(count - CARE), *agents], expected=CARE // 2)


def _match(agents: Sequence[Agent], *, expected: int) -> Choice:
    matcher = Matcher(agents)

    def match() -> int:
        candidate = Candidate("Wanted", b'{"n":1}', None, "external", ("red",), PUBLIC)
        return len(matcher.match(candidate))

    if match() != expected:
        raise AssertionError(f"the artifact wakes {match()} agents, not {expected}")
    return match


def _others(count: int) -> list[Agent]:
    return [Agent(f"other{n}", Subscription((f"Other{n}",)), ()) for n in range(count)]


# -- choosing -----------------------------------------------------------------------------------------------------


def _choose(count: int) -> Choice:
    """All lanes have work and room; one run starts, and another one becomes ready in its place."""
    return _next_of(count, room=lambda _: 1)


def _choose_free(count: int) -> Choice:
    """All lanes have work, and all but one agent are at their limits."""
    return _next_of(count, room=lambda place: int(place == "agent0"))


def _next_of(count: int, room: Callable[[str], int]) -> Choice:
    scheduler = Scheduler(window=_WINDOW)
    ord_ = 0
    for n in range(count):
        for _ in range(2):
            ord_ += 1
            scheduler.add(ReadyRun(f"run{ord_}", f"agent{n}", Priority.normal, ord_, ord_, 0))

    def choose() -> None:
        nonlocal ord_
        (chosen,) = scheduler.take(room, 1, suspect_works=False)
        ord_ += 1
        scheduler.add(ReadyRun(f"run{ord_}", chosen.place, Priority.normal, ord_, ord_, 0))

    return choose
