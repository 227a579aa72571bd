"""What the numbers were measured on."""

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.load import percentile

_FSYNCS = 200


@dataclass(frozen=True)
class Machine:
    """The part of a machine that decides these numbers."""

    system: str
    processor: str
    cores: int
    python: str
    sqlite: str
    aiohttp: str
    fsync_p50_ms: float
    fsync_p99_ms: float

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{self.cores} cores, {self.processor}, {self.system}",
            f"Python {self.python}, SQLite {self.sqlite}, aiohttp {self.aiohttp}",
            f"fsync of 4 KiB: p50 {self.fsync_p50_ms:.2f} ms, p99 {self.fsync_p99_ms:.2f} ms",
        ]


def look_at_machine(directory: Path) -> Machine:
    """Describes the machine; fsync is measured on the disk of `directory`, where the databases will be."""
    taken = _fsync_times_ns(directory / "fsync")
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        aiohttp=version("aiohttp"),
        fsync_p50_ms=percentile(taken, 0.50) / 1e6,
        fsync_p99_ms=percentile(taken, 0.99) / 1e6,
    )


def _fsync_times_ns(path: Path) -> list[int]:
    """Sorted times of appending 4 KiB and syncing it, as a write-ahead log does."""
    taken = []
    block = os.urandom(4096)
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            began = time.monotonic_ns()
            file.write(block)
            os.fsync(file.fileno())
            taken.append(time.monotonic_ns() - began)
    path.unlink()
    return sorted(taken)


def _processor() -> str:
    """The model's name where Linux tells it; Python alone only knows the architecture."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
