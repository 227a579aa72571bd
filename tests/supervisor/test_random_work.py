"""Random verbs against a naive count of what must be there, restarts included."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flockd.domain.identity import new_id
from flockd.errors import Conflict
from flockd.store.occupancy import Limits

from ..rig import Rig, agent

T = TypeVar("T")

RETRIES = 1
CRASHES = 3
CAP = 2
AGENTS = (
    agent("one", "A", max_concurrency=CAP, retries=RETRIES),
    agent("pair", "B", "C", max_concurrency=CAP, retries=RETRIES),
    agent("any", "B", "D", mode="any", max_concurrency=CAP, retries=RETRIES),
)
TAKES = {one.name: one.subscription for one in AGENTS}


@dataclass
class Job:
    """A run, as simply as it can be thought of."""

    agent: str
    state: str = "open"
    """open (ready or running), waiting, completed, dead, cancelled"""
    failures: int = 0
    crashes: int = 0
    attempt: int = 1


@dataclass
class Workflow:
    """A correlation, likewise."""

    id: str
    state: str = "active"
    round: int = 1
    artifacts: int = 0
    outputs: int = 0
    """Of agents, in the latest round."""
    bad: int = 0
    """Runs that died or were cancelled in the latest round."""
    jobs: dict[str, Job] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    """What the agent `pair` holds, by type."""

    def begin_round(self) -> None:
        if self.state != "active":
            self.state = "active"
            self.round += 1
            self.outputs = self.bad = 0

    def settle(self) -> None:
        if self.state == "active" and not any(job.state in ("open", "waiting") for job in self.jobs.values()):
            self.state = "failed" if self.bad and not self.outputs else "completed"

    def woken(self, type: str, producer: str = "external") -> list[str]:
        """The agents that an artifact wakes; nobody is woken by what it publishes itself."""
        names = [name for name in ("one", "any") if type in TAKES[name].types and name != producer]
        if type in TAKES["pair"].types and producer != "pair":
            self.held[type] += 1
            if self.held["B"] and self.held["C"]:
                self.held.subtract(("B", "C"))
                names.append("pair")
        return names


class Work(RuleBasedStateMachine):
    """Verbs in any order; after each of them the rows must be what the naive counts say."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.flows: list[Workflow] = []
        self.wait(self._begin())

    async def _begin(self) -> None:
        limits = Limits(run_crashes=CRASHES)
        self.rig = Rig(Path(self.folder.name) / "board.db", *AGENTS, limits=limits, lane_window=2)
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

    # -- verbs ------------------------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 3), type=st.sampled_from("ABCDE"))
    def publish(self, pick: int, type: str) -> None:
        if pick >= len(self.flows):
            self.flows.append(Workflow(new_id(), round=0, state="none"))
            pick = len(self.flows) - 1
        flow = self.flows[pick]
        self.wait(self._publish(flow, type))

    async def _publish(self, flow: Workflow, type: str) -> None:
        if flow.state == "cancelled":
            try:
                await self.rig.publish(type, 0, flow.id)
            except Conflict:
                return
            raise AssertionError("a cancelled correlation took an artifact")
        published = await self.rig.publish(type, 0, flow.id)
        flow.begin_round()
        assert (published.round, published.fresh) == (flow.round, flow.artifacts == 0)
        self._made(flow, flow.woken(type), self.rig.woke(published))
        flow.settle()

    def _made(self, flow: Workflow, names: list[str], woke: list[str]) -> None:
        """An artifact is on the board that should wake the agents `names` and did make these runs."""
        flow.artifacts += 1
        agents = {}
        for commit in self.rig.commits:
            agents |= {started.run.id: started.run.agent for started in commit.started}
            agents |= {ready.run_id: ready.place for ready in commit.readied}
        assert sorted(agents[one] for one in woke) == sorted(names)
        flow.jobs.update({one: Job(agents[one]) for one in woke})

    def _at_work(self, pick: int) -> tuple[Any, Workflow, Job] | None:
        calls = sorted(self.rig.working, key=lambda call: call.run_id)
        if not calls:
            return None
        call = calls[pick % len(calls)]
        flow = next(flow for flow in self.flows if call.run_id in flow.jobs)
        return call, flow, flow.jobs[call.run_id]

    @rule(pick=st.integers(0, 10), outputs=st.lists(st.sampled_from("ABCDE"), max_size=2))
    def finish(self, pick: int, outputs: list[str]) -> None:
        if found := self._at_work(pick):
            self.wait(self._finish(*found, outputs))

    async def _finish(self, call: Any, flow: Workflow, job: Job, outputs: list[str]) -> None:
        before = len(self.rig.observed)
        call.give(**{type: [1] * n for type, n in Counter(outputs).items()})
        await self.rig.until(lambda: len(self.rig.observed) > before)
        job.state = "completed"
        published = [
            (event.artifact.type, orjson.loads(event.data)["woke"])
            for event in self.rig.events
            if event.artifact is not None and event.artifact.run_id == call.run_id
        ]
        assert Counter(type for type, _ in published) == Counter(outputs)
        for type, woke in published:
            flow.outputs += 1
            self._made(flow, flow.woken(type, job.agent), woke)
        flow.settle()

    @rule(pick=st.integers(0, 10))
    def fail(self, pick: int) -> None:
        if found := self._at_work(pick):
            self.wait(self._fail(*found))

    async def _fail(self, call: Any, flow: Workflow, job: Job) -> None:
        before = len(self.rig.observed)
        call.fail()
        await self.rig.until(lambda: len(self.rig.observed) > before)
        job.failures += 1
        if job.failures > RETRIES:
            job.state = "dead"
            flow.bad += 1
            flow.settle()
        else:
            job.state = "waiting"
            job.attempt += 1

    @rule()
    def wake(self) -> None:
        """Time passes: whatever waited starts again."""
        self.rig.clock.advance(3600)
        self.wait(self._wake())

    async def _wake(self) -> None:
        while await self.rig.board.wake(self.rig.clock()):
            pass
        self._woken()

    def _woken(self) -> None:
        for flow in self.flows:
            for job in flow.jobs.values():
                if job.state == "waiting":
                    job.state = "open"

    @precondition(lambda self: self.flows)
    @rule(pick=st.integers(0, 20))
    def cancel_run(self, pick: int) -> None:
        jobs = [(flow, run_id) for flow in self.flows for run_id in flow.jobs]
        if jobs:
            flow, run_id = jobs[pick % len(jobs)]
            self.wait(self.rig.board.cancel_run(run_id))
            if flow.jobs[run_id].state in ("open", "waiting"):
                flow.jobs[run_id].state = "cancelled"
                flow.bad += 1
                flow.settle()

    @precondition(lambda self: self.flows)
    @rule(pick=st.integers(0, 3))
    def cancel_correlation(self, pick: int) -> None:
        flow = self.flows[pick % len(self.flows)]
        self.wait(self.rig.board.cancel_correlation(flow.id))
        if flow.state == "active":
            flow.state = "cancelled"
            for job in flow.jobs.values():
                if job.state in ("open", "waiting"):
                    job.state = "cancelled"

    @precondition(lambda self: self.flows)
    @rule(pick=st.integers(0, 20))
    def retry(self, pick: int) -> None:
        jobs = [(flow, run_id) for flow in self.flows for run_id in flow.jobs]
        if jobs:
            self.wait(self._retry(*jobs[pick % len(jobs)]))

    async def _retry(self, flow: Workflow, run_id: str) -> None:
        job = flow.jobs[run_id]
        if job.state != "dead" or flow.state == "cancelled":
            try:
                await self.rig.retry(run_id)
            except Conflict:
                return
            raise AssertionError(f"a run that is {job.state} was retried")
        flow.begin_round()
        run = await self.rig.retry(run_id)
        job.state, job.failures, job.crashes, job.attempt = "open", 0, 0, job.attempt + 1
        assert (run.attempt, run.first_attempt, run.crashes) == (job.attempt, job.attempt, 0)

    @rule(drained=st.booleans())
    def restart(self, drained: bool) -> None:
        self.wait(self._restart(drained))

    async def _restart(self, drained: bool) -> None:
        working = {call.run_id for call in self.rig.working}
        await (self.rig.stop() if drained else self.rig.crash())
        await self.rig.start()
        for flow in self.flows:
            for run_id, job in flow.jobs.items():
                if run_id in working and not drained:
                    job.crashes += 1
                    if job.crashes >= CRASHES:
                        job.state = "dead"
                        flow.bad += 1
            flow.settle()

    # -- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def rows_are_what_the_counts_say(self) -> None:
        if hasattr(self, "rig"):
            self.wait(self._look())

    async def _look(self) -> None:
        await self.rig.until(self._all_that_may_work_works)
        for flow in self.flows:
            found = await self.rig.reads.correlation(flow.id)
            assert found is not None
            jobs = list(flow.jobs.values())
            assert found.state == flow.state
            assert (found.round, found.artifact_count) == (flow.round, flow.artifacts)
            assert found.error_count == sum(job.state == "dead" for job in jobs)
            assert found.open == sum(job.state in ("open", "waiting") for job in jobs)
            states = await self.rig.states(flow.id)
            words = ["open" if state in ("ready", "running") else state for state in states]
            assert Counter(words) == Counter(job.state for job in jobs)
            held = sum(len(one["artifacts"]) for one in await self.rig.reads.unjoined(flow.id))
            assert held == flow.held.total()

    def _all_that_may_work_works(self) -> bool:
        """No place stands empty while a run of its agent could start, and none is lost; suspects start singly."""
        jobs = {run_id: job for flow in self.flows for run_id, job in flow.jobs.items()}
        working = [call for call in self.rig.working if not call.cancelled.is_set()]
        if any(jobs[call.run_id].state != "open" for call in working):
            return False
        suspects = 0
        for name in TAKES:
            mine = [job for job in jobs.values() if job.agent == name and job.state == "open"]
            here = sum(call.agent == name for call in working)
            if self.rig.busy(name) != here:
                return False
            trusted = sum(job.crashes < 2 for job in mine)
            if here < min(CAP, trusted):
                return False
            if here < CAP and any(job.crashes >= 2 for job in mine):
                suspects += 1
        at_work = sum(jobs[call.run_id].crashes >= 2 for call in working)
        assert at_work <= 1, "suspects start one at a time"
        return not suspects or at_work == 1


TestWork = Work.TestCase
TestWork.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
