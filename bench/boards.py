"""Filled databases: 1 k, 100 k and 1 M artifacts, made through flockd's own routes and kept in bench/.cache.

Nine tenths are published in bulk and wake nobody, in three types; one tenth comes from two fan-out agents, so
that there are several producers, and correlations of a page's length. The same mix at every size makes pages
that can be compared.
"""

import hashlib
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.client import UnexpectedAnswer, ask
from bench.flock import LEAVES_PER_TREE
from bench.rounds import Bench
from bench.servers import Server, flockd

BULK_TYPES = ("Ping", "Note", "Reading")
TREES = ("oak", "elm")

_CHUNK = 1_000
_LEAVES = LEAVES_PER_TREE * len(TREES)
_BULK_ITEMS = _CHUNK - _LEAVES - 1
_FILL = 1
"""To be raised when the fill makes something else: older databases in the cache are then not used."""
_KEEP_SECONDS = 7 * 24 * 3600
"""Well under the 30 days after which retention would eat the board that is measured."""


@dataclass(frozen=True)
class Board:
    """A filled database that nobody has open."""

    file: Path
    artifacts: int
    open_runs: int

    def copy_to(self, directory: Path) -> Path:
        """A copy to serve, so that the cached file stays as it was filled."""
        directory.mkdir(parents=True, exist_ok=True)
        return shutil.copyfile(self.file, directory / "flockd.db")


def filled(bench: Bench, artifacts: int, open_runs: int) -> Board:
    """A board of so many artifacts (a multiple of 1,000) and `open_runs` more that hold a run each.

    It comes from the cache if one of this schema is there.
    """
    name = f"board-{artifacts}-{open_runs}-{_schema(bench)}"
    kept = bench.cache / f"{name}.db"
    if kept.exists() and time.time() - kept.stat().st_mtime < _KEEP_SECONDS:
        return Board(kept, artifacts, open_runs)
    bench.progress(f"filling a board with {artifacts:,} artifacts")
    making = bench.directory / name
    began = time.monotonic()
    with flockd(making) as server:
        for chunk in range(artifacts // _CHUNK):
            _add_chunk(server, chunk)
        _add_open_runs(server, open_runs)
    bench.progress(f"filled in {time.monotonic() - began:.0f} s")
    _close_log(making / "flockd.db")
    for old in bench.cache.glob(f"board-{artifacts}-{open_runs}-*"):
        old.unlink()
    shutil.move(making / "flockd.db", kept)
    return Board(kept, artifacts, open_runs)


def _schema(bench: Bench) -> str:
    """A short hash of the tables and indexes that flockd makes today."""
    directory = bench.directory / "schema"
    if not directory.exists():
        with flockd(directory):
            pass
    with closing(sqlite3.connect(directory / "flockd.db")) as connection:
        statements = connection.execute("SELECT sql FROM sqlite_master ORDER BY type, name").fetchall()
    return hashlib.sha256(repr((_FILL, statements)).encode()).hexdigest()[:12]


def _add_chunk(server: Server, chunk: int) -> None:
    """A thousand artifacts: one bulk publication, and a seed with its leaves."""
    first = chunk * _CHUNK
    items = [
        {"type": BULK_TYPES[n % len(BULK_TYPES)], "payload": {"n": n, "text": f"item {n} " + "paper " * 16}}
        for n in range(first, first + _BULK_ITEMS)
    ]
    answer = ask(server, "POST", "/api/v1/artifacts/bulk", {"items": items})
    if answer["accepted"] != len(items):
        raise UnexpectedAnswer(f"{answer['rejected']} of {len(items)} items were rejected")
    seed = {"type": "Seed", "payload": {"n": chunk}, "timeout": 60}
    grown = ask(server, "POST", "/api/v1/artifacts/sync", seed)
    if len(grown["artifacts"]) != _LEAVES:
        raise UnexpectedAnswer(
            f"a seed gave {len(grown['artifacts'])} leaves, not {_LEAVES}: {grown['errors']}"
        )


def _add_open_runs(server: Server, count: int) -> None:
    """Publications whose runs never end: one runs, the others wait for it."""
    for first in range(0, count, _CHUNK):
        items = [{"type": "Held", "payload": {"n": n}} for n in range(first, min(first + _CHUNK, count))]
        ask(server, "POST", "/api/v1/artifacts/bulk", {"items": items})


def _close_log(file: Path) -> None:
    """Writes what is left in the write-ahead log into the database, so that it is one file."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
