"""Sessions over random work: retries, failures, rounds, restarts. Progress never falls, and whoever folds agrees."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flockd.dialects.workflows.session import Progression, Session, SessionStatus, Update
from flockd.dialects.workflows.status import fold
from flockd.domain.agent import Agents
from flockd.domain.correlation import CorrelationState
from flockd.domain.event import Event
from flockd.domain.workflow import Phase, Workflow
from flockd.errors import Conflict
from flockd.store.occupancy import Limits

from ..rig import Rig, agent

T = TypeVar("T")

AGENTS = (
    agent("planner", "A", outputs=("B",), retries=1),
    agent("coder", "B", outputs=("C",), max_concurrency=1),
    agent("tester", "C", outputs=("D",), retries=1),
    agent("bystander", "B", outputs=("E",)),
)
GIVES = {one.name: one.outputs[0] for one in AGENTS}
WORKFLOW = Workflow("full", "A", (Phase("plan", ("B",)), Phase("code", ("C",)), Phase("test", ("D",))))
PROGRESSION = Progression(WORKFLOW, Agents(AGENTS))


class Sessions(RuleBasedStateMachine):
    """One session and whatever may happen to it; after each step it is folded from the beginning, and live."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.rig = Rig(Path(self.folder.name) / "board.db", *AGENTS, limits=Limits(run_crashes=3))
        self.taken = 0
        """Events of the rig that the live fold has taken."""
        self.told: list[Update] = []
        self.shown: list[dict[str, Any]] = []
        """What a GET said after each step."""
        self.wait(self._begin())

    async def _begin(self) -> None:
        await self.rig.start()
        published = await self.rig.publish("A", dialect="workflows", name="full")
        self.id = published.correlation_id
        self.live = Session(self.id, PROGRESSION)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.wait(self.rig.stop())
            self.runner.close()
            self.folder.cleanup()

    # -- what happens -----------------------------------------------------------------------------------------

    def _call(self, pick: int) -> Any:
        calls = sorted(self.rig.working, key=lambda call: call.run_id)
        return calls[pick % len(calls)] if calls else None

    @rule(pick=st.integers(0, 5), how=st.sampled_from(["give", "give", "give", "fail", "nothing"]))
    def end(self, pick: int, how: str) -> None:
        self.wait(self._end(pick, how))

    async def _end(self, pick: int, how: str) -> None:
        if call := self._call(pick):
            before = len(self.rig.observed)
            if how == "fail":
                call.fail()
            else:
                call.give(**({GIVES[call.agent]: 1} if how == "give" else {}))
            await self.rig.until(lambda: len(self.rig.observed) > before)

    @rule()
    def go_well(self) -> None:
        """Whoever is at work gives what is expected, and so do those whom that wakes."""
        self.wait(self._go_well())

    async def _go_well(self) -> None:
        for _ in range(10):
            if not self.rig.working:
                return
            await self._end(0, "give")
            await self.rig.passed()

    @rule(pick=st.integers(0, 5), fraction=st.floats(0, 1))
    def advance(self, pick: int, fraction: float) -> None:
        self.wait(self._advance(pick, fraction))

    async def _advance(self, pick: int, fraction: float) -> None:
        if call := self._call(pick):
            run = await self.rig.run(call.run_id)
            await self.rig.board.progress(run, fraction, None, None)

    @rule()
    def wake(self) -> None:
        """Time passes: whatever waited to be tried again starts."""
        self.rig.clock.advance(3600)
        self.wait(self._wake())

    async def _wake(self) -> None:
        while await self.rig.board.wake(self.rig.clock()):
            pass

    @rule(type=st.sampled_from("ABCD"))
    def publish(self, type: str) -> None:
        self.wait(self._publish(type))

    async def _publish(self, type: str) -> None:
        try:
            await self.rig.publish(type, 7, self.id)
        except Conflict:
            assert await self.rig.state(self.id) == CorrelationState.cancelled

    @rule(pick=st.integers(0, 10), retry=st.booleans())
    def steer(self, pick: int, retry: bool) -> None:
        """Somebody cancels a run, or tries a dead one again."""
        self.wait(self._steer(pick, retry))

    async def _steer(self, pick: int, retry: bool) -> None:
        runs, _ = await self.rig.reads.runs(
            correlation_id=self.id, state="dead" if retry else None, limit=500
        )
        if not runs:
            return
        run = runs[pick % len(runs)]
        if not retry:
            await self.rig.board.cancel_run(run.id)
            return
        try:
            await self.rig.retry(run.id)
        except Conflict:
            assert await self.rig.state(self.id) == CorrelationState.cancelled

    @rule(really=st.integers(0, 9))
    def cancel(self, really: int) -> None:
        if really == 0:
            self.wait(self.rig.board.cancel_correlation(self.id))

    @rule(drained=st.booleans())
    def restart(self, drained: bool) -> None:
        self.wait(self._restart(drained))

    async def _restart(self, drained: bool) -> None:
        await (self.rig.stop() if drained else self.rig.crash())
        await self.rig.start()

    # -- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def all_folds_agree(self) -> None:
        if hasattr(self, "live"):
            self.wait(self._look())

    async def _look(self) -> None:
        await self.rig.passed()
        session = Session(self.id, PROGRESSION)
        await fold(self.rig.reads, session, page_events=3)
        document = session.document()
        await self.rig.until(lambda: self.rig.events[-1].seq >= session.seq)
        events = [event for event in self.rig.events if event.correlation_id == self.id]
        while self.taken < len(events) and events[self.taken].seq <= session.seq:
            self._take(events[self.taken])
        assert self.live.document() == document
        assert session.seq == self.live.seq
        turns = [event.kind for event in events[: self.taken] if event.kind.startswith("correlation.")]
        self._check_against(document, turns[-1].removeprefix("correlation."))
        self.shown.append(document)

    def _take(self, event: Event) -> None:
        self.told += self.live.take(event)
        self.taken += 1

    def _check_against(self, document: dict[str, Any], state: str) -> None:
        before = self.shown[-1] if self.shown else document
        assert before["progress"] <= document["progress"] <= 100
        assert document["phases_completed"][: len(before["phases_completed"])] == before["phases_completed"]
        assert (document["progress"] == 100) == (document["status"] == "completed")
        if before["status"] == "completed":
            assert document == before
        elif state == "started":
            assert document["status"] in ("queued", "running")
        else:
            done = state == CorrelationState.completed and len(document["phases_completed"]) == 3
            assert document["status"] == ("completed" if done else "failed")
            assert done or document["errors"]
        self._check_what_was_told(document)

    def _check_what_was_told(self, document: dict[str, Any]) -> None:
        """A client that only heard the messages knows the same."""
        messages = [update.message for update in self.told]
        values = [one["value"] for one in messages if one["type"] == "progress"]
        assert values == sorted(values)
        assert (values[-1] if values else 0.0) == document["progress"]
        phases = [one["phase"] for one in messages if one["type"] == "phase_complete"]
        assert phases == document["phases_completed"]
        results = [one["results"] for one in messages if one["type"] == "final_result"]
        assert results == ([] if self.live.status is not SessionStatus.completed else [document["results"]])
        assert [one["seq"] for one in messages] == sorted(one["seq"] for one in messages)
        assert orjson.dumps(messages)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
