"""Calls of language models: reserved before they begin, charged when they end, once, whatever happens in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any

import orjson
import pytest

from flockd.board.usage import EndCall
from flockd.domain.budget import Budget, BudgetRule, Ledger, Per, Scope, ledger_key
from flockd.domain.run import Run
from flockd.domain.usage import NANOS_PER_USD, Most, Usage
from flockd.engines.base import Context, Output, Threads
from flockd.engines.memory import RunSuperseded
from flockd.errors import BudgetExceeded
from flockd.store.reads import UsageFilter

from ..rig import BEGIN, LIMIT_SECONDS, Rig, Rigs, agent

Function = Callable[[Context], Awaitable[None]]

DAY = 86_400_000
CENT = NANOS_PER_USD // 100
MOST = Most(100, 50, CENT)
TOOK = Usage(1, 60, 20, CENT // 2, 300)
CHARGED = Usage(1, 100, 50, CENT, estimated=1)
"""What a call is charged of which nobody knows what it took; its milliseconds aside."""


class Thinker:
    """An engine whose runs do what their test wrote for them."""

    kind = "thinker"

    def __init__(self, function: Function) -> None:
        self.function = function

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        await self.function(context)
        return [Output("B", {})]


async def one_call(context: Context) -> None:
    """What most runs do: ask once, and keep the answer."""
    call = await context.memory.begin_call("m", MOST)
    await context.memory.end_call(call, TOOK)


def rule(
    scope: Scope,
    requests: int | None = None,
    *,
    tokens: int | None = None,
    usd: float | None = None,
    per: Per | None = None,
    name: str | None = None,
) -> BudgetRule:
    return BudgetRule(scope, name, Budget(requests, tokens, usd, per))


async def board(rigs: Rigs, function: Function, *rules: BudgetRule, **fields: Any) -> Rig:
    return await rigs(
        agent("a", "A", **fields),
        engines={"a": Thinker(function)},
        budgets=rules,
        retry_base_seconds=0.001,
    )


async def ledger(rig: Rig, a_rule: BudgetRule, subject: str, moment: int = BEGIN) -> Ledger:
    (found,) = await rig.reads.ledgers([ledger_key(a_rule, subject, moment)])
    return found


async def total(rig: Rig, **wanted: Any) -> Usage:
    found = Usage()
    for one in await rig.reads.usage(UsageFilter(**wanted)):
        found = found.plus(one.usage)
    return found


async def ended(rig: Rig, runs: int) -> None:
    await rig.until(lambda: sum(kind in ("run.completed", "run.failed") for kind in rig.kinds()) == runs)


async def queued(rig: Rig) -> None:
    """Something waits for the writer, which is held."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not rig.writer._inside:  # noqa: ASYNC110 - what it waits for has no signal of its own
            await asyncio.sleep(0)


