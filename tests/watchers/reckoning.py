"""The reckoning: what each watcher was owed, by the log on disk and the plain model of the filters."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .filters import Json, Wanted, admits
from .truth import Logged, read_log
from .watch import Bodies, Watch


@dataclass
class Report:
    """What came of a play. `differences`: a paragraph for whoever did not get exactly what it was owed."""

    seed: int
    events: int = 0
    """In the log at the end."""
    watchers: int = 0
    fed: int = 0
    """Watchers that were owed anything."""
    deliveries: int = 0
    connections: int = 0
    kills: int = 0
    cut_readers: int = 0
    """By the daemon in its last life: those that took nothing."""
    differences: list[str] = field(default_factory=list)


def reckon(report: Report, watches: Sequence[Watch], bodies: Bodies, file: Path, inline_bytes: int) -> None:
    """Fill the report in. Reads the log once; a distinct filter is evaluated once for each event."""
    matching: dict[Wanted, array[int]] = {watch.wanted: array("I") for watch in watches}

    def told(log: Iterable[Logged]) -> Iterator[Json]:
        for logged in log:
            report.events += 1
            for wanted, seqs in matching.items():
                if admits(wanted, logged.event, logged.payload):
                    seqs.append(logged.seq)
            yield logged.event

    report.differences += bodies.differing(told(read_log(file, inline_bytes)))
    for watch in watches:
        difference = watch.difference(matching[watch.wanted])
        if difference is not None:
            report.differences.append(difference)
    report.watchers = len(watches)
    report.fed = sum(1 for watch in watches if watch.seqs)
    report.deliveries = sum(len(watch.seqs) for watch in watches)
    report.connections = sum(watch.connections for watch in watches)
