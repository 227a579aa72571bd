"""What calls of language models took, and the budgets that bound it."""

from __future__ import annotations

import asyncio

import orjson

from flockd.domain.budget import Ledger, Scope, ledger_key
from flockd.domain.usage import Usage
from flockd.engines.base import Context
from flockd.store.reads import UsageFilter

from ..rig import BEGIN, Rigs, agent
from .thinking import (
    CENT,
    DAY,
    MOST,
    OF_A,
    TOOK,
    Thinker,
    board,
    ended,
    ledger,
    one_call,
    rule,
    the_run,
    total,
)


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
