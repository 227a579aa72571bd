"""Migrations: forward only, each step whole or not at all, a copy before the first one, and no newer file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flockd.board.usage import EndCall
from flockd.domain.agent import Agent
from flockd.domain.gathering import JoinSpec
from flockd.domain.identity import new_id
from flockd.domain.moment import HOUR_MS
from flockd.domain.subscription import Subscription
from flockd.domain.usage import Call, Most, Usage
from flockd.store import sqlite
from flockd.store.sqlite import StoreRefused, migrate
from flockd.store.verify import verify_path

from ..rig import Rig, agent
from .small_board import MIDNIGHT, SmallBoard

OLD_BOARD = Path(__file__).with_name("board_of_schema_1.sql")
"""What a daemon of the first release left."""

STEPS = sorted(sqlite._SCHEMA.glob("[0-9]*.sql"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.db"


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of steps of this test's own, which begins as ours is."""
    folder = tmp_path / "schema"
    folder.mkdir()
    for step in STEPS:
        (folder / step.name).write_text(step.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(sqlite, "_SCHEMA", folder)
    yield folder


TAKE_BACK = {
    "slots": "CREATE TABLE older (correlation BLOB NOT NULL, agent TEXT NOT NULL, seq INTEGER NOT NULL, "
    "artifact BLOB NOT NULL, type TEXT NOT NULL, depth INTEGER NOT NULL, PRIMARY KEY (correlation, agent, seq)) "
    "WITHOUT ROWID; INSERT INTO older SELECT correlation, agent, seq, artifact, type, depth FROM slots; "
    "DROP TABLE slots; ALTER TABLE older RENAME TO slots;",
    "errors": "DROP INDEX runs_by_error;",
    "taken_from_pools": "DROP INDEX pools_by_agent;",
    "honest_sums": "ALTER TABLE usage DROP COLUMN unpriced; ALTER TABLE usage DROP COLUMN estimated; "
    "ALTER TABLE usage_hours DROP COLUMN unpriced; ALTER TABLE usage_hours DROP COLUMN estimated; "
    "UPDATE runs SET usage = json_remove(usage, '$[6]', '$[5]'); "
    "UPDATE correlations SET usage = json_remove(usage, '$[6]', '$[5]');",
    "virtual_time": "UPDATE runs SET vtime = 7; ALTER TABLE correlations ADD COLUMN vtime INTEGER NOT NULL DEFAULT 7;",
}
"""The file as it was before a step, by its name: for boards that today's program has made."""


def take_back(path: Path, first: str) -> None:
    """Make the file what it was before this step, and so before those that came after it."""
    names = [step.stem[5:] for step in STEPS]
    before = names.index(first)
    with closing(sqlite3.connect(path)) as connection:
        for name in reversed(names[before:]):
            connection.executescript(TAKE_BACK[name])
        connection.execute(f"PRAGMA user_version = {before}")


def add_step(schema: Path, script: str) -> int:
    number = len(list(schema.iterdir())) + 1
    (schema / f"{number:04d}_more.sql").write_text(script, "utf-8")
    return number


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return number


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def log_of(path: Path) -> tuple[object, ...]:
    with closing(sqlite3.connect(path)) as connection:
        row: tuple[object, ...] = connection.execute("SELECT * FROM log").fetchone()
        return row


def test_a_new_file_has_all_steps_and_an_empty_log(path: Path) -> None:
    migrate(path)
    assert version(path) == len(STEPS)
    _, log_id, *rest = log_of(path)
    assert isinstance(log_id, bytes) and len(log_id) == 16
    assert rest == [1, 1, 1, 0]
    assert verify_path(path) == []
    assert list(path.parent.glob("*.before-*")) == []


def test_migrating_again_changes_nothing(path: Path) -> None:
    migrate(path)
    before = log_of(path)
    migrate(path)
    assert log_of(path) == before
    assert list(path.parent.glob("*.before-*")) == []


@pytest.mark.parametrize("released", range(1, len(STEPS) + 1))
def test_each_released_version_is_brought_forward(path: Path, schema: Path, released: int) -> None:
    for step in STEPS[released:]:
        (schema / step.name).unlink()
    migrate(path)
    assert version(path) == released
    before = log_of(path)
    for step in STEPS[released:]:
        (schema / step.name).write_text(step.read_text("utf-8"), "utf-8")
    more = add_step(schema, "CREATE TABLE more (one INTEGER);")
    migrate(path)
    assert version(path) == more
    assert "more" in tables(path)
    assert log_of(path) == before, "cursors stay cursors of this log"
    assert verify_path(path) == []


async def test_a_board_of_the_first_release_works_on_to_its_end(path: Path, schema: Path) -> None:
    for step in STEPS[1:]:
        (schema / step.name).unlink()
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_BOARD.read_text("utf-8"))
    for step in STEPS[1:]:
        (schema / step.name).write_text(step.read_text("utf-8"), "utf-8")
    migrate(path)
    assert verify_path(path) == []

    declared = agent("a", "A", max_concurrency=2), agent("b", "B", retries=3), agent("ab", "A", "C")
    rig = Rig(path, *declared)
    try:
        await rig.start()
        await rig.until(lambda: len(rig.working) == 3)
        assert await rig.states() == [
            "completed", "dead", "running", "running", "ready", "cancelled",
            "waiting", "waiting", "waiting", "waiting", "running",
        ]  # fmt: skip
        assert (rig.busy("a"), rig.busy("ab")) == (2, 1)
        third = await rig.call("a", 3)
        await rig.publish("C", 6, third.context.correlation_id)
        for n, inputs in ((2, (2, 5)), (3, (3, 6))):
            call = await rig.call("ab", n)
            assert call.inputs == inputs
            call.give()
        for n in (2, 3, 4):
            (await rig.call("a", n)).give()
        await rig.until(lambda: rig.kinds().count("run.completed") == 5)
        rig.clock.advance(60)
        while await rig.board.wake(rig.clock()):
            pass
        retried = await rig.call("b", 1)
        assert (await rig.run(retried.run_id)).attempt == 2
        retried.give()
        await rig.until(lambda: rig.kinds().count("run.completed") == 6)
        await rig.stop()
        assert verify_path(path) == []

        rig.agents = (*declared, agent("gone", "D", max_concurrency=1))
        await rig.start()
        for n in (1, 2, 3):
            (await rig.call("gone", n)).give()
        await rig.until(lambda: rig.kinds().count("run.completed") == 9)
        await rig.passed()
        assert rig.writer.occupancy.busy.total == rig.writer.occupancy.ready.total == 0
    finally:
        await rig.stop()
    assert verify_path(path) == []


