"""The SQLite file: its lock, its schema, its connections and its copies.

One process opens a file (`lock_directory`), one connection of it writes, and any number read (`Readers`). The
write-ahead log is moved into the file by `flockd.store.checkpoints`, beside the writer.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import aiosqlite

from flockd.domain.identity import id_bytes, new_id
from flockd.errors import FlockdError
from flockd.store.descriptors import held_alone

_SCHEMA = Path(__file__).parent / "schema"

_BUSY_SECONDS = 5.0
"""How long a statement waits for another connection's lock: a stray shell's, for one reader or writer of
ours."""

_WAL_KEPT_BYTES = 64 * 1024 * 1024
"""What stays allocated of an emptied log: overwriting is cheaper than growing, yet a burst gives its disk
back."""


class StoreRefused(FlockdError):
    """The store cannot be opened."""


# -- one process per file -----------------------------------------------------------------------------------


@contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold the store of this file for this process. Raises StoreRefused while another process holds it.

    The lock lies beside the file (`<file>.lock`) and is the kernel's, so that a killed process leaves none
    behind; nor does one that it forked. The folder is made if there is none.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_beside(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be locked: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise StoreRefused(
                f"The store {path} is in use by process {holder or '(unknown)'}; "
                "two daemons cannot share one file."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        with held_alone(lambda: (descriptor,)):
            yield
    finally:
        os.close(descriptor)


# -- schema -------------------------------------------------------------------------------------------------


def migrate(path: Path) -> None:
    """Bring the file to this program's schema, making it where there is none. Raises StoreRefused.

    Forward only; each step is one transaction with its number, so a crash between two steps leaves a file
    that the next start goes on with. A file that exists is first copied to `<file>.before-<number of the
    first step>`.
    """
    steps = _steps()
    try:
        with closing(_open(path)) as connection:
            version = _schema_version(connection, path)
            if version > len(steps):
                raise StoreRefused(
                    f"The store {path} has schema {version}, this program knows {len(steps)}: "
                    "start the newer program that wrote it, or restore a backup."
                )
            if 0 < version < len(steps):
                backup_path(path, _beside(path, f".before-{version + 1}"))
            for number in range(version + 1, len(steps) + 1):
                _migrate_to(connection, number, steps[number - 1].read_text("utf-8"))
    except sqlite3.Error as error:
        raise StoreRefused(f"The store {path} cannot be opened: {error}.") from error


def _steps() -> list[Path]:
    """The files of schema/, in order: 0001_….sql is the step to schema 1."""
    steps = sorted(_SCHEMA.glob("[0-9]*.sql"))
    assert [int(step.name[:4]) for step in steps] == list(range(1, len(steps) + 1)), "schema/ has a gap"
    return steps


def _schema_version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreRefused(
            f"The file {path} is a database of another program; give flockd a file of its own."
        )
    return version


def _migrate_to(connection: sqlite3.Connection, number: int, script: str) -> None:
    if number == 1:
        log_id = id_bytes(new_id()).hex()
        script += (
            "\nINSERT INTO log (one, log_id, next_seq, next_run, complete_from, last_at) "
            f"VALUES (1, x'{log_id}', 1, 1, 1, 0);"
        )
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


# -- connections --------------------------------------------------------------------------------------------


def connect_writer(
    path: Path, *, durability: Literal["full", "normal"], page_cache_bytes: int
) -> sqlite3.Connection:
    """The one connection that writes, in explicit transactions. It never checkpoints by itself.

    `durability`: full = a commit is on the disk when it returns; normal = a power cut can lose the last ones.
    """
    connection = _open(path)
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{max(1, page_cache_bytes // 1024)}")
    return connection


def _open(path: Path) -> sqlite3.Connection:
    """A connection that may write. A new file is made able to give space back: once WAL is on it is too late."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_read_only(path: Path) -> sqlite3.Connection:
    """A plain connection that cannot write, for work in a thread. Raises StoreRefused."""
    try:
        connection = sqlite3.connect(
            _read_only_uri(path),
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StoreRefused(f"The store {path} cannot be opened: {error}.") from error
    connection.execute("PRAGMA query_only = ON")
    return connection


async def connect_reader(path: Path, *, page_cache_bytes: int = 32 * 1024 * 1024) -> aiosqlite.Connection:
    """A connection that cannot write, on a thread of its own; the caller closes it."""
    connection = await aiosqlite.connect(
        _read_only_uri(path), uri=True, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=256
    )
    try:
        await connection.execute_fetchall("PRAGMA query_only = ON")
        await connection.execute_fetchall(f"PRAGMA cache_size = -{max(1, page_cache_bytes // 1024)}")
        await connection.execute_fetchall("PRAGMA temp_store = MEMORY")
    except BaseException:
        await connection.close()
        raise
    return connection


def _read_only_uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro"


class Readers:
    """A fixed number of read-only connections, handed out in the order in which they were asked for.

    Reads never wait for the writer. A caller that is cancelled while it holds a connection leaves its
    statement running on that connection's thread; whoever gets the connection next comes after it.
    """

    def __init__(self, path: Path, *, connections: int = 4, page_cache_bytes: int = 32 * 1024 * 1024) -> None:
        self.path = path
        self._count = connections
        self._page_cache_bytes = page_cache_bytes
        self._all: list[aiosqlite.Connection] = []
        self._idle: list[aiosqlite.Connection] = []
        self._places = asyncio.Semaphore(connections)

    async def __aenter__(self) -> Readers:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the connections; the file must have its schema. Raises StoreRefused where it cannot be opened."""
        open_read_only(self.path).close()  # aiosqlite leaves a thread behind where it cannot connect
        try:
            while len(self._all) < self._count:
                self._all.append(await connect_reader(self.path, page_cache_bytes=self._page_cache_bytes))
        except BaseException:
            await self.close()
            raise
        self._idle = list(self._all)

    async def close(self) -> None:
        """Close them, after the statements that still run. Closing twice, or before the start, is fine."""
        closing_now, self._all, self._idle = self._all, [], []
        for connection in closing_now:
            await connection.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection for single statements: each of them reads its own snapshot."""
        async with self._places:
            connection = self._idle.pop()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection for several statements that must see one state of the board."""
        async with self.connection() as connection:
            try:
                await connection.execute_fetchall("BEGIN")
                yield connection
            finally:
                # Queued on the connection's thread at once: a cancelled caller leaves no transaction behind.
                await connection.execute_fetchall("COMMIT")


def truncate_wal(connection: sqlite3.Connection) -> bool:
    """Move the whole log into the file and cut it to nothing: on the writer's connection, between
    transactions.

    Waits for nobody: False where a reader still needs the log, so that it could not be cut.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")
    return not busy


# -- copies -------------------------------------------------------------------------------------------------


def backup_path(source: Path, target: Path) -> None:
    """Write a consistent copy of the store while it is in use; `target` appears whole or not at all.

    One read transaction holds for the whole copy; without it each commit would begin it anew. The copy is one
    file without a log beside it, and has a log id of its own: cursors of the original must not be taken for
    cursors of a board that went another way since. Raises StoreRefused where one of the two files cannot be
    read or written.
    """
    if not source.is_file():
        raise StoreRefused(f"There is no store {source}.")
    if target.exists() and target.samefile(source):
        raise StoreRefused(f"A backup cannot be written over its own store {source}.")
    partial = _beside(target, ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with (
            closing(open_read_only(source)) as reader,
            closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM log").fetchone()
            reader.backup(copy)
            reader.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("UPDATE log SET log_id = ?", (id_bytes(new_id()),))
        partial.replace(target)
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreRefused(f"The backup of {source} to {target} failed: {error}.") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    """`board.db` and `.lock` → `board.db.lock` in the same folder."""
    return path.with_name(path.name + suffix)
