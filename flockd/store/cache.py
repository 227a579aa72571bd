"""Rows of open work that the writer remembers from its own last commits, so that a group need not read them back.

Only this process writes the file (it holds its lock), so what it committed is what the file says. Every step of a
statement hands the interpreter lock over, and on a busy loop each hand-over can cost more than the row: reading back
what was written a moment ago was the largest part of a group. Whatever is not here is loaded.
"""

from __future__ import annotations

from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.run import Run, RunState
from flockd.store.records import Held
from flockd.store.state import State

MOST = 20_000
"""Correlations, and as many runs, remembered at most: about 15 MB. The oldest go first."""


class Cache:
    """Active correlations with what their ANDs hold, and running runs; touched only by the writer's thread."""

    def __init__(self) -> None:
        self._correlations: dict[str, Correlation] = {}
        self._held: dict[str, list[Held]] = {}
        self._runs: dict[str, Run] = {}

    def correlation(self, state: State, correlation_id: str) -> bool:
        """Put a correlation, with what it holds, into the overlay; False where it is to be loaded."""
        if correlation_id in state.correlations:
            return True
        known = self._correlations.get(correlation_id)
        if known is None:
            return False
        state.correlations[correlation_id] = known
        if correlation_id in self._held:
            state.held[correlation_id] = self._held[correlation_id]
        return True

    def run(self, state: State, run_id: str) -> bool:
        """Put a run into the overlay; False where it is to be loaded."""
        known = self._runs.get(run_id)
        if known is not None:
            state.runs[run_id] = known
        return known is not None

    def keep(self, state: State) -> None:
        """After a commit: what is open is remembered, what has ended is forgotten."""
        if state.emptied:
            self.clear()
        for run in state.changed_runs.values():
            if run.state is RunState.running:
                self._runs[run.id] = run
            else:
                self._runs.pop(run.id, None)
        for correlation in state.changed_correlations.values():
            if correlation.state is CorrelationState.active:
                self._correlations[correlation.id] = correlation
                if held := state.held.get(correlation.id):
                    self._held[correlation.id] = held
            else:
                self._correlations.pop(correlation.id, None)
                self._held.pop(correlation.id, None)
        while len(self._runs) > MOST:
            del self._runs[next(iter(self._runs))]
        while len(self._correlations) > MOST:
            oldest = next(iter(self._correlations))
            del self._correlations[oldest]
            self._held.pop(oldest, None)

    def clear(self) -> None:
        """Forget everything: a group failed, and may have changed what is remembered."""
        self._correlations.clear()
        self._held.clear()
        self._runs.clear()