async def test_runs_that_had_a_virtual_time_outside_of_the_queue_start_in_their_turn(path: Path) -> None:
    """Of a release in which each run kept its own for ever: one that works, one that is paused, one that is ready."""
    rig = Rig(path, agent("a", "A", max_concurrency=1))
    try:
        await rig.start()
        await rig.publish("A", 1)
        paused = (await rig.publish("A", 2)).correlation_id
        await rig.publish("A", 3)
        await rig.board.pause_correlation(paused, True)
        await rig.crash()
        take_back(path, "virtual_time")
        await rig.start()
        (await rig.call("a", 1)).give()
        await rig.call("a", 3)
        await rig.board.pause_correlation(paused, False)
        (await rig.call("a", 3)).give()
        (await rig.call("a", 2)).give()
        await rig.until(lambda: rig.kinds().count("run.completed") == 3)
    finally:
        await rig.stop()
    assert verify_path(path) == []


def test_sums_of_the_past_say_what_of_them_nobody_knows(path: Path) -> None:
    """Of a release whose sums did not: they are worked out from the calls."""
    board = SmallBoard(path, agent("a", "A"), agent("b", "A"))
    try:
        for hour in range(2):
            board.now = MIDNIGHT + hour * HOUR_MS
            board.publish("A")
            for run in (board.running("a"), board.running("b")):
                for most in (Most(10, 10, 10), Most(10, 10, None)):
                    for taken in (Usage(1, 5, 4, 3, 2), None, Usage()):
                        call = Call(
                            new_id(), run.id, run.correlation_id, run.agent, run.tenant, "m", most, board.now
                        )
                        board.do(EndCall(run.id, run.correlation_id, run.fence, call, False, taken, 9))
                board.finish(run)
    finally:
        board.close()
    made = sums(path)
    assert {tuple(row[-2:]) for row in made["usage_hours"]} == {(2, 2)}
    assert {row[-1] for row in made["runs"]} == {"[4,30,28,16,22,2,2]"}
    take_back(path, "honest_sums")
    assert {row[-1] for row in sums(path)["runs"]} == {"[4,30,28,16,22]"}
    migrate(path)
    assert sums(path) == made
    assert verify_path(path) == []


