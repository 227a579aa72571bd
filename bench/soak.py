"""`python -m bench.soak`: the crowd of tests/watchers with more of everything, for as long as it takes.

Publishers, watchers over SSE, NDJSON and WebSocket with filters and cursors of all kinds, and SIGKILL for the daemon in
the middle. At the end everyone must have got the log after its cursor, filtered: each event, once, in order, as it is.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.process.client import Client
from tests.process.daemon import Daemon
from tests.watchers.crowd import INLINE_BYTES, Crowd, Size
from tests.watchers.reckoning import Report

HERE = Path(__file__).resolve().parent

SETTINGS = {
    "FLOCKD_STREAMS__INLINE_BYTES": str(INLINE_BYTES),
    "FLOCKD_STREAMS__HEARTBEAT_SECONDS": "5",
    "FLOCKD_STREAMS__STALL_SECONDS": "15",
    "FLOCKD_LOG__LEVEL": "error",
    "FLOCKD_LIMITS__RUN_CRASHES": "1000",
}
"""Else the defaults: what is soaked is what is served. The times are shortened for the end, which waits for them."""

_EVENTS_PER_PUBLICATION = 9
"""About, with the mix of `tests.watchers.publishers`."""
_SUBSCRIPTIONS = 5
"""On each WebSocket."""
_OPEN_WORKFLOWS = 300
_LOOKBACK = 10_000
"""Events. With a million of them and a thousand newcomers most of the time would go into replaying the same."""
_LIMIT_SECONDS = 3600.0
_LOOK_SECONDS = 1.0
"""Between two looks at the memory, for the progress line and the report."""
_SHOWN = 20
"""Differences that are printed."""


class Memory:
    """How much of it the daemon has had in RAM."""

    def __init__(self, daemon: Daemon) -> None:
        self.now_bytes = 0
        self.most_bytes = 0
        self._daemon = daemon

    def look(self) -> None:
        """Ask the system; nothing changes while there is no daemon, or where it does not tell (it does on Linux)."""
        if not self._daemon.up.is_set():
            return
        try:
            pages = int(Path(f"/proc/{self._daemon.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return
        self.now_bytes = pages * os.sysconf("SC_PAGE_SIZE")
        self.most_bytes = max(self.most_bytes, self.now_bytes)


@click.command()
@click.option("--events", default=1_000_000, show_default=True, help="About how many the log has at the end.")
@click.option(
    "--subscribers", default=1_000, show_default=True, help="Half SSE, the rest NDJSON and WebSocket."
)
@click.option("--publishers", default=16, show_default=True)
@click.option("--filters", default=100, show_default=True, help="Distinct ones; each costs time at the end.")
@click.option("--kills", default=2, show_default=True, help="SIGKILLs, spread over the publishing.")
@click.option("--seed", type=int, help="Repeats the choices of an earlier run.")
def main(events: int, subscribers: int, publishers: int, filters: int, kills: int, seed: int | None) -> None:
    """Soak the streams, and compare what everyone got with the log."""
    sockets = subscribers // 5 // _SUBSCRIPTIONS
    ndjson = subscribers * 3 // 10
    size = Size(
        publications=max(1, events // _EVENTS_PER_PUBLICATION),
        publishers=publishers,
        sse=subscribers - ndjson - sockets * _SUBSCRIPTIONS,
        ndjson=ndjson,
        sockets=sockets,
        subscriptions=_SUBSCRIPTIONS,
        followers=subscribers // 20,
        filters=filters,
        bulk=20,
        open_workflows=_OPEN_WORKFLOWS,
        lookback=_LOOKBACK,
        kills=kills,
        limit_seconds=_LIMIT_SECONDS,
    )
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(soak(size, random.randrange(2**32) if seed is None else seed))
    sys.exit(1 if report.differences else 0)


async def soak(size: Size, seed: int) -> Report:
    """One soak, shown while it goes on and reported at its end. Its board is deleted after that."""
    cache = HERE / ".cache"
    cache.mkdir(exist_ok=True)
    console = Console(stderr=True)
    console.print(f"seed {seed}")
    # Not in the system's temporary folder, which may be in memory.
    with tempfile.TemporaryDirectory(prefix="soak-", dir=cache) as folder:
        daemon = Daemon(Path(folder), interpreter=(sys.executable,))
        memory = Memory(daemon)
        began = time.monotonic()
        try:
            async with Client(daemon) as client:
                crowd = Crowd(daemon, client, seed, size, lambda: daemon.start(settings=SETTINGS))
                async with asyncio.TaskGroup() as group:
                    shown = group.create_task(_show(crowd, memory, console), name="progress")
                    report = await crowd.play()
                    shown.cancel()
        except BaseException:
            console.print("\n".join(daemon.lines[-_SHOWN:]))
            raise
        finally:
            await daemon.close()
    _print(report, memory, time.monotonic() - began)
    return report


async def _show(crowd: Crowd, memory: Memory, console: Console) -> None:
    """A line that says where it stands, until cancelled. Where no terminal is: a line for each new stage."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=crowd.size.publications, more="")
        stage = (crowd.doing, crowd.report.kills)
        while True:
            memory.look()
            if not console.is_terminal and stage != (stage := (crowd.doing, crowd.report.kills)):
                console.print(f"{crowd.doing}, kills {crowd.report.kills}, deliveries {crowd.deliveries:,}")
            progress.update(
                task,
                description=crowd.doing,
                completed=min(crowd.progress.acknowledged, crowd.size.publications),
                more=f"kills {crowd.report.kills}  deliveries {crowd.deliveries:,}  "
                f"daemon {memory.now_bytes >> 20} MiB",
            )
            await asyncio.sleep(_LOOK_SECONDS)


def _print(report: Report, memory: Memory, seconds: float) -> None:
    table = Table(title=f"seed {report.seed}", show_header=False)
    rows = {
        "events": f"{report.events:,}",
        "watchers": f"{report.watchers:,}, of whom {report.fed:,} were owed anything",
        "deliveries": f"{report.deliveries:,}",
        "connections": f"{report.connections:,}",
        "kills": str(report.kills),
        "readers cut in the last life": str(report.cut_readers),
        "daemon's largest RSS": f"{memory.most_bytes >> 20} MiB",
        "time": f"{seconds:,.0f} s",
        "differences": str(len(report.differences)),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    for difference in report.differences[:_SHOWN]:
        console.print(difference, markup=False)


def _raise_descriptor_limit() -> None:
    """For this process and the daemon: a stream is a descriptor in each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
