"""How soon something happens on an idle daemon: ack to agent start, and one hop of a long chain."""

import statistics
import time

from bench.client import UnexpectedAnswer, ask, post
from bench.load import Job, percentile
from bench.report import Row
from bench.rounds import Bench
from bench.servers import Server

HOPS = 40
MARKS = 400
"""Publications a round; all answers of a round fit into one list page of 500."""

_STAMPS_LIMIT_SECONDS = 30.0


def measure_start(bench: Bench) -> list[Row]:
    """From a publication to the start of the agent that it wakes, one client on an idle daemon.

    The ceiling is the time in which the bare server acknowledges one commit: no agent can start before that.
    """
    from_send: list[list[int]] = []
    from_ack: list[list[int]] = []
    bare_p50: list[float] = []
    marks = 50 if bench.quick else MARKS
    with bench.pair("start") as (flockd, bare):
        for number in range(bench.rounds + 1):
            numbers = range(number * marks, (number + 1) * marks)
            outcome = bench.client.run(_marks(flockd, numbers))
            started_ns = _started(flockd, numbers)
            commits = bench.client.run(_commits(bare, 1, marks))
            if number == 0:
                continue  # the warm-up
            from_send.append(
                sorted(started_ns[n] - at for n, at in zip(numbers, outcome.sent_ns, strict=True))
            )
            from_ack.append(
                sorted(started_ns[n] - at for n, at in zip(numbers, outcome.answered_ns, strict=True))
            )
            bare_p50.append(commits.p50_ms)
    ours = [percentile(taken, 0.50) / 1e6 for taken in from_send]
    return [
        Row(
            part="latency",
            measure="publish sent → agent start, p50",
            unit="ms",
            flockd=statistics.median(ours),
            ceiling=statistics.median(bare_p50),
            ratios=tuple(their / our for our, their in zip(ours, bare_p50, strict=True)),
            note=f"p99 {_median_ms(from_send, 0.99):.2f} ms; the ceiling is the ack of one bare commit",
        ),
        Row(
            part="latency",
            measure="publish acknowledged → agent start, p50",
            unit="ms",
            flockd=_median_ms(from_ack, 0.50),
            note=f"p99 {_median_ms(from_ack, 0.99):.2f} ms; negative: started before the ack arrived",
        ),
    ]


def measure_hops(bench: Bench) -> list[Row]:
    """An agent that wakes itself 40 times, against the bare server making the 41 commits in sequence."""
    with bench.pair("hops") as (flockd, bare):
        body = {"type": "Hop", "payload": {"left": HOPS}, "timeout": 60}
        wire = (post(flockd, "/api/v1/artifacts/sync", body),)
        chains = 5 if bench.quick else 30
        ours = Job(flockd.host, flockd.port, wire, 1, count=chains, expect='"completed":true')
        comparison = bench.compare(ours, _commits(bare, HOPS + 1, chains))
    per_hop = [1_000 / outcome.rate / HOPS for outcome in comparison.ours]
    bare_hop = [1_000 / outcome.rate / HOPS for outcome in comparison.bare]
    return [
        Row(
            part="latency",
            measure=f"one hop of a {HOPS}-hop chain",
            unit="ms",
            flockd=statistics.median(per_hop),
            ceiling=statistics.median(bare_hop),
            ratios=comparison.rate_ratios,
            note=f"the whole chain: {comparison.our_times}",
        )
    ]


def _marks(flockd: Server, numbers: range) -> Job:
    wire = tuple(post(flockd, "/api/v1/artifacts", {"type": "Mark", "payload": {"n": n}}) for n in numbers)
    return Job(flockd.host, flockd.port, wire, 1, count=len(wire), expect='"accepted"', stamps=True)


def _commits(bare: Server, commits: int, count: int) -> Job:
    wire = (post(bare, f"/commits/{commits}", {"type": "Mark", "payload": {"n": 1}}),)
    return Job(bare.host, bare.port, wire, 1, count=count, expect='"accepted"')


def _started(flockd: Server, numbers: range) -> dict[int, int]:
    """When the agent started on each mark, once all of them are there."""
    until = time.monotonic() + _STAMPS_LIMIT_SECONDS
    started_ns: dict[int, int] = {}
    while time.monotonic() < until:
        page = ask(flockd, "GET", "/api/v1/artifacts?type=Stamped&order=desc&limit=500")
        started_ns = {item["payload"]["n"]: item["payload"]["started_ns"] for item in page["items"]}
        if all(n in started_ns for n in numbers):
            return started_ns
    raise UnexpectedAnswer(f"{sum(n in started_ns for n in numbers)} of {len(numbers)} marks were stamped")


def _median_ms(rounds: list[list[int]], share: float) -> float:
    """The percentile of each round's sorted nanoseconds, and of those the median."""
    return statistics.median(percentile(taken, share) for taken in rounds) / 1e6
