"""Checkpoints: moving the write-ahead log into the database file beside the writer, so that no commit pays
for it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

_BUSY_SECONDS = 5.0
_PAGE_BYTES = 4096


def wal_bytes(path: Path) -> int:
    """The size on the disk of the write-ahead log of this database file; 0 where there is none."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def checkpoint_passive(path: Path) -> None:
    """Move what can be moved of the log into the file, disturbing nobody."""
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


class Checkpointer:
    """A thread that checkpoints while the writer commits.

    Waits for a commit, then for its pace, which it sets so that each round moves about `start_bytes`: often
    under load, seldom when little is written. A log that a reader pins and that keeps growing is the writer's
    to cut (`flockd.store.sqlite.truncate_wal`).
    """

    def __init__(
        self,
        path: Path,
        *,
        start_bytes: int = 4 * 1024 * 1024,
        min_pause_seconds: float = 0.1,
        max_pause_seconds: float = 2.0,
    ) -> None:
        self._path = path
        self._start_bytes = start_bytes
        self._min_pause_seconds = min_pause_seconds
        self._max_pause_seconds = max_pause_seconds
        self._pause_seconds = min_pause_seconds
        self._committed = threading.Event()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.rounds = 0
        """Checkpoints made."""
        self.error: str | None = None
        """Why the last checkpoint failed; the next one tries again."""

    def __enter__(self) -> Checkpointer:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin; the file must exist."""
        self._thread = threading.Thread(target=self._work, name="flockd-checkpointer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, after the checkpoint that runs. Closing twice, or before the start, is fine."""
        self._stopping.set()
        self._committed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def committed(self) -> None:
        """The writer has committed. For any thread; costs next to nothing."""
        if not self._committed.is_set():
            self._committed.set()

    def wait_for_rounds(self, rounds: int, timeout_seconds: float) -> bool:
        """Block until this many checkpoints were made; False where they were not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.rounds >= rounds, timeout_seconds)

    def _work(self) -> None:
        with closing(_connect(self._path)) as connection:
            while not self._stopping.is_set():  # asked after the word of `close` may have been cleared
                self._committed.wait()
                if self._stopping.wait(self._pause_seconds):
                    return
                self._committed.clear()
                if wal_bytes(self._path) >= self._start_bytes:
                    self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            _busy, frames, _moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:  # most likely a full disk: the writer meets it, too, and says so
            self.error = str(error)
            self._pause_seconds = self._max_pause_seconds
            return
        self.error = None
        pause = self._pause_seconds * self._start_bytes / max(1, frames * _PAGE_BYTES)
        self._pause_seconds = min(self._max_pause_seconds, max(self._min_pause_seconds, pause))
        with self._changed:
            self.rounds += 1
            self._changed.notify_all()
