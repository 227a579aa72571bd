"""Pausing: nothing of a correlation, or of an agent, starts. What runs goes on and commits; the clocks go on, too."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.run import RunState
from flockd.errors import NotFound
from flockd.store.command import Needs
from flockd.store.state import State


@dataclass(frozen=True, slots=True)
class PauseCorrelation:
    """Pause a correlation (a batch with its items), or let it go on. Answers it, unchanged where it is so, or over."""

    correlation_id: str
    paused: bool
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_runs_of=(self.correlation_id,))

    def decide(self, state: State) -> Correlation:
        correlation = state.correlations.get(self.correlation_id)
        if correlation is None:
            raise NotFound(f"Correlation not found: {self.correlation_id}")
        if correlation.state is CorrelationState.active and correlation.paused is not self.paused:
            correlation.paused = self.paused
            state.emit(
                EventKind.correlation_paused if self.paused else EventKind.correlation_resumed,
                correlation,
                data={"round": correlation.round},
            )
            self._pause_runs(state, correlation)
            for item in [one for one in state.correlations.values() if one.batch_id == correlation.id]:
                if item.state is not CorrelationState.active or item.round > 1:
                    continue  # a later round is work of its own, as for cancelling
                if item.paused is not self.paused:
                    item.paused = self.paused
                    state.changed_correlations[item.id] = item
                    self._pause_runs(state, item)
        return replace(correlation)

    def _pause_runs(self, state: State, correlation: Correlation) -> None:
        for run in sorted(state.runs.values(), key=lambda run: run.ord):  # what was first queues first
            if run.correlation_id == correlation.id and run.state is RunState.ready:
                state.pause_run(run, self.paused)
                if not self.paused:
                    state.start_or_queue(run)
                    state.announce(run)


@dataclass(frozen=True, slots=True)
class PauseAgent:
    """Pause an agent, or let it go on. Answers whether that changed anything."""

    agent: str
    paused: bool
    inside: bool = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> bool:
        if (self.agent in state.occupancy.paused) is self.paused:
            return False
        state.pause_agent(self.agent, self.paused)
        return True
