"""Calls under random lives of a daemon, against a naive ledger: a list of all calls, added up at each question."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flockd.domain.budget import Budget, BudgetRule, Scope, ledger_key, window_end, window_start
from flockd.domain.usage import Most, Usage
from flockd.engines.base import Context, Output, Threads
from flockd.errors import BudgetExceeded
from flockd.store.reads import UsageFilter

from ..rig import BEGIN, LIMIT_SECONDS, Rig, agent

T = TypeVar("T")

RULES = (
    BudgetRule(Scope.run, None, Budget(tokens=120)),
    BudgetRule(Scope.correlation, "a", Budget(requests=6)),
    BudgetRule(Scope.agent, None, Budget(usd=80e-9, per="hour")),
    BudgetRule(Scope.agent, "b", Budget(requests=12)),
    BudgetRule(Scope.tenant, None, Budget(tokens=600, requests=25, per="day")),
)

most = st.builds(Most, st.integers(0, 30), st.integers(0, 30), st.none() | st.integers(0, 30))
share = st.none() | st.integers(0, 100)
"""How much of the most a call takes, in percent; None where nobody knows."""


class Puppet:
    """One attempt at its engine, which does what it is told."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.orders: asyncio.Queue[tuple[Coroutine[Any, Any, Any] | None, asyncio.Future[Any]]] = (
            asyncio.Queue()
        )
        self.calls: list[tuple[str, Record]] = []

    async def do(self, work: Coroutine[Any, Any, T] | None) -> T:
        """Have the engine do this; None: end."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.orders.put_nowait((work, done))
        async with asyncio.timeout(LIMIT_SECONDS):
            return await done


class Puppets:
    """The engine of all agents: its attempts by the ids of their runs."""

    kind = "puppet"

    def __init__(self) -> None:
        self.working: dict[str, Puppet] = {}
        self.rig: Rig

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        puppet = self.working[context.run_id] = Puppet(context)
        self.rig.ring()
        try:
            while True:
                work, done = await puppet.orders.get()
                if work is None:
                    done.set_result(None)
                    return []
                try:
                    done.set_result(await work)
                except BudgetExceeded as error:
                    done.set_exception(error)
                    raise
        finally:
            if self.working.get(context.run_id) is puppet:
                del self.working[context.run_id]
            self.rig.ring()


@dataclass(slots=True)
class Record:
    """A call as the naive ledger knows it."""

    agent: str
    run: str
    flow: str
    began_at: int
    most: Most
    taken: Usage | None = None
    estimated: bool = False
    gone: bool = False
    """A reset has taken its run away: it counts for the agent and the tenant only."""

    def subject(self, scope: Scope) -> str:
        return {"run": self.run, "correlation": self.flow, "agent": self.agent, "tenant": "default"}[scope]

    @property
    def amounts(self) -> tuple[int, int, int]:
        """Of what it took, or may take."""
        one = self.taken or Usage(1, *self.most[:2], self.most.cost or 0)
        return one.requests, one.input_tokens + one.output_tokens, one.cost


class Lives(RuleBasedStateMachine):
    """After each step the stored ledgers and sums are what the list of calls says."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.records: list[Record] = []
        self.flows: list[str] = []
        self.runs: list[str] = []
        self.crashed: set[str] = set()
        self.wait(self._begin())

    async def _begin(self) -> None:
        self.puppets = Puppets()
        engines = {"a": self.puppets, "b": self.puppets}
        self.rig = self.puppets.rig = Rig(
            Path(self.folder.name) / "board.db",
            agent("a", "A", retries=1),
            agent("b", "A", "B", mode="any"),
            engines=engines,
            budgets=RULES,
        )
        await self.rig.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.wait(self.rig.stop())
            self.runner.close()
            found = self.rig.verify()
            self.folder.cleanup()
            assert found == []

    def puppet(self, pick: int) -> Puppet:
        found = self.working()
        return found[pick % len(found)]

    def working(self) -> list[Puppet]:
        """In the order in which their runs were made."""
        return [self.puppets.working[run] for run in self.runs if run in self.puppets.working]

    # -- what happens -----------------------------------------------------------------------------------------

    @rule(type=st.sampled_from("AB"), pick=st.integers(0, 3))
    def publish(self, type: str, pick: int) -> None:
        self.wait(self._publish(type, self.flows[pick] if pick < len(self.flows) else None))

    async def _publish(self, type: str, flow: str | None) -> None:
        published = await self.rig.publish(type, correlation_id=flow)
        if flow is None:
            self.flows.append(published.correlation_id)
        woken = self.rig.woke(published)
        self.runs += woken
        await self.rig.until(lambda: set(woken) <= self.puppets.working.keys())

    @precondition(lambda self: self.puppets.working)
    @rule(pick=st.integers(0, 9), most=most)
    def call(self, pick: int, most: Most) -> None:
        self.wait(self._call(self.puppet(pick), most))

    async def _call(self, puppet: Puppet, most: Most) -> None:
        context = puppet.context
        record = Record(context.agent, context.run_id, context.correlation_id, self.rig.clock.now, most)
        expected = all(self.fits(one, record) for one in RULES)
        try:
            call = await puppet.do(context.memory.begin_call("m", most))
        except BudgetExceeded:
            assert not expected
            await self.rig.until(lambda: context.run_id not in self.rig.supervisor._works)
            self.lose(puppet)
        else:
            assert expected
            puppet.calls.append((call, record))
            self.records.append(record)

    @precondition(lambda self: any(puppet.calls for puppet in self.puppets.working.values()))
    @rule(pick=st.integers(0, 9), share=share)
    def end(self, pick: int, share: int | None) -> None:
        calling = [puppet for puppet in self.working() if puppet.calls]
        puppet = calling[pick % len(calling)]
        call, record = puppet.calls.pop(pick % len(puppet.calls))
        usage = None if share is None else self.part(record.most, share)
        self.wait(puppet.do(puppet.context.memory.end_call(call, usage)))
        record.taken, record.estimated = usage or self.part(record.most, 100), usage is None

    @staticmethod
    def part(most: Most, share: int) -> Usage:
        return Usage(1, *(share * amount // 100 for amount in (most[0], most[1], most.cost or 0)))

    @precondition(lambda self: self.puppets.working)
    @rule(pick=st.integers(0, 9), cancels=st.booleans())
    def end_run(self, pick: int, cancels: bool) -> None:
        puppet = self.puppet(pick)
        self.wait(self._end_run(puppet, cancels))
        self.lose(puppet)

    async def _end_run(self, puppet: Puppet, cancels: bool) -> None:
        if cancels:
            await self.rig.board.cancel_run(puppet.context.run_id)
        else:
            await puppet.do(None)
        await self.rig.until(lambda: puppet.context.run_id not in self.rig.supervisor._works)

    def lose(self, *puppets: Puppet) -> None:
        """What is open is charged the most that it may take."""
        for puppet in puppets:
            for _, record in puppet.calls:
                record.taken, record.estimated = self.part(record.most, 100), True
            puppet.calls.clear()

    @rule(drains=st.booleans())
    def restart(self, drains: bool) -> None:
        puppets = list(self.puppets.working.values())
        drains = drains or bool(
            self.crashed & self.puppets.working.keys()
        )  # suspects would start one at a time
        if not drains:
            self.crashed |= self.puppets.working.keys()
        self.wait(self._restart(drains))
        self.lose(*puppets)

    async def _restart(self, drains: bool) -> None:
        await (self.rig.stop() if drains else self.rig.crash())
        await self.rig.start()
        open_runs = {run.id for run in (await self.rig.reads.runs(state="running", limit=500))[0]}
        open_runs |= {run.id for run in (await self.rig.reads.runs(state="ready", limit=500))[0]}
        await self.rig.until(lambda: open_runs <= self.puppets.working.keys())

    @rule()
    def reset(self) -> None:
        """The flows that are published to later are others of the same ids."""
        puppets = list(self.puppets.working.values())
        self.wait(self._reset())
        self.lose(*puppets)
        self.runs.clear()
        for record in self.records:
            record.gone = True

    async def _reset(self) -> None:
        await self.rig.board.reset()
        await self.rig.until(lambda: not self.rig.supervisor._works)

    @rule(minutes=st.sampled_from([1, 59, 60, 1440, -61, -1440]))
    def later(self, minutes: int) -> None:
        self.rig.clock.advance(60 * minutes)

    @rule()
    def forget(self) -> None:
        self.wait(self.rig.board.forget_ledgers(self.rig.clock.now))

    # -- what must be so --------------------------------------------------------------------------------------

    def of(self, one: BudgetRule, subject: str, moment: int) -> list[Record]:
        per = one.budget.per or ""
        began, ends = window_start(per, moment), window_end(per, window_start(per, moment))
        return [
            record
            for record in self.records
            if record.subject(one.scope) == subject
            and began <= record.began_at
            and (ends is None or record.began_at < ends)
            and (one.name in (None, record.agent) or one.scope in (Scope.agent, Scope.tenant))
            and not (record.gone and one.scope in (Scope.run, Scope.correlation))
        ]

    def fits(self, one: BudgetRule, record: Record) -> bool:
        if one.name not in (None, record.agent):
            return True
        budget = one.budget
        if budget.usd is not None and record.most.cost is None:
            return False
        there = [*self.of(one, record.subject(one.scope), record.began_at), record]
        sums = [sum(amounts) for amounts in zip(*(each.amounts for each in there), strict=True)]
        limits = budget.requests, budget.tokens, budget.cost
        return all(limit is None or found <= limit for limit, found in zip(limits, sums, strict=True))

    @invariant()
    def the_ledgers_are_the_sums(self) -> None:
        if hasattr(self, "rig"):
            self.wait(self._compare())

    async def _compare(self) -> None:
        await asyncio.gather(*self.rig.supervisor._chores)
        for one in RULES:
            for subject in {record.subject(one.scope) for record in self.records[-2:]}:
                if one.scope is Scope.agent and one.name not in (None, subject):
                    continue
                (ledger,) = await self.rig.reads.ledgers([ledger_key(one, subject, self.rig.clock.now)])
                there = self.of(one, subject, self.rig.clock.now)
                for told, found in (
                    (ledger.spent, [each for each in there if each.taken is not None]),
                    (ledger.reserved, [each for each in there if each.taken is None]),
                ):
                    assert told == tuple(
                        map(sum, zip((0, 0, 0), *(each.amounts for each in found), strict=True))
                    )
                assert not one.budget.requests or ledger.spent.requests <= one.budget.requests
        sums = {one.agent: one.usage for one in await self.rig.reads.usage(UsageFilter())}
        taken = [record for record in self.records if record.taken is not None]
        assert sums.keys() == {record.agent for record in taken}
        for name, took in sums.items():
            its = [record for record in taken if record.agent == name]
            assert (took.requests, took.unpriced, took.estimated) == (
                len(its), sum(record.most.cost is None for record in its), sum(record.estimated for record in its)
            )  # fmt: skip
        middle = BEGIN + 3_599_999
        within = await self.rig.reads.usage(UsageFilter(began_from=BEGIN + 1, began_to=middle))
        its = [record for record in taken if BEGIN + 1 <= record.began_at <= middle]
        assert sum(one.usage.requests for one in within) == len(its)
        assert sum(one.usage.estimated for one in within) == sum(record.estimated for record in its)


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
