"""How runs come to start: claims, wake-ups, places given back, and what a restart finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from flockd.board.ending import settle_sources
from flockd.board.memory import end_question
from flockd.board.outcome import kill, retrying
from flockd.board.pools import complete, expire
from flockd.domain.question import QuestionState
from flockd.domain.run import Run, RunState, WaitReason
from flockd.store.command import DUE_PAGE, Needs, OpenPage
from flockd.store.records import PoolKey
from flockd.store.state import State

PAGE = 500
"""Runs that one verb of recovery takes: small enough that others get their turn."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Start these ready runs, in order, as far as there is room. Answers the ids that were claimed."""

    run_ids: Sequence[str]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(runs=tuple(self.run_ids))

    def decide(self, state: State) -> list[str]:
        return [run_id for run_id in self.run_ids if self._claim(state, state.runs.get(run_id))]

    @staticmethod
    def _claim(state: State, run: Run | None) -> bool:
        if run is None or run.state is not RunState.ready or run.paused:
            return False
        agent = state.agents.get(run.agent)
        if agent is None:
            state.orphan(run)
            return False
        busy = state.occupancy.busy
        if (
            state.occupancy.closed
            or busy.total >= state.limits.running
            or state.occupancy.free(agent, run.place, state.clock) <= 0
        ):
            return False
        state.claim(run)
        state.announce(run)
        return True


@dataclass(frozen=True, slots=True)
class Release:
    """An engine whose run ended earlier (cancelled, timed out in a thread) has ended itself: its place is free."""

    place: str
    inside: bool = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        state.release(self.place)


@dataclass(frozen=True, slots=True)
class Wake:
    """Waiting runs that are due go on: retries start again, orphans die. Answers whether more are due."""

    moment: int
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(due_before=self.moment)

    def decide(self, state: State) -> bool:
        due = [
            run
            for run in state.runs.values()
            if run.state is RunState.waiting and run.due_at is not None and run.due_at <= self.moment
        ]
        for run in due:
            if run.reason is WaitReason.agent_missing:
                die(
                    state,
                    run,
                    "AGENT_MISSING",
                    f"No agent named {run.agent} came back within limits.orphan_hours.",
                )
            else:
                end_question(state, run.id, QuestionState.expired)
                state.start_or_queue(run)
                state.announce(run)
        for run in expire(state, self.moment):
            state.announce(run)
        settle_sources(state)
        return len(due) >= DUE_PAGE or state.more_is_due


@dataclass(frozen=True, slots=True)
class TakeFull:
    """At start: of each of these pools a batch begins, which is full by a size that is smaller than it was."""

    pools: tuple[PoolKey, ...]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(pools=self.pools)

    def decide(self, state: State) -> None:
        for pool in self.pools:
            run = complete(state, state.agents[pool.agent], pool)
            if run is not None:
                state.announce(run)
        settle_sources(state)


@dataclass(frozen=True, slots=True)
class TakeBack:
    """At start: a page of runs that were running when the process ended. Answers the last ord, or None."""

    after: int
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_page=OpenPage(RunState.running, self.after, PAGE))

    def decide(self, state: State) -> int | None:
        page = _page(state, RunState.running, self.after)
        for run in page:
            run.crashes += 1
            run.fence += 1
            if run.crashes >= state.limits.run_crashes:
                message = (
                    f"The process ended {run.crashes} times while this run was running (limits.run_crashes)."
                )
                die(state, run, "CRASHED", message)
            else:
                state.move(run, RunState.ready)
                retrying(state, run, "restart")
        return page[-1].ord if page else None


@dataclass(frozen=True, slots=True)
class Orphan:
    """At start: a page of ready runs without their agents begins to wait. Answers the last ord, or None."""

    after: int
    missing: tuple[str, ...]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_page=OpenPage(RunState.ready, self.after, PAGE, self.missing))

    def decide(self, state: State) -> int | None:
        page = _page(state, RunState.ready, self.after)
        for run in page:
            state.orphan(run)
        return page[-1].ord if page else None


@dataclass(frozen=True, slots=True)
class Adopt:
    """At start: a page of runs that waited for agents which are loaded again. Answers the last ord, or None."""

    after: int
    present: tuple[str, ...]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_page=OpenPage(RunState.waiting, self.after, PAGE, self.present))

    def decide(self, state: State) -> int | None:
        page = _page(state, RunState.waiting, self.after)
        for run in page:
            if run.reason is WaitReason.agent_missing:
                state.move(run, RunState.ready)
                retrying(state, run, "restart")
        return page[-1].ord if page else None


def die(state: State, run: Run, code: str, message: str) -> None:
    """End a run for good, for a reason that is not its agent's."""
    run.error = orjson.dumps({"code": code, "message": message})
    kill(state, run)


def _page(state: State, wanted: RunState, after: int) -> list[Run]:
    return sorted(
        (run for run in state.runs.values() if run.state is wanted and run.ord > after),
        key=lambda run: run.ord,
    )
