"""Runs that call language models as their test wrote it, and what their calls took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from flockd.domain.budget import Budget, BudgetRule, Ledger, Per, Scope, ledger_key
from flockd.domain.run import Run
from flockd.domain.usage import NANOS_PER_USD, Most, Usage
from flockd.engines.base import Context, Output, Threads
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
