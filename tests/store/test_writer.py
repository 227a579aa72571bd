"""The writer: groups that share a commit, verbs that fail alone, disks that are full, and commits that fail."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flockd.board.control import Reset
from flockd.errors import FlockdError, OutcomeUnknown, Overloaded, Unavailable
from flockd.store import writer
from flockd.store.command import Needs
from flockd.store.occupancy import Tally
from flockd.store.reads import ArtifactFilter
from flockd.store.state import State

from ..rig import BEGIN, Rig, Rigs, agent, new_id


class Wrapped:
    """A connection that counts its statements by their first word, and fails where a test says so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.real = connection
        self.counts: Counter[str] = Counter()
        self.error: Callable[[str], int | None] = lambda _statement: None
        """The SQLite result code with which a statement is to fail, or None."""

    def execute(self, statement: str, *parameters: Any) -> Any:
        self.counts[statement.split(maxsplit=1)[0]] += 1
        code = self.error(statement)
        if code is not None:
            error = sqlite3.OperationalError(f"made up for {statement.split(maxsplit=1)[0]}")
            error.sqlite_errorcode = code
            raise error
        return self.real.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def fail(self, code: int, *words: str) -> None:
        """Each statement that begins with one of these words fails."""
        self.error = lambda statement: code if statement.startswith(words) else None

    def heal(self) -> None:
        self.error = lambda _statement: None


class Broken:
    """A command with a bug."""

    inside = False

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        state.occupancy.busy.add("ab", 7)
        raise ZeroDivisionError("a bug")


async def wrapped(rigs: Rigs, *agents: Any, **options: Any) -> tuple[Rig, Wrapped]:
    rig = await rigs(*(agents or (agent("ab", "A", max_concurrency=1),)), wrap=Wrapped, **options)
    return rig, rig.connection


# -- groups -------------------------------------------------------------------------------------------------------


async def test_a_group_shares_one_commit_and_keeps_the_order_of_its_verbs(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs)
    await rig.passed()
    connection.counts.clear()
    async with rig.one_group():
        asked = [rig.soon(rig.publish("B", n)) for n in range(100)]
    published = await asyncio.gather(*asked)
    (commit,) = rig.commits
    assert commit.commands >= 100  # the last to be queued may have made it, too
    assert connection.counts["COMMIT"] <= 3, "that which held the writer, the group, and the one after it"
    assert connection.counts["INSERT"] < 40, "few statements, however many rows"
    seqs = [one.seq for one in published]
    assert seqs == sorted(seqs)
    assert [event.seq for event in commit.events] == list(range(1, 301))
    artifacts = await rig.reads.artifacts(ArtifactFilter(), limit=500)
    assert [one.payload for one in artifacts] == [b'{"n":%d}' % n for n in range(100)]


async def test_a_group_has_a_largest_size(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs, group_max_commands=8)
    async with rig.one_group():
        for n in range(20):
            rig.soon(rig.publish("B", n))
    await rig.until(lambda: sum(len(commit.events) for commit in rig.commits) == 3 * 20)
    *full, last = [commit.commands for commit in rig.commits]
    assert full == [8, 8]
    assert last in (4, 5), "what the test asks after may come with them"


async def test_what_comes_from_inside_goes_first_and_is_never_refused(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs, queue_max_commands=2)
    await rig.publish("A", 1)
    call = await rig.call("ab")
    async with rig.one_group():
        outside = [rig.soon(rig.publish("B", n)) for n in range(3)]
        await asyncio.sleep(0)
        call.give(B=9)
        await call.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
    results = await asyncio.gather(*outside, return_exceptions=True)
    assert [type(one).__name__ for one in results] == ["Published", "Published", "Overloaded"]
    assert isinstance(results[2], Overloaded) and results[2].status == 503
    commit = rig.commits[-1]
    assert commit.events[0].run_id == call.run_id


