"""Rounds: flockd and its ceiling under the same load, in turn."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.client import Client
from bench.load import Job, Outcome
from bench.servers import Server, ceiling, flockd

WARM_SECONDS = 1.0


@dataclass(frozen=True)
class Bench:
    """What a run of the suite shares. `directory` is removed at its end."""

    client: Client
    directory: Path
    cache: Path
    quick: bool
    progress: Callable[[str], None]

    @property
    def rounds(self) -> int:
        """How often each measure is repeated. Odd, so that its median is one of them."""
        return 3 if self.quick else 5

    @property
    def seconds(self) -> float:
        """How long a load lasts."""
        return 0.4 if self.quick else 3.0

    @contextmanager
    def pair(self, part: str) -> Iterator[tuple[Server, Server]]:
        """flockd and the ceiling on new databases, both running; the one that waits costs nothing."""
        with (
            flockd(self.directory / part / "flockd") as ours,
            ceiling(self.directory / part / "ceiling") as bare,
        ):
            yield ours, bare

    def compare(self, ours: Job, bare: Job) -> "Comparison":
        """Runs the two in turn, after a warm-up of each; who is first changes from round to round."""
        for job in (ours, bare):
            self.client.run(replace(job, seconds=min(WARM_SECONDS, self.seconds), count=0))
        by_ours, by_bare = [], []
        for number in range(self.rounds):
            if number % 2 == 0:
                by_ours.append(self.client.run(ours))
                by_bare.append(self.client.run(bare))
            else:
                by_bare.append(self.client.run(bare))
                by_ours.append(self.client.run(ours))
        return Comparison(tuple(by_ours), tuple(by_bare))


@dataclass(frozen=True)
class Comparison:
    """The outcomes of both, round by round."""

    ours: tuple[Outcome, ...]
    bare: tuple[Outcome, ...]

    @property
    def our_rate(self) -> float:
        """Requests per second, the median."""
        return statistics.median(outcome.rate for outcome in self.ours)

    @property
    def bare_rate(self) -> float:
        """The same of the ceiling."""
        return statistics.median(outcome.rate for outcome in self.bare)

    @property
    def rate_ratios(self) -> tuple[float, ...]:
        """Our rate by the ceiling's, one for each round."""
        return tuple(our.rate / bare.rate for our, bare in zip(self.ours, self.bare, strict=True))

    @property
    def our_times(self) -> str:
        """Our p50 and p99 of one request, the medians."""
        p50 = statistics.median(outcome.p50_ms for outcome in self.ours)
        p99 = statistics.median(outcome.p99_ms for outcome in self.ours)
        return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
