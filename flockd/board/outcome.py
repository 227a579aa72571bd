"""How a run ends: it finishes, it fails, or the daemon takes it back. Each is guarded by the run's fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from flockd.board.ending import settle_all
from flockd.board.pools import pools_of
from flockd.board.wake import place
from flockd.domain.agent import Agent
from flockd.domain.artifact import Artifact, Draft
from flockd.domain.event import EventKind
from flockd.domain.moment import iso
from flockd.domain.run import Run, RunState, WaitReason
from flockd.store.command import Needs
from flockd.store.records import Consumption
from flockd.store.state import State, hour


@dataclass(frozen=True, slots=True)
class Fenced:
    """A verb of whoever holds a claim."""

    run_id: str
    correlation_id: str
    fence: int

    @property
    def inside(self) -> bool:
        return True

    def needs(self) -> Needs:
        return Needs(correlations=(self.correlation_id,), runs=(self.run_id,))

    def held(self, state: State) -> Run | None:
        """The run, if the claim still holds."""
        run = state.runs.get(self.run_id)
        return run if run is not None and run.state is RunState.running and run.fence == self.fence else None


@dataclass(frozen=True, slots=True)
class Finish(Fenced):
    """The run's outputs, its end, its consumptions, and the runs that its outputs wake. Answers False if superseded."""

    inputs: Sequence[Artifact]
    outputs: Sequence[tuple[Draft, tuple[Agent, ...]]]
    output_text: str | None

    def needs(self) -> Needs:
        return Needs(
            correlations=(self.correlation_id,),
            runs=(self.run_id,),
            pools=tuple(pool for draft, _ in self.outputs for pool in pools_of(draft)),
        )

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        correlation = state.correlations[run.correlation_id]
        woken = place(state, correlation, self.outputs, producer=run)
        for artifact in {artifact.seq: artifact for artifact in self.inputs}.values():
            state.consumptions.append(Consumption(artifact.seq, run.id, run.tenant, run.agent, state.now))
            state.count("consumed", run.agent, artifact.type, tenant=run.tenant)
        run.outputs = tuple(draft.id for draft, _ in self.outputs)
        run.output_text = self.output_text
        run.error = None
        state.move(run, RunState.completed)
        state.count("execution", run.agent, hour(state.now), tenant=run.tenant)
        state.count("alltime", "executions", tenant=run.tenant)
        state.emit(
            EventKind.run_completed,
            correlation,
            run=run,
            data={
                "attempt": run.attempt,
                "inputs": run.inputs,
                "outputs": run.outputs,
                "duration_ms": state.now - (run.started_at or state.now),
            },
        )
        for one in woken:
            state.announce(one)
        settle_all(state, correlation)
        return True


@dataclass(frozen=True, slots=True)
class Fail(Fenced):
    """An attempt failed: it is tried again after `delay_ms` while retries are left, else the run is dead.

    Answers False if superseded.
    """

    code: str
    message: str
    reason: str
    """error or timeout."""
    delay_ms: int
    final: bool
    """Trying again cannot help."""
    releases: bool
    """False: its thread goes on, and its place is given back when that ends."""
    output_text: str | None

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        agent = state.agents.get(run.agent)
        error = {"code": self.code, "message": self.message}
        run.error = orjson.dumps(error)
        run.output_text = self.output_text
        retries = 0 if self.final or agent is None else agent.retries
        if run.attempt - run.first_attempt >= retries:
            kill(state, run, releases=self.releases)
            return True
        state.move(run, RunState.waiting, releases=self.releases)
        run.attempt += 1
        state.park(run, WaitReason.retry, state.clock + self.delay_ms)
        retrying(state, run, self.reason, error=error)
        return True


@dataclass(frozen=True, slots=True)
class Return(Fenced):
    """The daemon is ending: the run becomes ready again, uncounted. Answers False if superseded."""

    output_text: str | None

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        run.output_text = self.output_text
        run.fence += 1
        state.move(run, RunState.ready)
        retrying(state, run, "restart")
        return True


@dataclass(frozen=True, slots=True)
class Progress(Fenced):
    """How far a run is."""

    fraction: float
    phase: str | None
    message: str | None

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        state.emit(
            EventKind.run_progress,
            state.correlations[run.correlation_id],
            run=run,
            data={
                "attempt": run.attempt,
                "fraction": self.fraction,
                "phase": self.phase,
                "message": self.message,
            },
        )
        return True


def kill(state: State, run: Run, *, releases: bool = True) -> None:
    """The run failed for good; `run.error` says why."""
    correlation = state.correlations[run.correlation_id]
    state.move(run, RunState.dead, releases=releases)
    correlation.error_count += 1
    correlation.round_errors += 1
    state.emit(
        EventKind.run_failed,
        correlation,
        run=run,
        data={"attempt": run.attempt, "error": orjson.Fragment(run.error or b"null")},
    )
    told = None if run.of_error or state.on_death is None else state.on_death(run)
    if told is not None:
        state.fetch_pools(pools_of(told[0]))
        for one in place(state, correlation, [told], depth=run.depth + 1):
            state.announce(one)
    settle_all(state, correlation)


def retrying(state: State, run: Run, reason: str, *, error: dict[str, str] | None = None) -> None:
    """Write that the run will be started again."""
    state.emit(
        EventKind.run_retrying,
        state.correlations[run.correlation_id],
        run=run,
        data={
            "attempt": run.attempt,
            "reason": reason,
            "error": error,
            "due_at": None if run.due_at is None else iso(run.due_at),
        },
    )