async def test_a_verb_that_is_refused_does_not_take_its_neighbours_with_it(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    async with rig.one_group():
        first = rig.soon(rig.publish("B", 1))
        refused = rig.soon(rig.retry(new_id()))
        second = rig.soon(rig.publish("B", 2))
    with pytest.raises(FlockdError, match="Run not found"):
        await refused
    assert (await second).seq > (await first).seq
    assert len(rig.commits) == 1


async def test_a_verb_with_a_bug_fails_alone_and_leaves_nothing(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    async with rig.one_group():
        first = rig.soon(rig.publish("A", 1))
        await asyncio.sleep(0)
        broken = rig.writer.submit(Broken())
        second = rig.soon(rig.publish("A", 2))
    with pytest.raises(FlockdError, match="The command failed; nothing was stored") as failed:
        await broken
    assert failed.value.status == 500
    assert (await first).seq == 2
    assert (await second).seq == 5
    assert [commit.commands for commit in rig.commits] == [1, 1]
    assert rig.busy("ab") == 1
    assert await rig.states() == ["running", "ready"]


async def test_a_row_that_sqlite_refuses_fails_alone(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    first = await rig.publish("B", 1)

    class Doubled:
        inside = False

        def needs(self) -> Needs:
            return Needs(correlations=(first.correlation_id,))

        def decide(self, state: State) -> None:
            state.begin_correlation(state.correlations[first.correlation_id])
            state.events.append(state.events[-1])  # the same seq twice

    async with rig.one_group():
        doubled = rig.writer.submit(Doubled())
        second = rig.soon(rig.publish("B", 2))
    with pytest.raises(FlockdError, match="The command failed"):
        await doubled
    assert (await second).seq == first.seq + 3
    assert (await rig.reads.totals())["artifacts"] == 2


async def test_a_cancelled_caller_only_stops_waiting(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    async with rig.one_group():
        leaving = [rig.soon(rig.publish("B", n)) for n in range(3)]
        staying = rig.soon(rig.publish("B", 3))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
    await staying
    assert (await rig.reads.totals())["artifacts"] == 4


async def test_steps_of_a_group_are_reached_in_order(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, _ = await wrapped(rigs)
    await rig.passed()
    reached: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(writer, "probe", lambda step, commands: reached.append((step, commands)))
    await rig.publish("B")
    steps = ["taken", "loaded", "decided", "applied", "committed", "told"]
    assert reached == [(step, ("Publish",)) for step in steps]


# -- numbers and times ----------------------------------------------------------------------------------------------


async def test_no_seq_is_given_out_twice(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    seqs = [(await rig.publish("B")).seq]
    await rig.writer.submit(Reset())
    seqs.append((await rig.publish("B")).seq)
    await rig.crash()
    await rig.start()
    seqs.append((await rig.publish("B")).seq)
    await rig.board.reset()
    await rig.crash()
    await rig.start()
    seqs.append((await rig.publish("B")).seq)
    assert seqs == sorted(set(seqs))


async def test_a_failed_group_gives_its_seqs_back(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs)
    connection.fail(sqlite3.SQLITE_FULL, "INSERT INTO events")
    with pytest.raises(Unavailable):
        await rig.publish("B")
    connection.heal()
    assert (await rig.publish("B")).seq == 2


async def test_created_at_never_goes_back_when_the_clock_does(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    await rig.publish("B")
    rig.clock.advance(-3600)
    await rig.publish("B")
    await rig.crash()
    await rig.start()
    await rig.publish("B")
    rig.clock.advance(3601)
    await rig.publish("B")
    artifacts = await rig.reads.artifacts(ArtifactFilter(), limit=10)
    assert [one.created_at - BEGIN for one in artifacts] == [0, 0, 0, 1000]


# -- disks that cannot write ----------------------------------------------------------------------------------------


async def test_a_full_disk_is_answered_and_survived_in_place(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs)
    await rig.publish("A", 0)
    call = await rig.call("ab")
    pages = connection.real.execute("PRAGMA page_count").fetchone()[0]
    connection.real.execute(f"PRAGMA max_page_count = {pages + 1}")
    accepted = 1
    with pytest.raises(Unavailable, match=r"The store cannot write now: database or disk is full") as refused:
        for n in range(1, 10_000):
            await rig.publish("B", n, tags=tuple(f"{n}-{tag}" for tag in range(50)))
            accepted += 1
    assert refused.value.headers["Retry-After"] == "5"
    assert rig.writer.unwritable is not None
    assert (await rig.reads.totals())["artifacts"] == accepted, "nothing of what was refused was stored"
    call.give(B=list(range(500)))
    await call.ended.wait()
    with pytest.raises(Unavailable):
        await rig.publish("B", 0, tags=tuple(f"again-{tag}" for tag in range(500)))
    assert rig.kinds().count("run.completed") == 0
    connection.real.execute("PRAGMA max_page_count = 1000000")
    await rig.event("run.completed")
    await rig.publish("B")
    assert rig.writer.unwritable is None
    assert (await rig.reads.totals())["artifacts"] == accepted + 501
    assert rig.fatal == []


async def test_a_group_that_met_a_full_disk_leaves_no_trace_in_memory(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs, agent("ab", "A", max_concurrency=2), agent("join", "C", "D"))
    one = new_id()
    await rig.publish("C", 1, one)
    connection.fail(sqlite3.SQLITE_FULL, "INSERT INTO events")
    for type in "ACD":
        with pytest.raises(Unavailable):
            await rig.publish(type, 2, one)
    assert (rig.busy("ab"), rig.writer.occupancy.ready.total) == (0, 0)
    connection.heal()
    await rig.publish("D", 3, one)
    assert (await rig.call("join")).inputs == (1, 3)


async def test_a_place_that_becomes_free_on_a_full_disk_is_not_lost(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flockd.supervisor.supervisor.STORE_RETRY_SECONDS", 0.01)
    rig, connection = await wrapped(rigs)
    published = await rig.publish("A", 1)
    call = await rig.call("ab")
    call.stubborn = True
    await rig.board.cancel_run(rig.woke(published)[0])
    connection.fail(sqlite3.SQLITE_FULL, "COMMIT")
    call.give()
    await call.ended.wait()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await rig.publish("B")
    assert rig.busy("ab") == 1
    connection.heal()
    await rig.until(lambda: rig.busy("ab") == 0)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN])
async def test_a_store_that_cannot_be_written_is_tried_again_while_nobody_asks(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(writer, "_RECOVERY_SECONDS", 0.01)
    rig, connection = await wrapped(rigs)
    connection.fail(code, "BEGIN")
    with pytest.raises(Unavailable, match="The store cannot write now"):
        await rig.publish("B")
    loop, tried = asyncio.get_running_loop(), asyncio.Event()

    def again(statement: str) -> int | None:
        if statement.startswith("UPDATE log"):
            loop.call_soon_threadsafe(tried.set)
        return None

    connection.error = again
    async with asyncio.timeout(20):
        await tried.wait()
    await rig.publish("B")
    assert rig.writer.unwritable is None


async def test_a_disk_that_is_nearly_full_refuses_what_comes_from_outside_alone(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_SPACE_CHECK_SECONDS", 0.0)
    rig, _ = await wrapped(rigs, min_free_bytes=1)
    await rig.publish("A", 1)
    call = await rig.call("ab")
    rig.writer._min_free_bytes = 1 << 60
    with pytest.raises(Unavailable, match="The disk is nearly full"):
        await rig.publish("B")
    call.give(B=1)
    await rig.event("run.completed")
    rig.writer._min_free_bytes = 1
    await rig.publish("B")
    assert rig.writer.unwritable is None


async def test_a_write_ahead_log_that_cannot_be_cut_ends_nothing(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs, wal_max_bytes=1)
    connection.fail(sqlite3.SQLITE_FULL, "PRAGMA wal_checkpoint")
    for n in range(3):
        await rig.publish("B", n)
    connection.heal()
    await rig.publish("B")
    assert rig.fatal == []


# -- what ends the process ------------------------------------------------------------------------------------------


async def fatal(rig: Rig) -> str:
    """The reason for which the process is to end. What the file holds is what a fresh start would find."""
    reason: str = await rig.until(lambda: rig.fatal and rig.fatal[0])
    return reason


@asynccontextmanager
async def failing_group(rig: Rig, connection: Wrapped) -> AsyncIterator[None]:
    """As `one_group`; the commit of what is begun inside fails, and so does whatever comes behind it."""
    commits = 0

    def error(statement: str) -> int | None:
        nonlocal commits
        commits += statement == "COMMIT"
        return sqlite3.SQLITE_IOERR_FSYNC if statement == "COMMIT" and commits > 1 else None

    with pytest.raises(Unavailable):
        async with rig.one_group():
            connection.error = error  # the first commit is that of what holds the writer
            yield


async def test_an_io_error_at_the_commit_is_of_unknown_outcome_and_fatal(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs)
    await rig.publish("B", 1)
    async with failing_group(rig, connection):
        asked = [rig.soon(rig.publish("B", n)) for n in range(3)]
    for one in asked:
        with pytest.raises(OutcomeUnknown, match="nobody knows whether this was stored"):
            await one
    assert (await fatal(rig)).startswith("the store failed while committing (OperationalError: made up for")
    commits = connection.counts["COMMIT"]
    assert commits == connection.counts["BEGIN"], "a failed commit is not tried again"
    with pytest.raises(Unavailable):
        await rig.publish("B")


async def test_who_is_behind_a_failed_commit_is_answered_too(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs, group_max_commands=2)
    async with failing_group(rig, connection):
        asked = [rig.soon(rig.publish("B", n)) for n in range(5)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in results)
    assert await fatal(rig)


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, "PRAGMA wal_checkpoint"),
        (sqlite3.SQLITE_CORRUPT, "INSERT"),
        (sqlite3.SQLITE_NOTADB, "BEGIN"),
    ],
)
async def test_what_only_a_fresh_start_can_mend_is_fatal(rigs: Rigs, code: int, statement: str) -> None:
    rig, connection = await wrapped(rigs, wal_max_bytes=1)
    connection.fail(code, statement)
    await asyncio.gather(rig.publish("B"), return_exceptions=True)
    assert "the store failed" in await fatal(rig)


async def test_closing_stores_what_was_queued_and_takes_nothing_more(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    queued = [rig.soon(rig.publish("B", n)) for n in range(20)]
    await asyncio.sleep(0)
    await rig.writer.close()
    await asyncio.gather(*queued)
    with pytest.raises(Unavailable, match="shutting down"):
        await rig.publish("B")
    assert (await rig.reads.totals())["artifacts"] == 20


# -- who works and who waits ------------------------------------------------------------------------------------------


def test_a_tally_is_undone_with_its_transaction() -> None:
    tally: Tally[str] = Tally()
    tally.add("a", 2)
    assert (tally["a"], tally.total, dict(tally.items())) == (2, 2, {})
    tally.rollback()
    assert (tally["a"], tally.total) == (0, 0)
    tally.add("a", 2)
    tally.add("b", 1)
    tally.commit()
    tally.add("a", -2)
    assert (tally["a"], tally.total, dict(tally.items())) == (0, 1, {"a": 2, "b": 1})
    tally.rollback()
    assert (tally["a"], tally.total) == (2, 3)
    tally.add("a", -2)
    tally.commit()
    assert dict(tally.items()) == {"b": 1}
    tally.clear()
    assert (tally["b"], tally.total) == (0, 0)
    tally.rollback()
    assert tally.total == 1


async def test_places_are_counted_from_the_rows_at_start(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    for n in range(3):
        await rig.publish("A", n)
    await rig.crash()
    await rig.start()
    await rig.until(lambda: rig.busy("ab") == 1)
    assert rig.writer.occupancy.ready["ab"] == 2
