"""Calls of language models: reserved before they begin, charged when they end, once, whatever happens in between."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from flockd.board.usage import EndCall
from flockd.domain.budget import Ledger, Scope, ledger_key
from flockd.domain.usage import Usage
from flockd.engines.base import Context
from flockd.engines.memory import RunSuperseded
from flockd.errors import BudgetExceeded

from ..rig import BEGIN, LIMIT_SECONDS, Rig, Rigs, agent
from .thinking import (
    CENT,
    CHARGED,
    MOST,
    OF_A,
    TOOK,
    Thinker,
    board,
    ended,
    idle,
    ledger,
    queued,
    rule,
    the_run,
    total,
)


async def test_settling_twice_is_settling_once(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        await context.memory.end_call(call, TOOK, step=("s", b"1"))
        await context.memory.end_call(call, None, step=("s", b"2"))

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await ended(rig, 1)
    assert await total(rig) == TOOK
    run = await the_run(rig)
    assert await rig.reads.steps(run.id) == {"s": b"1"}
    row = rig.connection.execute("SELECT * FROM calls").fetchone()
    assert row is not None


async def test_the_verb_settles_once_though_two_ask(rigs: Rigs) -> None:
    begun = asyncio.get_running_loop().create_future()

    async def think(context: Context) -> None:
        begun.set_result(await context.memory.begin_call("m", MOST))
        await asyncio.get_running_loop().create_future()

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await begun
    run = await the_run(rig)
    (call,) = [is_open.call for is_open in rig.supervisor._works[run.id].calls._open.values()]
    settle = EndCall(run.id, run.correlation_id, run.fence, call, True, TOOK, 0)
    async with rig.one_group():
        both = [rig.soon(_asked(rig, settle)), rig.soon(_asked(rig, settle))]
    assert await asyncio.gather(*both) == [True, True]
    assert await rig.board.end_call(settle) is True
    assert await total(rig) == TOOK
    await rig.board.cancel_run(run.id)
    await idle(rig)
    assert await total(rig) == TOOK


async def _asked(rig: Rig, settle: EndCall) -> bool:
    return bool(await rig.board.end_call(settle))


async def test_a_call_that_is_cancelled_is_charged(rigs: Rigs) -> None:
    begun = asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await context.memory.end_call(call, None)

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await begun.wait()
    rig.clock.advance(2)
    run = await rig.board.cancel_run((await the_run(rig)).id)
    await idle(rig)
    assert (await rig.run(run.id)).usage == CHARGED._replace(ms=2000)
    assert (await ledger(rig, OF_A, "a")).reserved == (0, 0, 0)


async def test_a_call_that_an_engine_forgets_is_charged_when_its_run_is_over(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        await context.memory.begin_call("m", MOST)

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await ended(rig, 1)
    await idle(rig)
    assert await total(rig) == CHARGED
    assert (await ledger(rig, OF_A, "a")).reserved == (0, 0, 0)


async def test_a_call_whose_engine_is_cancelled_while_it_begins_takes_nothing(rigs: Rigs) -> None:
    go = asyncio.Event()

    async def think(context: Context) -> None:
        await go.wait()
        await context.memory.begin_call("m", MOST)

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    async with rig.one_group():  # the writer is held: the call waits for its reservation
        go.set()
        await queued(rig)
        (work,) = rig.supervisor._works.values()
        work.time_out()
    await rig.until(lambda: rig.kinds().count("run.failed"))
    await idle(rig)
    assert await total(rig) == Usage()
    assert (await ledger(rig, OF_A, "a")) == Ledger(ledger_key(OF_A, "a", BEGIN))
    assert rig.connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)


async def test_the_end_of_a_call_is_stored_though_its_caller_is_cancelled(rigs: Rigs) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        begun.set()
        await go.wait()
        await context.memory.end_call(call, TOOK, step=("s", b"1"))

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await begun.wait()
    async with rig.one_group():
        go.set()
        await queued(rig)
        (work,) = rig.supervisor._works.values()
        work.time_out()
    await rig.until(lambda: rig.kinds().count("run.failed"))
    assert await total(rig) == TOOK
    assert await rig.reads.steps((await the_run(rig)).id) == {"s": b"1"}


async def test_a_superseded_attempt_settles_but_keeps_no_step(rigs: Rigs) -> None:
    begun, go, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        begun.set()
        try:
            await go.wait()
        except asyncio.CancelledError:
            with pytest.raises(RunSuperseded):
                await context.memory.end_call(call, TOOK, step=("s", b"1"))
            with pytest.raises(RunSuperseded):
                await context.memory.begin_call("m", MOST)
            refused.set()
            raise

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await begun.wait()
    run = await rig.board.cancel_run((await the_run(rig)).id)
    await refused.wait()
    assert (await rig.run(run.id)).usage == TOOK
    assert await rig.reads.steps(run.id) == {}


@pytest.mark.parametrize("settles", [False, True])
async def test_a_crash_between_reserving_and_settling_charges_once(rigs: Rigs, settles: bool) -> None:
    begun = asyncio.Event()
    is_first = True

    async def think(context: Context) -> None:
        nonlocal is_first
        call = await context.memory.begin_call("m", MOST)
        if is_first:
            is_first = False
            if settles:
                await context.memory.end_call(call, TOOK)
            begun.set()
            await asyncio.get_running_loop().create_future()
        await context.memory.end_call(call, TOOK)

    a_rule = rule(Scope.agent, 2)
    rig = await board(rigs, think, a_rule)
    await rig.publish("A")
    await begun.wait()
    await rig.crash()
    await rig.start()
    await ended(rig, 1)
    lost = TOOK if settles else CHARGED
    assert await total(rig) == TOOK.plus(lost)
    assert (await the_run(rig)).usage == TOOK.plus(lost)
    assert (await ledger(rig, a_rule, "a")).spent.requests == 2
    await rig.crash()
    await rig.start()
    assert await total(rig) == TOOK.plus(lost)
    await rig.publish("A")
    await ended(rig, 2)
    assert rig.kinds().count("budget.exceeded") == 1


async def test_calls_for_which_no_budget_counts_are_stored_when_they_end(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        assert rig.connection.execute("SELECT count(*) FROM calls").fetchone() == (0,)
        await context.memory.end_call(call, TOOK, step=("s", b"1"))

    rig = await board(rigs, think, rule(Scope.agent, 0, name="b"))
    await rig.publish("A")
    await ended(rig, 1)
    run = await the_run(rig)
    assert (run.state, run.usage) == ("completed", TOOK)
    assert await rig.reads.steps(run.id) == {"s": b"1"}


async def test_a_tool_is_told_with_its_step_and_without_one(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        await context.memory.tell_tool(b'{"tool":"find","outcome":"error"}')
        await context.memory.record("find", b"1", tool=b'{"tool":"find","outcome":"ok"}')

    rig = await board(rigs, think)
    await rig.publish("A")
    await ended(rig, 1)
    assert [data["outcome"] for data in rig.data("tool.called")] == ["error", "ok"]
    assert (await rig.event("tool.called")).agent == "a"


async def test_an_answer_that_is_too_large_to_keep_is_paid_for(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        with pytest.raises(ValueError, match=r"limits\.output_bytes"):
            await context.memory.end_call(call, TOOK, step=("s", b"1" * 2000))

    rig = await rigs(agent("a", "A"), engines={"a": Thinker(think)}, budgets=(OF_A,), output_bytes=1000)
    await rig.publish("A")
    await ended(rig, 1)
    assert await total(rig) == TOOK


async def test_an_engine_does_not_say_what_is_unpriced_or_estimated(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        await context.memory.end_call(call, TOOK._replace(unpriced=1, estimated=1))

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await ended(rig, 1)
    assert (await the_run(rig)).usage == await total(rig) == TOOK


@pytest.mark.parametrize("absurd", [-1_000_000, 2**70, 1.5, None])
@pytest.mark.parametrize("name", ["a", "b"])
async def test_what_cannot_be_believed_is_charged_as_the_unknown(rigs: Rigs, absurd: Any, name: str) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        await context.memory.end_call(call, TOOK._replace(input_tokens=absurd))

    tokens = rule(Scope.agent, tokens=1000, name=name)
    rig = await board(rigs, think, tokens)
    await rig.publish("A")
    await ended(rig, 1)
    assert (await the_run(rig)).state == "completed"
    assert await total(rig) == CHARGED
    if name == "a":
        told = await ledger(rig, tokens, "a")
        assert (told.spent, told.reserved) == ((1, 150, CENT), (0, 0, 0))


class FullDisk:
    """The writer's connection, on a disk that is full for calls when it is told to be."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.is_full = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.is_full and sql.startswith("INSERT INTO calls "):
            self.refused += 1
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        return self._connection.execute(sql, *parameters)


