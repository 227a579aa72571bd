"""Redrive: many dead runs at once, each of them once, whoever asks how often and whatever becomes of them again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from flockd.board import Idempotency, Redriven
from flockd.domain.identity import new_id
from flockd.errors import Conflict, IdempotencyMismatch, NotFound, Overloaded
from flockd.store.occupancy import Limits
from flockd.store.reads import Reads

from ..rig import Rig, Rigs, agent


def render(redriven: Redriven) -> bytes:
    return ",".join(run.id for run in redriven.runs).encode()


def key(name: bytes = b"k", body: bytes = b"b") -> Idempotency:
    return Idempotency(name.ljust(16), body.ljust(16))


async def dead(rig: Rig, count: int, correlation_id: str | None = None, type: str = "A") -> list[str]:
    """The ids of so many runs that have just died."""
    ids = []
    for n in range(count):
        before = rig.kinds().count("run.failed")
        await rig.publish(type, n, correlation_id)
        call = await rig.call({"A": "a", "B": "b"}[type], n)
        ids.append(call.run_id)
        call.fail()
        await rig.until(lambda before=before: rig.kinds().count("run.failed") > before)
    return ids


async def test_those_that_can_start_again_do_and_the_others_are_told(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    one, two = await dead(rig, 2)
    await rig.publish("A", 7)
    working = await rig.call("a", 7)
    missing, cancelled = new_id(), new_id()
    (three,) = await dead(rig, 1, cancelled)
    await rig.publish("A", 9, cancelled)
    await rig.board.cancel_correlation(cancelled)

    redriven = await rig.board.redrive([one, missing, working.run_id, three, two, one], render=render)
    assert [(run.id, run.state, run.attempt) for run in redriven.runs] == [
        (one, "running", 2),
        (two, "running", 2),
    ]
    assert [(run_id, type(error)) for run_id, error in redriven.refused] == [
        (missing, NotFound),
        (working.run_id, Conflict),
        (three, Conflict),
    ]
    assert [event["reason"] for event in rig.data("run.retrying")] == ["redrive", "redrive"]


async def test_strict_changes_nothing_where_one_cannot(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    (one,) = await dead(rig, 1)
    with pytest.raises(NotFound):
        await rig.board.redrive([one, new_id()], render=render, strict=True)
    assert await rig.states() == ["dead"]


async def test_two_of_one_workflow_share_its_next_round(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    correlation_id = new_id()
    first = await dead(rig, 1, correlation_id)
    second = await dead(rig, 1, correlation_id, "B")
    assert len((await rig.board.redrive([*first, *second], render=render)).runs) == 2
    found = await rig.reads.correlation(correlation_id)
    assert found is not None
    assert (found.state, found.round, found.error_count) == ("active", 3, 0)
    for name in ("a", "b"):
        (await rig.call(name)).give()
    await rig.event("correlation.completed", correlation_id=correlation_id)


async def test_one_key_is_one_redrive_at_once_and_over_a_restart(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    ids = await dead(rig, 3)
    async with rig.one_group():
        asked = [rig.soon(rig.board.redrive(ids, render=render, idempotency=key())) for _ in range(20)]
    answers = await asyncio.gather(*asked)
    assert [len(answer.runs) for answer in answers] == [3] + [0] * 19
    assert {answer.answer for answer in answers[1:]} == {",".join(ids).encode()}
    for n in range(3):
        (await rig.call("a", n)).fail()
    await rig.until(lambda: rig.kinds().count("run.failed") == 6)

    await rig.crash()
    await rig.start()
    again = await rig.board.redrive(ids, render=render, idempotency=key())
    assert (again.runs, again.answer) == ((), ",".join(ids).encode())
    assert await rig.states() == ["dead"] * 3
    with pytest.raises(IdempotencyMismatch):
        await rig.board.redrive(ids, render=render, idempotency=key(body=b"other"))
    other = await rig.board.redrive(ids, render=render, idempotency=key(b"other"))
    assert [run.attempt for run in other.runs] == [3] * 3


async def test_a_refused_redrive_leaves_its_key_free(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    (one,) = await dead(rig, 1)
    missing = new_id()
    with pytest.raises(NotFound):
        await rig.board.redrive([missing], render=render, strict=True, idempotency=key())
    assert (await rig.board.redrive([one], render=render, strict=True, idempotency=key())).answer is None


async def test_it_is_refused_where_too_much_waits(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1), limits=Limits(ready_runs=1))
    ids = await dead(rig, 3)
    await rig.publish("A", 7)
    assert [run.state for run in (await rig.board.redrive(ids[:1], render=render)).runs] == ["ready"]
    with pytest.raises(Overloaded, match=r"limits\.ready_runs"):
        await rig.board.redrive(ids[1:], render=render)
    assert await rig.states() == ["ready", "dead", "dead", "running"]


async def test_which_dead_letters_fit(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B", timeout_seconds=0.01))
    own, cancelled = new_id(), new_id()
    one, two = await dead(rig, 2)
    rig.clock.advance(1)
    later = rig.clock()
    (three,) = await dead(rig, 1, own)
    await rig.publish("B")
    four = (await rig.event("run.failed", agent="b")).run_id
    await dead(rig, 1, cancelled)
    await rig.publish("A", 9, cancelled)
    await rig.board.cancel_correlation(cancelled)

    async def fitting(limit: int = 10, **wanted: object) -> tuple[list[str], int]:
        ids, total = await rig.reads.dead_letters(limit=limit, **wanted)  # type: ignore[arg-type]
        assert total.exact
        return ids, total.count

    assert await fitting() == ([one, two, three, four], 4)
    assert await fitting(2) == ([one, two], 4)
    assert await fitting(agent="b") == ([four], 1)
    assert await fitting(agent="c") == ([], 0)
    assert await fitting(correlation_id=own) == ([three], 1)
    assert await fitting(correlation_id=cancelled) == ([], 0)
    assert await fitting(error="AGENT_FAILED") == ([one, two, three], 3)
    assert await fitting(error="TIMEOUT", agent="b") == ([four], 1)
    assert await fitting(died_before=later) == ([one, two], 2)
    runs, total = await rig.reads.runs(error="TIMEOUT", limit=10)
    assert ([run.id for run in runs], total.count) == ([four], 1)


async def test_an_error_is_found_by_its_index(rigs: Rigs) -> None:
    """However many others died of something else; a waiting one that failed so is none of them."""
    plans: list[str] = []

    class Explained(Reads):
        async def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
            plans.extend(str(row[3]) for row in await super()._rows(f"EXPLAIN QUERY PLAN {sql}", parameters))
            return await super()._rows(sql, parameters)

    rig = await rigs(agent("a", "A"), agent("b", "B", retries=1))
    (one,) = await dead(rig, 1)
    await rig.publish("B")
    (await rig.call("b")).fail()
    await rig.event("run.retrying")
    reads = Explained(rig.readers)
    for name in (None, "a"):
        runs, total = await reads.runs(error="AGENT_FAILED", agent=name, limit=10)
        assert ([run.id for run in runs], total.count) == ([one], 1)
        assert await reads.dead_letters(error="AGENT_FAILED", agent=name, limit=10) == ([one], total)
    found = [plan for plan in plans if "runs_by_error" in plan]
    assert len(found) == 8, "page and count of both"
    assert all("(tenant=? AND <expr>=?)" in plan for plan in found)
    waiting, _ = await rig.reads.runs(error="AGENT_FAILED", state="waiting", limit=10)
    assert [run.agent for run in waiting] == ["b"]


async def test_counting_dead_letters_is_bounded(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    ids = await dead(rig, 3)
    rig.reads._count_max = 2
    found, total = await rig.reads.dead_letters(limit=3)
    assert (found, total.count, total.exact) == (ids, 2, False)