def sums(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
            for table, columns in {
                "usage": "*", "usage_hours": "*", "runs": "id, agent, state, usage",
                "correlations": "id, seq, state, usage",
            }.items()
        }  # fmt: skip


async def test_what_was_pooled_before_pools_had_an_index_of_agents_is_taken_by_it(path: Path) -> None:
    join = Agent("g", Subscription(("A", "B"), gathering=JoinSpec(by="n", within="1h")), ())
    rig = await Rig(path, join).start()
    for n in (1, 2):
        await rig.publish("A", n)
    await rig.stop()
    take_back(path, "taken_from_pools")
    await rig.start()
    await rig.publish("B", 2)
    assert (await rig.call("g")).inputs == (2, 2)
    assert rig.connection.execute("SELECT seq, key FROM pools").fetchall() == [(2, "1")]
    await rig.stop()
    assert verify_path(path) == []


async def test_what_ands_held_before_slots_went_by_type_is_taken_in_its_order(path: Path) -> None:
    rig = await Rig(path, agent("ab", "A", "B"), agent("aab", "A", "A", "B")).start()
    one, other = (await rig.publish("A", 1)).correlation_id, (await rig.publish("B", 9)).correlation_id
    for n in (2, 3):
        await rig.publish("A", n, one)
    await rig.stop()
    held = "SELECT correlation, agent, seq, artifact, type, depth FROM slots ORDER BY 1, 2, 3"
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute(held).fetchall()
    assert len(before) == 8
    take_back(path, "slots")
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(held).fetchall() == before
    await rig.start()
    await rig.publish("B", 4, one)
    await rig.publish("A", 5, other)
    assert (await rig.call("ab", 1)).inputs == (1, 4)
    assert (await rig.call("ab", 5)).inputs == (5, 9)
    assert (await rig.call("aab")).inputs == (1, 2, 4)
    await rig.stop()
    assert verify_path(path) == []


def test_a_file_is_copied_before_its_first_step(path: Path, schema: Path) -> None:
    migrate(path)
    released = version(path)
    add_step(schema, "CREATE TABLE more (one INTEGER);")
    add_step(schema, "CREATE TABLE yet_more (one INTEGER);")
    migrate(path)
    copy = path.with_name(f"board.db.before-{released + 1}")
    assert version(copy) == released
    assert tables(path) - tables(copy) == {"more", "yet_more"}


def test_a_step_that_fails_leaves_the_file_at_the_one_before(path: Path, schema: Path) -> None:
    migrate(path)
    good = add_step(schema, "CREATE TABLE more (one INTEGER);")
    bad = add_step(schema, "CREATE TABLE half (one INTEGER);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreRefused, match="no such table: nowhere"):
        migrate(path)
    assert version(path) == good
    assert "more" in tables(path) and "half" not in tables(path)
    (schema / f"{bad:04d}_more.sql").write_text("CREATE TABLE whole (one INTEGER);", "utf-8")
    migrate(path)
    assert version(path) == bad


def test_a_first_step_that_fails_leaves_no_schema(path: Path, schema: Path) -> None:
    first = schema / STEPS[0].name
    good = first.read_text("utf-8")
    first.write_text(good + "\nINSERT INTO nowhere VALUES (1);", "utf-8")
    with pytest.raises(StoreRefused):
        migrate(path)
    assert tables(path) == set()
    first.write_text(good, "utf-8")
    migrate(path)
    assert verify_path(path) == []


def test_a_newer_file_is_refused(path: Path) -> None:
    migrate(path)
    newer = len(STEPS) + 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(
        StoreRefused, match=f"has schema {newer}, this program knows {len(STEPS)}: start the newer"
    ):
        migrate(path)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (one INTEGER)")
    with pytest.raises(StoreRefused, match="is a database of another program"):
        migrate(path)
    assert tables(path) == {"theirs"}


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"these are no pages of a database" * 64)
    with pytest.raises(StoreRefused, match="cannot be opened"):
        migrate(path)


def test_steps_are_numbered_without_a_gap(schema: Path, path: Path) -> None:
    (schema / f"{len(STEPS) + 2:04d}_far.sql").write_text("SELECT 1;", "utf-8")
    with pytest.raises(AssertionError, match="has a gap"):
        migrate(path)
