"""How soon flockd is ready, and what it weighs: empty, and with a large board that has open runs."""

import statistics
import time
from dataclasses import dataclass

from bench.client import UnexpectedAnswer, ask
from bench.pages import largest
from bench.report import Row
from bench.rounds import Bench
from bench.servers import Server, ceiling, flockd

MOST_SECONDS = 1.0
MOST_BYTES = 80_000_000

_SETTLE_SECONDS = 1.0
"""What a new process gets before its memory is read: the first collections and thread starts are over."""


@dataclass(frozen=True)
class Start:
    """One start of one server."""

    ready_seconds: float
    resident_bytes: int


def measure_startup(bench: Bench) -> list[Row]:
    """From the start of the process until `/ready` gives 200, against the bare server; and its memory."""
    board = largest(bench)
    copy = board.copy_to(bench.directory / "startup" / "largest")
    empty, full, bare = [], [], []
    for number in range(bench.rounds):
        bench.progress(f"start {number + 1} of {bench.rounds}")
        directory = bench.directory / "startup" / str(number)
        empty.append(_start(flockd(directory / "flockd")))
        bare.append(_start_bare(ceiling(directory / "ceiling")))
        full.append(_start(flockd(copy.parent, copy), board.open_runs))
    what = f"{board.artifacts:,} artifacts, {board.open_runs:,} open runs"
    return [
        _ready_row("start to ready, empty", empty, bare),
        _ready_row(f"start to ready, {what}", full, bare),
        _memory_row("idle memory, empty", empty, bare),
        _memory_row(f"idle memory, {what}", full, bare),
    ]


def _start(server: Server, open_runs: int = 0) -> Start:
    """Starts flockd and ends it. The open runs must be there: a start that forgot them would be fast."""
    with server:
        ready_seconds = server.wait_until_200("/ready")
        time.sleep(_SETTLE_SECONDS)
        resident_bytes = server.resident_bytes()
        found = sum(
            ask(server, "GET", f"/api/v1/runs?state={state}&limit=1")["total"]
            for state in ("ready", "running")
        )
    if found != open_runs:
        raise UnexpectedAnswer(f"{found} runs are open after the start, not {open_runs}")
    return Start(ready_seconds, resident_bytes)


def _start_bare(server: Server) -> Start:
    with server:
        time.sleep(_SETTLE_SECONDS)
        return Start(server.ready_seconds, server.resident_bytes())


def _ready_row(measure: str, ours: list[Start], bare: list[Start]) -> Row:
    seconds = statistics.median(start.ready_seconds for start in ours)
    return Row(
        part="startup",
        measure=measure,
        unit="s",
        flockd=seconds,
        ceiling=statistics.median(start.ready_seconds for start in bare),
        ratios=tuple(b.ready_seconds / o.ready_seconds for o, b in zip(ours, bare, strict=True)),
        note=f"slowest {max(start.ready_seconds for start in ours):.2f} s",
        aim=f"≤ {MOST_SECONDS:.0f} s",
        met=seconds <= MOST_SECONDS,
    )


def _memory_row(measure: str, ours: list[Start], bare: list[Start]) -> Row:
    size = statistics.median(start.resident_bytes for start in ours)
    return Row(
        part="startup",
        measure=measure,
        unit="MB",
        flockd=size / 1e6,
        ceiling=statistics.median(start.resident_bytes for start in bare) / 1e6,
        ratios=tuple(b.resident_bytes / o.resident_bytes for o, b in zip(ours, bare, strict=True)),
        aim=f"< {MOST_BYTES / 1e6:.0f} MB",
        met=size < MOST_BYTES,
    )
