"""Calls that begin and end in one transaction, while ledgers go, also where it fails and is decided one by one."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from flockd.board.control import Reset
from flockd.board.usage import BeginCall, CloseLostCalls, EndCall, ForgetLedgers, RenewLedgers
from flockd.domain.budget import Budget, BudgetRule, Budgets, Scope
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.usage import Call, Most, Usage
from flockd.store import cache
from flockd.store.command import Command, Needs
from flockd.store.state import State

from ..rig import Rig, Rigs, agent

CENT = 10_000_000
RULES = (
    BudgetRule(Scope.run, None, Budget(requests=7)),
    BudgetRule(Scope.correlation, None, Budget(tokens=900)),
    BudgetRule(Scope.agent, None, Budget(usd=0.1, per="minute")),
    BudgetRule(Scope.agent, "a", Budget(requests=30, per="month")),
    BudgetRule(Scope.tenant, None, Budget(requests=40, per="hour")),
)
LIMITS = "SELECT max(spent_{0} + reserved_{0}) FROM ledgers WHERE scope = ? AND per = ?"


class Poison:
    """A command that no transaction survives."""

    inside = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        raise RuntimeError("poison")


class Hostile:
    """Commands about calls of some runs, in an order that nobody would give them."""

    def __init__(self, rig: Rig, runs: list[Run], random: Random) -> None:
        self.rig = rig
        self.runs = runs
        self.random = random
        self.calls: list[Call] = []
        """All that ever were to begin."""

    def command(self) -> Command:
        pick = self.random.random()
        if pick < 0.45 or not self.calls:
            return self.begin()
        if pick < 0.85:
            return self.end()
        if pick < 0.92:
            return ForgetLedgers([key for call in self.calls[-3:] for _, key in Budgets(RULES).ledgers(call)])
        return self.random.choice([Poison(), RenewLedgers(Budgets(RULES).digest), CloseLostCalls()])

    def begin(self) -> BeginCall:
        run, up_to = self.random.choice(self.runs), self.random.randint
        most = Most(up_to(0, 60), up_to(0, 60), up_to(0, 2 * CENT))
        call = Call(
            new_id(), run.id, run.correlation_id, run.agent, run.tenant, "m", most, self.rig.clock.now
        )
        self.calls.append(call)
        return BeginCall(run.id, run.correlation_id, run.fence, call.id, call.model, most)

    def end(self) -> EndCall:
        """Of any call, also of one that was refused or is over."""
        call = self.random.choice(self.calls)
        most = call.most
        taken = self.random.choice(
            [None, Usage(), Usage(1, most.input_tokens // 2, most.output_tokens, most.cost or 0, 5)]
        )
        return EndCall(call.run_id, call.correlation_id, 1, call, True, taken, 3)


@pytest.mark.parametrize("remembered", [1, 2, 20_000])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_shares_a_group_no_limit_is_passed(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch, remembered: int, seed: int
) -> None:
    monkeypatch.setattr(cache, "MOST", remembered)
    rig = await rigs(agent("a", "A"), agent("b", "A"), budgets=RULES)
    for _ in range(3):
        await rig.publish("A")
    await rig.until(lambda: len(rig.working) == 6)
    hostile = Hostile(rig, (await rig.reads.runs(limit=10))[0], Random(seed))
    for _ in range(25):
        async with rig.one_group():
            asked = [rig.writer.submit(hostile.command()) for _ in range(hostile.random.randint(1, 8))]
        await asyncio.gather(*asked, return_exceptions=True)
        rig.clock.advance(hostile.random.choice([0, 0, 1, 30, 59, -40, 3600]))
        assert rig.verify() == []  # each ledger is what its calls come to
        for unit, scope, per, limit in (
            ("requests", "run", "", 7),
            ("tokens", "correlation", "", 900),
            ("cost", "agent", "minute", 10 * CENT),
            ("requests", "agent", "month", 30),
            ("requests", "tenant", "hour", 40),
        ):
            (most,) = rig.connection.execute(LIMITS.format(unit), (scope, per)).fetchone()
            assert (most or 0) <= limit, (scope, per)
    assert rig.data("budget.exceeded")
    assert await rig.reads.refused() != {}


async def test_a_reset_comes_among_calls(rigs: Rigs) -> None:
    """One has begun before it, one begins in its group; both end with it or after it, in a workflow of the same id."""
    rig = await rigs(agent("a", "A"), budgets=RULES)
    flow = (await rig.publish("A")).correlation_id
    await rig.until(lambda: rig.working)
    ((run, *_), _) = await rig.reads.runs(limit=1)
    held, most = (run.id, run.correlation_id, run.fence), Most(10, 10, CENT)
    calls = [Call(new_id(), run.id, flow, run.agent, run.tenant, "m", most, rig.clock.now) for _ in range(4)]
    begins = [BeginCall(*held, call.id, "m", most) for call in calls]
    ends = [EndCall(*held, call, True, Usage(1, 5, 5, 5, 5), 0) for call in calls]
    assert await asyncio.gather(*map(rig.writer.submit, begins[:2])) == [True, True]
    async with rig.one_group():
        asked = [
            rig.writer.submit(command)
            for command in (begins[2], ends[0], ends[2], Reset(), begins[3], ends[1])
        ]
    assert await asyncio.gather(*asked) == [True, True, True, None, False, True]
    assert rig.verify() == []
    await rig.publish("A", correlation_id=flow)
    assert await rig.writer.submit(ends[3]) is True  # it never began
    ((again, *_), _) = await rig.reads.runs(limit=1)
    begin = BeginCall(again.id, flow, again.fence, new_id(), "m", Most(450, 450, 0))
    assert await rig.writer.submit(begin) is True  # all that a workflow may take
    assert rig.verify() == []
    (agents,) = rig.connection.execute("SELECT spent_requests FROM ledgers WHERE per = 'month'").fetchone()
    assert agents == 3
