"""Disks that fail and recover: full, guarded against being full, read-only."""

import contextlib
import errno
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .daemon import FLOCKD

MIB = 1024 * 1024
SIZE = 32 * MIB
UNGUARDED = {"FLOCKD_STORE__MIN_FREE_BYTES": "0"}


@dataclass(frozen=True)
class Disk:
    """Where a daemon keeps its store, what it must be started with, and how to make that place refuse."""

    folder: Path
    obstacle: Path
    """A file that is in the way of every write as long as it is there."""
    put: Callable[[Path], None]
    """Makes the obstacle."""
    program: Sequence[str] = FLOCKD
    settings: Mapping[str, str] = field(default_factory=lambda: dict(UNGUARDED))

    def spoil(self) -> None:
        """Writes fail from now on."""
        self.put(self.obstacle)

    def mend(self) -> None:
        """Writes work again."""
        self.obstacle.unlink()


@contextlib.contextmanager
def full(folder: Path) -> Iterator[Disk]:
    """A disk that has no block left; without the right to mount one, a SQLite that says so at each commit."""
    with mounted(folder / "disk") as small:
        if small is None:
            yield faulty(folder, "SQLITE_FULL")
        else:
            yield Disk(small, small / "ballast", fill)


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Disk]:
    """A disk with less free space than `store.min_free_bytes`; where no mount is allowed, the tests' own."""
    with mounted(folder / "disk") as small:
        place = small or folder
        status = os.statvfs(place)
        free = status.f_bavail * status.f_frsize
        headroom = min(free // 2, 256 * MIB)
        put = functools.partial(reserve, count=headroom + headroom // 2)
        yield Disk(
            place, place / "ballast", put, settings={"FLOCKD_STORE__MIN_FREE_BYTES": str(free - headroom)}
        )


@contextlib.contextmanager
def readonly(folder: Path) -> Iterator[Disk]:
    """A read-only disk, as SQLite reports it: no mount can be made read-only while its files are open."""
    yield faulty(folder, "SQLITE_READONLY")


def faulty(folder: Path, code: str) -> Disk:
    """A disk on which every commit fails with this SQLite result code while it is spoilt."""
    flag = folder / "fault"
    return Disk(folder, flag, Path.touch, ("-m", "tests.process.faulty", code, str(flag)))


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[Path | None]:
    """A small disk of its own in memory, mounted at `place`; None where this process may not mount."""
    place.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place))
    if (
        shutil.which("mount") is None
        or subprocess.run(command, capture_output=True, check=False).returncode != 0
    ):
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def fill(ballast: Path) -> None:
    """Write zeros until no block is left."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def reserve(ballast: Path, count: int) -> None:
    """Take this many bytes of the disk."""
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, count)