@pytest.mark.parametrize("cancels", [False, True])
async def test_the_end_of_a_call_waits_for_a_full_disk(rigs: Rigs, cancels: bool) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        begun.set()
        await go.wait()
        await context.memory.end_call(call, TOOK, step=("s", b"1"))

    rig = await rigs(agent("a", "A"), engines={"a": Thinker(think)}, budgets=(OF_A,), wrap=FullDisk)
    await rig.publish("A")
    await begun.wait()
    run = await the_run(rig)
    rig.connection.is_full = True
    go.set()
    async with asyncio.timeout(LIMIT_SECONDS):
        while not rig.connection.refused:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    if cancels:
        rig.supervisor._works[run.id].time_out()
        await rig.event("run.failed")
    rig.connection.is_full = False
    await ended(rig, 1)
    await idle(rig)
    assert await total(rig) == TOOK
    assert (await ledger(rig, OF_A, "a")).reserved == (0, 0, 0)


async def test_no_call_begins_on_a_full_disk(rigs: Rigs) -> None:
    go, sent = asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        await go.wait()
        call = await context.memory.begin_call("m", MOST)
        sent.set()
        await context.memory.end_call(call, TOOK)

    rig = await rigs(agent("a", "A"), engines={"a": Thinker(think)}, budgets=(OF_A,), wrap=FullDisk)
    await rig.publish("A")
    rig.connection.is_full = True
    go.set()
    async with asyncio.timeout(LIMIT_SECONDS):
        while not rig.connection.refused:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    assert not sent.is_set()
    rig.connection.is_full = False
    await ended(rig, 1)
    assert await total(rig) == TOOK


async def test_a_drain_settles_what_was_sent(rigs: Rigs) -> None:
    begun = asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await context.memory.end_call(call, TOOK)

    rig = await board(rigs, think, OF_A)
    await rig.publish("A")
    await begun.wait()
    await rig.stop()
    assert rig.verify() == []
    with closing(sqlite3.connect(rig.path)) as connection:
        assert connection.execute("SELECT requests, estimated FROM calls").fetchall() == [(1, 0)]


async def test_the_error_carries_the_budget(rigs: Rigs) -> None:
    caught: list[BudgetExceeded] = []

    async def think(context: Context) -> None:
        try:
            await context.memory.begin_call("m", MOST)
        except BudgetExceeded as error:
            caught.append(error)
            raise

    rig = await board(rigs, think, rule(Scope.tenant, 0))
    await rig.publish("A")
    await ended(rig, 1)
    assert [error.details for error in caught] == rig.data("budget.exceeded")
