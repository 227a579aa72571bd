"""The file: its address, its lock, its schema, its connections, its log and its copies."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flockd.store import sqlite
from flockd.store.checkpoints import Checkpointer, checkpoint_passive, wal_bytes
from flockd.store.sqlite import (
    Readers,
    StoreRefused,
    backup_path,
    connect_reader,
    connect_writer,
    lock_directory,
    migrate,
    truncate_wal,
)

LIMIT_SECONDS = 10


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return number


def writer(path: Path) -> sqlite3.Connection:
    return connect_writer(path, durability="normal", page_cache_bytes=1 << 20)


def fill(connection: sqlite3.Connection, count: int = 200) -> None:
    """Some commits of 10 kB each."""
    for number in range(count):
        connection.execute(
            "INSERT INTO idempotency VALUES (randomblob(16), x'', ?, hex(zeroblob(5000)), NULL)", (number,)
        )


KNOWN = len(list(sqlite._SCHEMA.glob("*.sql")))
"""The newest schema."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "board.db")
    return tmp_path / "board.db"


@pytest.fixture
def next_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that knows one schema more: its folder, with a second step to be changed."""
    folder = tmp_path / "schema"
    folder.mkdir()
    for step in sorted(sqlite._SCHEMA.glob("*.sql")):
        (folder / step.name).write_bytes(step.read_bytes())
    (folder / f"{KNOWN + 1:04}_more.sql").write_text("CREATE TABLE more (a); INSERT INTO more VALUES (1);")
    monkeypatch.setattr(sqlite, "_SCHEMA", folder)
    yield folder


# -- lock ---------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from flockd.store.sqlite import lock_directory
with lock_directory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_holds_a_store(tmp_path: Path) -> None:
    path = tmp_path / "new" / "board.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreRefused) as refused, lock_directory(path):
            pass
        assert str(path) in refused.value.message
        assert f"process {holder.pid};" in refused.value.message
        holder.kill()
        holder.wait(LIMIT_SECONDS)
    with lock_directory(path):  # a killed process leaves no lock behind
        assert (tmp_path / "new" / "board.db.lock").exists()


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "board.db"
    for _ in range(2):
        with lock_directory(path), pytest.raises(StoreRefused), lock_directory(path):
            pass


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreRefused, match="cannot be locked"),
        lock_directory(tmp_path / "file" / "board.db"),
    ):
        pass


# -- schema -------------------------------------------------------------------


def test_a_new_store_is_ready(path: Path) -> None:
    with closing(writer(path)) as connection:
        log_id, *rest = connection.execute(
            "SELECT log_id, next_seq, next_run, complete_from, last_at FROM log"
        ).fetchone()
        assert (len(log_id), rest) == (16, [1, 1, 1, 0])
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("auto_vacuum", "journal_mode", "foreign_keys", "wal_autocheckpoint", "synchronous")
        }
        assert pragmas == {
            "auto_vacuum": 2,
            "journal_mode": "wal",
            "foreign_keys": 0,
            "wal_autocheckpoint": 0,
            "synchronous": 1,
        }


def test_full_durability_syncs_each_commit(path: Path) -> None:
    with closing(connect_writer(path, durability="full", page_cache_bytes=1 << 20)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_migrating_twice_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    migrate(path)
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.before-*")) == []


@pytest.mark.usefixtures("next_schema")
def test_a_step_is_taken_after_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "board.db"
    with monkeypatch.context() as older:
        older.setattr(sqlite, "_SCHEMA", Path(sqlite.__file__).parent / "schema")
        migrate(path)
    migrate(path)
    assert version(path) == KNOWN + 1
    assert version(tmp_path / f"board.db.before-{KNOWN + 1}") == KNOWN
    with closing(writer(path)) as connection:
        assert connection.execute("SELECT a FROM more").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_a_step_that_fails_is_undone_whole(path: Path, next_schema: Path) -> None:
    (next_schema / f"{KNOWN + 1:04}_more.sql").write_text(
        "CREATE TABLE more (a); INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(StoreRefused, match="no such table: nowhere"):
        migrate(path)
    assert version(path) == KNOWN
    (next_schema / f"{KNOWN + 1:04}_more.sql").write_text("CREATE TABLE more (a);")
    migrate(path)
    assert version(path) == KNOWN + 1


@pytest.mark.usefixtures("next_schema")
def test_a_newer_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "board.db"
    migrate(path)
    monkeypatch.setattr(sqlite, "_SCHEMA", Path(sqlite.__file__).parent / "schema")
    with pytest.raises(StoreRefused, match=f"has schema {KNOWN + 1}, this program knows {KNOWN}"):
        migrate(path)


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(StoreRefused, match="a database of another program"):
        migrate(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreRefused, match="cannot be opened"):
        migrate(path)


# -- readers ------------------------------------------------------------------


async def test_a_reader_cannot_write(path: Path) -> None:
    reader = await connect_reader(path)
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.execute_fetchall("UPDATE log SET next_seq = 7")
    finally:
        await reader.close()


async def test_readers_are_handed_out_in_order_and_no_more_than_there_are(path: Path) -> None:
    async with Readers(path, connections=2) as readers:
        order: list[int] = []
        release = asyncio.Event()

        async def read(number: int) -> None:
            async with readers.connection():
                order.append(number)
                await release.wait()

        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(read(number))
                await asyncio.sleep(0)
            assert order == [0, 1]
            release.set()
        assert order == [0, 1, 2, 3, 4, 5]


async def test_a_snapshot_stays_as_it_was(path: Path) -> None:
    count = "SELECT count(*) FROM idempotency"
    async with Readers(path, connections=1) as readers:
        with closing(writer(path)) as connection:
            async with readers.snapshot() as reader:
                assert [tuple(row) for row in await reader.execute_fetchall(count)] == [(0,)]
                fill(connection, 1)
                assert [tuple(row) for row in await reader.execute_fetchall(count)] == [(0,)]
            async with readers.connection() as reader:
                assert [tuple(row) for row in await reader.execute_fetchall(count)] == [(1,)]


async def test_a_cancelled_snapshot_leaves_its_connection_usable(path: Path) -> None:
    async with Readers(path, connections=1) as readers:
        inside = asyncio.Event()

        async def wait_inside() -> None:
            async with readers.snapshot():
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(wait_inside())
        async with asyncio.timeout(LIMIT_SECONDS):
            await inside.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with readers.snapshot() as reader:
                assert reader.in_transaction
            async with readers.connection() as reader:
                assert not reader.in_transaction


async def test_closing_readers_twice_or_unopened_is_fine(path: Path) -> None:
    readers = Readers(path)
    await readers.close()
    await readers.start()
    await readers.close()
    await readers.close()
    assert readers.path == path


async def test_readers_of_no_file_open_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be opened: unable to open"):
        await Readers(tmp_path / "none.db").start()
    assert not (tmp_path / "none.db").exists()


# -- the write-ahead log ------------------------------------------------------


def test_the_writer_never_checkpoints_by_itself_and_cuts_the_log_when_asked(path: Path) -> None:
    with closing(writer(path)) as connection:
        fill(connection, 1200)
        assert wal_bytes(path) > 10 << 20
        assert truncate_wal(connection)
        assert wal_bytes(path) == 0
        fill(connection, 1)


def test_a_log_that_a_reader_needs_is_not_cut_and_nobody_waits(path: Path) -> None:
    with closing(writer(path)) as connection, closing(sqlite.open_read_only(path)) as reader:
        fill(connection, 1)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM idempotency").fetchone()
        fill(connection, 1)
        assert not truncate_wal(connection)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (5000,)
        reader.execute("COMMIT")
        assert truncate_wal(connection)


def test_a_passive_checkpoint_moves_the_log_into_the_file(path: Path) -> None:
    with closing(writer(path)) as connection:
        truncate_wal(connection)
        before = path.stat().st_size
        fill(connection)
        assert path.stat().st_size == before
        checkpoint_passive(path)
        assert path.stat().st_size > before + (1 << 20)


def test_the_checkpointer_works_beside_the_writer(path: Path) -> None:
    with closing(writer(path)) as connection:
        truncate_wal(connection)
        before = path.stat().st_size
        with Checkpointer(path, start_bytes=1 << 20, min_pause_seconds=0.001) as checkpointer:
            fill(connection, 10)
            checkpointer.committed()
            fill(connection)
            checkpointer.committed()
            assert checkpointer.wait_for_rounds(1, LIMIT_SECONDS)
            assert checkpointer.error is None
        assert path.stat().st_size > before  # how much of it depends on what was committed by then


def test_a_checkpointer_closes_twice_and_unstarted(path: Path) -> None:
    checkpointer = Checkpointer(path)
    checkpointer.close()
    started = Checkpointer(path)
    started.start()
    started.close()
    started.close()
    assert (checkpointer.rounds, started.rounds) == (0, 0)


class _SetBetween(threading.Event):
    """What `close` does, at the moment in which a wait for it has just ended in vain."""

    def __init__(self, committed: threading.Event) -> None:
        super().__init__()
        self._committed = committed

    def wait(self, timeout: float | None = None) -> bool:
        was_set = super().wait(0)
        self.set()
        self._committed.set()
        return was_set


def test_a_checkpointer_ends_whenever_it_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpointer = Checkpointer(path)
    monkeypatch.setattr(checkpointer, "_stopping", _SetBetween(checkpointer._committed))
    checkpointer.start()
    thread = checkpointer._thread
    assert thread is not None
    checkpointer.committed()
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    checkpointer.close()


# -- copies -------------------------------------------------------------------


def test_a_backup_is_one_consistent_file_of_a_log_of_its_own(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "board.db"
    with closing(writer(path)) as connection:
        fill(connection, 3)
        backup_path(path, target)
        fill(connection, 1)
        original = connection.execute("SELECT log_id FROM log").fetchone()
    assert [file.name for file in target.parent.iterdir()] == ["board.db"]
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM idempotency").fetchone() == (3,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("SELECT log_id FROM log").fetchone() != original
    migrate(target)  # and it can be opened in place of the original
    with closing(writer(target)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_a_backup_replaces_an_older_one(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    backup_path(path, target)
    with closing(writer(path)) as connection:
        fill(connection, 1)
        backup_path(path, target)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM idempotency").fetchone() == (1,)


def test_a_backup_of_nothing_or_onto_itself_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="There is no store"):
        backup_path(tmp_path / "none.db", tmp_path / "copy.db")
    with pytest.raises(StoreRefused, match="over its own store"):
        backup_path(path, path)


def test_a_backup_that_fails_leaves_nothing(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies"
    target.mkdir()  # a folder is in the way
    with pytest.raises(StoreRefused, match="failed"):
        backup_path(path, target)
    assert list(tmp_path.glob("*.partial")) == []
    assert list(target.iterdir()) == []
