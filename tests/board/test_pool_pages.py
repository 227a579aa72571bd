"""Much that is gathered, or hidden, at once: few statements, pages of bounded size, and nothing lost between them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flockd.domain.gathering import BATCH_MOST
from flockd.domain.visibility import After
from flockd.store.command import DUE_PAGE
from flockd.store.pool import Pool
from flockd.store.records import Pooled
from flockd.store.rows import Row, pooled_from

from ..rig import Rig, Rigs, agent, publication
from .test_pools import gatherer, of, wake

HOUR = After(ttl=3600)


def traced(rig: Rig, *of_table: str) -> list[str]:
    """The statements of the writer from here on that name one of these."""
    statements: list[str] = []

    def look(statement: str) -> None:
        if any(name in statement for name in of_table):
            statements.append(statement)

    rig.connection.set_trace_callback(look)
    return statements


async def bulk(rig: Rig, type: str, numbers: Sequence[int], **fields: object) -> None:
    await rig.board.publish_many([publication(type, n, **fields) for n in numbers], atomic=True)


def sizes(rig: Rig, kind: str) -> list[int]:
    """How many events of a kind each transaction wrote, of those that wrote any."""
    counts = [sum(event.kind == kind for event in commit.events) for commit in rig.commits]
    return [count for count in counts if count]


# -- few statements -------------------------------------------------------------------------------------------


async def test_a_bulk_of_many_keys_asks_once_and_takes_once(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    statements = traced(rig, " pools ")
    await bulk(rig, "A", range(300))
    assert [one.split()[0] for one in statements] == ["WITH", "INSERT", "INSERT", "INSERT", "INSERT"]
    assert "(VALUES" not in statements[0], "its text does not grow with the keys"
    statements.clear()
    await bulk(rig, "B", range(300))
    assert [one.split()[0] for one in statements] == ["WITH", "DELETE"]
    assert rig.busy("g") + rig.writer.occupancy.ready["g"] == 300


async def test_what_is_taken_at_one_agent_stays_at_the_other(rigs: Rigs) -> None:
    """The same artifact waits at both."""
    rig = await rigs(
        gatherer("A", "B", by="n", within="1h"), gatherer("A", "C", name="h", by="n", within="1h")
    )
    await bulk(rig, "A", range(5))
    await bulk(rig, "B", range(5))
    await rig.until(lambda: len(rig.working) == 5)
    await bulk(rig, "C", range(5))
    await rig.until(lambda: Counter(call.agent for call in rig.working) == {"g": 5, "h": 5})


async def test_a_batch_is_read_when_it_becomes_full(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await rigs(gatherer("A", size=5, timeout="1h"))
    read: list[object] = []

    def counting(row: Row) -> Pooled:
        read.append(row)
        return pooled_from(row)

    monkeypatch.setattr("flockd.store.load_waiting.pooled_from", counting)
    for n in range(4):
        await rig.publish("A", n)
    assert read == []
    await rig.publish("A", 4)
    assert len(read) == 4
    assert (await rig.call("g")).inputs == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("numbers", [range(7), [1] * 7])
async def test_revealed_artifacts_join_by_the_same_statements(rigs: Rigs, numbers: Sequence[int]) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="9h"))
    await bulk(rig, "A", numbers, visibility=HOUR)
    await bulk(rig, "B", numbers)
    await rig.passed()
    rig.clock.advance(3600)
    statements = traced(rig, " hidden ", "UPDATE artifacts")
    await rig.board.reveal(rig.clock())
    assert [one.split()[0] for one in statements] == ["SELECT", "DELETE", "UPDATE"]
    await rig.until(lambda: len(rig.working) == 7)
    assert sorted(call.inputs for call in rig.working) == sorted((n, n) for n in numbers)


async def test_an_and_lets_go_of_many_at_once(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", "B"))
    first = [await rig.publish("A", n) for n in range(40)]
    statements = traced(rig, "DELETE FROM slots")
    async with rig.one_group():
        for n, one in enumerate(first):
            rig.soon(rig.publish("B", n, one.correlation_id))
    assert len(statements) == 2, "of 32 and of 8"
    await rig.until(lambda: len(rig.working) == 40)
    assert all(call.inputs[0] == call.inputs[1] for call in rig.working)
    assert rig.connection.execute("SELECT count(*) FROM slots").fetchone() == (0,)


# -- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [DUE_PAGE + 200, 1])
async def test_what_is_due_at_once_goes_in_pages(rigs: Rigs, keys: int) -> None:
    """A crash between two of them loses nothing and tells nothing twice."""
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    numbers = [n % keys for n in range(DUE_PAGE + 200)]
    await bulk(rig, "A", numbers)
    await rig.passed()
    rig.clock.advance(3600)
    assert await rig.board.wake(rig.clock())
    assert sizes(rig, "join.expired") == [DUE_PAGE]
    await rig.publish("B", numbers[-1])  # what is due and not told yet is still there
    await rig.until(lambda: len(rig.working) == 1)
    await rig.crash()
    await rig.start()
    while await rig.board.wake(rig.clock()):
        pass
    told = [one for data in rig.data("join.expired") for one in data["artifacts"]]
    assert len(told) == len(set(told)) == DUE_PAGE + 199
    assert rig.kinds().count("correlation.completed") == DUE_PAGE + 201  # that of the B, too


async def test_two_at_once_tell_it_once(rigs: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    rig = await rigs(
        gatherer("A", "B", by="n", within="1h"), gatherer("A", name="h", size=9, timeout="1h", by="n")
    )
    await bulk(rig, "A", range(5))
    await rig.passed()
    rig.clock.now += 3_600_000
    async with rig.one_group():
        for earlier in (0, 0, 1, 0):
            rig.soon(rig.board.wake(rig.clock() - earlier))
    assert len(rig.data("join.expired")) == 5
    await rig.until(lambda: len(rig.working) == 5)
    assert "decided again" not in caplog.text


async def test_batches_go_whole_and_so_many_that_they_are_a_page(rigs: Rigs) -> None:
    """All of them are due at once, and filled in turns: of each the first is among the first that are due."""
    keys, each = 6, 300
    rig = await rigs(gatherer("A", size=BATCH_MOST, timeout="1h", by="n"))
    for _ in range(each):
        await bulk(rig, "A", range(keys))
        rig.clock.now += 1
    await rig.passed()
    rig.clock.advance(3600)
    assert await rig.board.wake(rig.clock())
    assert sizes(rig, "run.started") == [2], "no third one, for two are a page"
    await rig.crash()
    await rig.start()
    while await rig.board.wake(rig.clock()):
        pass
    await rig.until(lambda: len(rig.working) == keys)
    assert sorted(call.inputs for call in rig.working) == [(n,) * each for n in range(keys)]


async def test_large_batches_go_one_by_one(rigs: Rigs) -> None:
    """Two of them are more than is read for a page: what is cut off of the second one waits for the next page."""
    keys, each = 2, BATCH_MOST - 1
    rig = await rigs(gatherer("A", size=BATCH_MOST, timeout="1h", by="n"))
    for start in range(0, each, 333):
        await bulk(rig, "A", [n for n in range(keys) for _ in range(min(333, each - start))])
        rig.clock.now += 1
    await rig.passed()
    rig.clock.advance(3600)
    assert await rig.board.wake(rig.clock())
    assert sizes(rig, "run.started") == [1]
    while await rig.board.wake(rig.clock()):
        pass
    await rig.until(lambda: len(rig.working) == keys)
    assert sorted(call.inputs for call in rig.working) == [(n,) * each for n in range(keys)]


async def test_what_is_hidden_shows_in_pages_and_others_get_in_between(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await bulk(rig, "A", range(300), visibility=HOUR)
    await rig.passed()
    rig.clock.advance(3600)
    rig.commits.clear()
    reveal = rig.soon(rig.board.reveal(rig.clock()))
    await rig.until(lambda: sizes(rig, "artifact.visible"))
    await rig.publish("B")
    before = sum(sizes(rig, "artifact.visible"))
    await reveal
    assert before < 300, "a publication came before the end"
    assert max(sizes(rig, "artifact.visible")) <= 128
    assert sum(sizes(rig, "artifact.visible")) == 300
    await rig.until(lambda: rig.writer.occupancy.busy["a"] + rig.writer.occupancy.ready["a"] == 300)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 4),
    st.lists(st.one_of(st.lists(st.integers(1, 3), min_size=1, max_size=9), st.none()), max_size=8),
)
async def test_bulks_and_deadlines_are_what_a_naive_model_says(
    rigs: Rigs, size: int, steps: list[list[int] | None]
) -> None:
    """Batches of each key, published in bulk, while (None) all that waits is due, in one group with the next bulk."""
    rig = await rigs(gatherer("A", size=size, timeout="1h", by="n"))
    waiting: dict[int, list[int]] = defaultdict(list)
    batches: list[tuple[int, ...]] = []
    for numbers in steps:
        if numbers is None:
            await rig.passed()
            rig.clock.now += 3_600_000
            async with rig.one_group():
                rig.soon(rig.board.wake(rig.clock()))
                rig.soon(rig.publish("A", 1))
            batches += [tuple(held) for held in waiting.values() if held]
            waiting.clear()
        for n in [1] if numbers is None else numbers:
            waiting[n].append(n)
            if len(waiting[n]) == size:
                batches.append(tuple(waiting.pop(n)))
        if numbers is not None:
            await bulk(rig, "A", numbers)
    await rig.until(lambda: len(rig.working) == len(batches))
    assert sorted(call.inputs for call in rig.working) == sorted(batches)
    assert rig.verify() == []
    await rig.stop()


# -- one pool -----------------------------------------------------------------------------------------------------


def pooled(type: str, seq: int) -> Pooled:
    return Pooled("t", "g", "1", type, seq, f"artifact {seq}", "correlation", 1, 0, "g", True)


def test_a_pool_is_in_the_order_of_publication_whatever_comes_when() -> None:
    ones = {seq: pooled("AB"[seq % 2], seq) for seq in range(1, 8)}
    pool = Pool([ones[5], ones[2]])
    for seq in (7, 1, 6, 3):
        pool.add(ones[seq])
    assert [one.seq for one in pool] == [1, 2, 3, 5, 6, 7]
    assert [one.seq for one in pool.oldest("B", 2)] == [1, 3]
    assert pool.oldest("C", 2) == []
    pool.remove(ones[3])
    assert ones[3] not in pool and ones[4] not in pool and ones[5] in pool
    assert (len(pool), [one.seq for one in pool.oldest("B", 9)]) == (5, [1, 5, 7])
    with pytest.raises(AssertionError, match="only what is in a pool"):
        pool.remove(ones[3])


async def test_what_shows_late_is_the_oldest_all_the_same(rigs: Rigs) -> None:
    """In the group that reveals it as after it: it was published first."""
    rig = await rigs(gatherer("A", "B", by="n", within="9h"))
    hidden = await rig.publish("A", 1, visibility=HOUR)
    other = await rig.publish("A", 1)
    await rig.passed()
    rig.clock.advance(3600)
    async with rig.one_group():
        (one,) = await rig.reads.due_hidden(rig.clock(), 10)
        revealed = rig.writer.submit(rig.board.preparing.revealing(*one))
        rig.soon(rig.publish("B", 1))
    assert await revealed
    await rig.call("g")
    assert await of(rig, hidden.correlation_id) == ("completed", False)
    assert await of(rig, other.correlation_id) == ("active", True)
    await wake(rig, 9 * 3600)
