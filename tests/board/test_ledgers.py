"""What budgets remember: over other rules, resets, the end of their windows and of what they counted for."""

from __future__ import annotations

import asyncio

import pytest

from flockd.domain.budget import Scope
from flockd.domain.usage import Most
from flockd.engines.base import Context

from ..rig import BEGIN, Rigs
from .thinking import (
    CHARGED,
    DAY,
    MOST,
    TOOK,
    board,
    ended,
    idle,
    ledger,
    one_call,
    rule,
    the_run,
    total,
)


async def test_other_rules_count_what_was_spent_before_them(rigs: Rigs) -> None:
    rig = await board(rigs, one_call)
    await rig.publish("A")
    await rig.publish("A")
    await ended(rig, 2)
    await rig.stop()
    rig.budgets = (rule(Scope.agent, 3, per="month"), rule(Scope.tenant, 10))
    await rig.start()
    for done in (3, 4):
        await rig.publish("A")
        await ended(rig, done)
    assert [data["spent"] for data in rig.data("budget.exceeded")] == [3]
    assert (await ledger(rig, rig.budgets[1], "default")).spent.requests == 3
    await rig.stop()
    rig.budgets = ()
    await rig.start()
    await rig.publish("A")
    await ended(rig, 5)
    await rig.stop()
    rig.budgets = (rule(Scope.agent, 4, per="month"),)
    await rig.start()
    await rig.publish("A")
    await ended(rig, 6)
    assert [data["spent"] for data in rig.data("budget.exceeded")] == [3, 4]


async def test_a_reset_gives_no_money_back(rigs: Rigs) -> None:
    gate, waits = asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        if context.inputs[0].payload == b'{"n":2}':
            waits.set()
            await gate.wait()
        await context.memory.end_call(call, TOOK)

    rules = rule(Scope.agent, 2), rule(Scope.correlation, 5), rule(Scope.run, 5)
    rig = await board(rigs, think, *rules)
    await rig.publish("A", 1)
    await ended(rig, 1)
    await rig.publish("A", 2)
    await waits.wait()
    await rig.board.reset()
    await idle(rig)
    assert rig.verify() == []
    assert await total(rig) == TOOK.plus(CHARGED)
    assert rig.connection.execute("SELECT DISTINCT scope FROM ledgers").fetchall() == [("agent",)]
    await rig.publish("A", 3)
    await rig.event("budget.exceeded")


@pytest.mark.parametrize("cuts", [False, True])
async def test_a_workflow_of_the_same_id_after_a_reset_is_another_one(rigs: Rigs, cuts: bool) -> None:
    """What its namesake took does not count for it, whether that was over before or after it began."""
    waits, ended_late = asyncio.Event(), asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        if cuts and context.inputs[0].payload == b'{"n":1}':
            waits.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await again
                await context.memory.end_call(call, TOOK)
                ended_late.set()
        await context.memory.end_call(call, TOOK)

    rules = rule(Scope.correlation, 1), rule(Scope.tenant, 10)
    rig = await board(rigs, think, *rules)
    again = asyncio.get_running_loop().create_future()
    published = await rig.publish("A", 1)
    await (waits.wait() if cuts else ended(rig, 1))
    await rig.board.reset()
    await rig.publish("A", 2, correlation_id=published.correlation_id)
    again.set_result(None)
    await (ended_late.wait() if cuts else ended(rig, 2))
    await rig.event("run.completed" if cuts else "correlation.completed")
    await idle(rig)
    assert rig.data("budget.exceeded") == []
    correlation = await rig.reads.correlation(published.correlation_id)
    assert correlation is not None and correlation.usage == TOOK
    assert (await ledger(rig, rules[0], published.correlation_id)).spent.requests == 1
    assert (await ledger(rig, rules[1], "default")).spent.requests == 2
    assert (await total(rig, correlation_id=published.correlation_id)).requests == 2
    assert rig.verify() == []


async def test_a_window_is_of_the_wall_clock_though_that_is_set_back(rigs: Rigs) -> None:
    """The log's moments never go back; budgets would wait for days until it comes round again."""
    daily = rule(Scope.agent, 1, per="day")
    rig = await board(rigs, one_call, daily)
    rig.clock.advance(2 * 86_400)
    await rig.publish("A")
    await ended(rig, 1)
    rig.clock.advance(-2 * 86_400)
    await rig.publish("A")
    await ended(rig, 2)
    assert rig.data("budget.exceeded") == []
    for moment in (BEGIN, BEGIN + 2 * DAY):
        assert (await ledger(rig, daily, "a", moment)).spent.requests == 1
    await rig.publish("A")
    await ended(rig, 3)
    assert [data["window_ends_at"] for data in rig.data("budget.exceeded")] == ["2026-11-22T00:00:00.000Z"]


@pytest.mark.parametrize("name", ["a", "b"])
async def test_what_no_call_can_take_does_not_overflow(rigs: Rigs, name: str) -> None:
    async def think(context: Context) -> None:
        for taken in (None, TOOK, None):
            call = await context.memory.begin_call("m", Most(2**63, 10**30, 10**300))
            await context.memory.end_call(call, taken)

    rig = await board(rigs, think, rule(Scope.agent, 100, name=name))
    await rig.publish("A")
    await ended(rig, 1)
    assert (await the_run(rig)).state == "completed"
    assert (await total(rig)).requests == 3
    assert rig.verify() == []


async def test_ledgers_of_what_is_over_are_forgotten(rigs: Rigs) -> None:
    rules = (
        rule(Scope.agent, 9, per="hour"),
        rule(Scope.agent, 9),
        rule(Scope.run, 9),
        rule(Scope.correlation, 9),
    )
    rig = await board(rigs, one_call, *rules)
    await rig.publish("A")
    await ended(rig, 1)
    await rig.board.forget_ledgers(rig.clock())
    kept = "SELECT scope, per FROM ledgers ORDER BY scope, per"
    assert rig.connection.execute(kept).fetchall() == [("agent", ""), ("agent", "hour")]
    rig.clock.advance(3600)
    await rig.board.forget_ledgers(rig.clock())
    assert rig.connection.execute(kept).fetchall() == [("agent", "")]
    await rig.publish("A")
    await ended(rig, 2)
    assert (await ledger(rig, rules[1], "a")).spent.requests == 2


async def test_a_dead_run_that_is_retried_has_what_its_budget_left(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        await one_call(context)
        raise ValueError("no")

    rig = await board(rigs, think, rule(Scope.run, 2))
    await rig.publish("A")
    await ended(rig, 1)
    await rig.board.forget_ledgers(rig.clock())
    run = await the_run(rig)
    for deaths in (2, 3):
        await rig.retry(run.id)
        await ended(rig, deaths)
    codes = [data["error"]["code"] for data in rig.data("run.failed")]
    assert codes == ["AGENT_FAILED", "AGENT_FAILED", "BUDGET_EXCEEDED"]