async def idle(rig: Rig) -> None:
    """No engine works, and all that its end left to do is done."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while rig.supervisor.working or rig.supervisor._chores:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


async def the_run(rig: Rig) -> Run:
    (run,), _ = await rig.reads.runs(limit=2)
    return run


OF_A = rule(Scope.agent, 10)


async def test_what_a_call_took_is_in_every_sum(rigs: Rigs) -> None:
    rig = await board(rigs, one_call, OF_A)
    published = await rig.publish("A")
    await ended(rig, 1)
    assert await rig.reads.usage(UsageFilter()) == [("a", "m", TOOK)]
    assert (await the_run(rig)).usage == TOOK
    correlation = await rig.reads.correlation(published.correlation_id)
    assert correlation is not None and correlation.usage == TOOK
    assert await ledger(rig, OF_A, "a") == Ledger(
        ledger_key(OF_A, "a", BEGIN),
        spent=(1, 80, CENT // 2),
        reserved=(0, 0, 0),  # type: ignore[arg-type]
    )
    assert orjson.loads(orjson.dumps((await the_run(rig)).document()["usage"])) == {
        "requests": 1, "input_tokens": 60, "output_tokens": 20, "cost_usd": 0.005, "seconds": 0.3,
        "unpriced_requests": 0, "estimated_requests": 0,
    }  # fmt: skip


async def test_a_run_that_asks_no_model_has_no_usage(rigs: Rigs) -> None:
    async def nothing(context: Context) -> None:
        pass

    rig = await board(rigs, nothing, OF_A)
    published = await rig.publish("A")
    await ended(rig, 1)
    assert (await the_run(rig)).usage is None
    correlation = await rig.reads.correlation(published.correlation_id)
    assert correlation is not None and correlation.document()["usage"] is None


async def test_64_runs_race_for_a_budget_of_10(rigs: Rigs) -> None:
    sent = 0

    async def think(context: Context) -> None:
        nonlocal sent
        call = await context.memory.begin_call("m", MOST)
        sent += 1
        await asyncio.sleep(0)
        await context.memory.end_call(call, TOOK)

    rig = await board(rigs, think, OF_A)
    async with rig.one_group():
        publications = [rig.soon(rig.publish("A", n)) for n in range(64)]
    await asyncio.gather(*publications)
    await ended(rig, 64)
    assert sent == 10
    assert rig.kinds().count("run.completed") == 10
    assert rig.kinds().count("budget.exceeded") == rig.kinds().count("run.failed") == 54
    assert await total(rig) == Usage(*(10 * took for took in TOOK))
    assert await rig.reads.refused() == {"agent": 54}


async def test_a_refusal_is_final_and_says_which_budget(rigs: Rigs) -> None:
    rig = await board(rigs, one_call, rule(Scope.agent, 0, per="day"), retries=3)
    await rig.publish("A")
    await ended(rig, 1)
    run = await the_run(rig)
    assert (run.state, run.attempt, run.usage) == ("dead", 1, None)
    assert orjson.loads(run.error or b"") == {
        "code": "BUDGET_EXCEEDED",
        "message": "The budget of agent a for each day is spent: 0 of 0 requests are gone, and this call takes 1; "
        "it begins anew at 2026-11-22T00:00:00.000Z",
    }
    (data,) = rig.data("budget.exceeded")
    assert data == {
        "scope": "agent", "name": None, "subject": "a", "per": "day", "unit": "requests", "limit": 0, "spent": 0,
        "reserved": 0, "wanted": 1, "model": "m", "window_ends_at": "2026-11-22T00:00:00.000Z",
    }  # fmt: skip
    assert await rig.reads.refusal(run.correlation_id, run.id) == data


async def test_what_is_reserved_and_not_taken_is_free_again(rigs: Rigs) -> None:
    rig = await board(rigs, one_call, rule(Scope.agent, tokens=300))
    for done in range(1, 4):  # each takes 80 of the 150 that it reserves
        await rig.publish("A")
        await ended(rig, done)
    await rig.publish("A")
    await ended(rig, 4)
    assert rig.kinds().count("run.completed") == 2
    (first, _) = rig.data("budget.exceeded")
    assert (first["unit"], first["spent"], first["wanted"], first["limit"]) == ("tokens", 160, 150, 300)


async def test_what_others_have_reserved_is_not_to_be_had(rigs: Rigs) -> None:
    gate = asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        await gate.wait()
        await context.memory.end_call(call, TOOK)

    rig = await board(rigs, think, rule(Scope.agent, tokens=299))
    await rig.publish("A")
    await rig.publish("A")
    await ended(rig, 1)
    (data,) = rig.data("budget.exceeded")
    assert (data["spent"], data["reserved"], data["wanted"]) == (0, 150, 150)
    gate.set()
    await ended(rig, 2)


async def test_a_budget_in_usd(rigs: Rigs) -> None:
    rig = await board(rigs, one_call, rule(Scope.agent, usd=0.02))
    for done in range(1, 5):  # each takes half a cent and may take one
        await rig.publish("A")
        await ended(rig, done)
    assert rig.kinds().count("run.completed") == 3
    (data,) = rig.data("budget.exceeded")
    assert (data["unit"], data["spent"], data["wanted"], data["limit"]) == ("usd", 0.015, 0.01, 0.02)


async def test_a_model_of_unknown_price_has_no_budget_in_usd(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        await context.memory.begin_call("unheard-of", MOST._replace(cost=None))

    rig = await board(rigs, think, rule(Scope.agent, 10), rule(Scope.tenant, usd=100.0))
    await rig.publish("A")
    await ended(rig, 1)
    message = orjson.loads((await the_run(rig)).error or b"")["message"]
    assert message == (
        "The budget of tenant default is bounded in usd, but nobody knows what unheard-of costs: give it input_usd "
        "and output_usd in [[models]]"
    )
    assert rig.data("budget.exceeded")[0]["wanted"] is None
    assert await total(rig) == Usage()


async def test_a_model_of_unknown_price_may_be_bounded_otherwise(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        call = await context.memory.begin_call("unheard-of", MOST._replace(cost=None))
        await context.memory.end_call(call, None)

    rig = await board(rigs, think, rule(Scope.agent, tokens=1000))
    await rig.publish("A")
    await ended(rig, 1)
    assert await total(rig) == Usage(1, 100, 50, 0, unpriced=1, estimated=1)


async def test_every_budget_counts_and_the_first_that_is_spent_refuses(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        for _ in range(5):
            await one_call(context)

    rules = rule(Scope.run, 3), rule(Scope.agent, 5)
    rig = await board(rigs, think, *rules)
    for done in (1, 2):
        await rig.publish("A")
        await ended(rig, done)
    assert [(data["scope"], data["spent"]) for data in rig.data("budget.exceeded")] == [
        ("run", 3),
        ("agent", 5),
    ]
    assert (await total(rig)).requests == 5
    assert (await ledger(rig, rules[1], "a")).reserved == (0, 0, 0)


async def test_a_retry_counts(rigs: Rigs) -> None:
    async def think(context: Context) -> None:
        await one_call(context)
        raise ValueError("no")

    rig = await board(rigs, think, rule(Scope.run, 2), retries=9)
    await rig.publish("A")
    while not rig.kinds().count("run.failed"):
        rig.clock.advance(1)
        await rig.board.wake(rig.clock())
        await rig.passed()
    run = await the_run(rig)
    assert (run.attempt, orjson.loads(run.error or b"")["code"]) == (3, "BUDGET_EXCEEDED")
    assert run.usage == TOOK.plus(TOOK)


async def test_a_workflow_has_one_budget_and_others_another(rigs: Rigs) -> None:
    a_rule = rule(Scope.correlation, 2, name="a")
    rig = await rigs(
        agent("a", "A", outputs=("B",)),
        agent("b", "A", outputs=("B",)),
        engines={"a": Thinker(one_call), "b": Thinker(one_call)},
        budgets=(a_rule,),
    )
    first = await rig.publish("A")
    for _ in range(2):
        await rig.publish("A", correlation_id=first.correlation_id)
    await ended(rig, 6)
    second = await rig.publish("A")
    await ended(rig, 8)
    assert rig.kinds(first.correlation_id).count("budget.exceeded") == 1
    assert rig.kinds(second.correlation_id).count("budget.exceeded") == 0
    assert (await total(rig, correlation_id=first.correlation_id, agent="a")).requests == 2
    assert (await total(rig, correlation_id=first.correlation_id, agent="b")).requests == 3


async def test_each_window_begins_anew_and_a_call_counts_where_it_began(rigs: Rigs) -> None:
    gate = asyncio.Event()

    async def think(context: Context) -> None:
        call = await context.memory.begin_call("m", MOST)
        if context.inputs[0].payload == b'{"n":1}':
            await gate.wait()
        await context.memory.end_call(call, TOOK)

    daily = rule(Scope.agent, 1, per="day")
    rig = await board(rigs, think, daily, rule(Scope.tenant, 10, per="month"))
    rig.clock.advance(86_399)
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    await ended(rig, 1)
    rig.clock.advance(1)
    await rig.publish("A", 3)
    await ended(rig, 2)
    gate.set()
    await ended(rig, 3)
    assert rig.kinds().count("budget.exceeded") == 1
    assert (await ledger(rig, daily, "a")).spent.requests == 1
    assert (await ledger(rig, daily, "a", BEGIN + DAY)).spent.requests == 1
    assert (await total(rig, began_to=BEGIN + DAY - 1)).requests == 1
    assert (await total(rig, began_from=BEGIN + DAY)).requests == 1


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
