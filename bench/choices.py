"""What one choice costs beside thousands that are not chosen, as a ratio to the same choice beside ten.

Choices are functions of values in memory, timed in this process: what there is more of should cost nothing.
"""

import statistics
import time
from collections.abc import Callable

from bench.report import Row
from bench.rounds import Bench

FEW = 10
MANY = (1_000, 10_000)

Choice = Callable[[], object]


def choice_rows(
    bench: Bench, part: str, what: str, unit: str, build: Callable[[int], Choice], aim: float | None = None
) -> list[Row]:
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
            part=part,
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
