"""Rows of open work that the writer remembers from its own last commits, so that a group need not read them back.

Only this process writes the file (it holds its lock), so what it committed is what the file says. Every step of a
statement hands the interpreter lock over, and on a busy loop each hand-over can cost more than the row: reading back
what was written a moment ago was the largest part of a group. Whatever is not here is loaded.
"""

from __future__ import annotations

from flockd.domain.budget import Ledger, LedgerKey
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.run import Run, RunState
from flockd.domain.usage import Call
from flockd.store.accounts import Accounts
from flockd.store.slots import Slots
from flockd.store.state import State

MOST = 20_000
"""Correlations, and as many runs, ledgers and calls, remembered at most: about 20 MB. The oldest go first."""


class Cache:
    """Active correlations with the oldest of what their ANDs hold, running runs, open calls of language models and the
    ledgers in which they stand; touched only by the writer's thread."""

    def __init__(self) -> None:
        self._correlations: dict[str, Correlation] = {}
        self._held: dict[str, Slots] = {}
        self._runs: dict[str, Run] = {}
        self._calls: dict[str, Call] = {}
        self._ledgers: dict[LedgerKey, Ledger] = {}

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

    def call(self, state: State, call_id: str) -> bool:
        """Put an open call into the overlay; False where it is to be loaded."""
        known = self._calls.get(call_id)
        if known is not None:
            state.accounts.calls[call_id] = known
        return known is not None

    def ledger(self, state: State, key: LedgerKey) -> bool:
        """Put a ledger into the overlay; False where it is to be loaded."""
        known = self._ledgers.get(key)
        if known is not None:
            state.accounts.ledgers[key] = known
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
                if (held := state.held.get(correlation.id)) is not None:
                    held.shorten()
                    self._held[correlation.id] = held
            else:
                self._correlations.pop(correlation.id, None)
                self._held.pop(correlation.id, None)
        self._keep_accounts(state.accounts)
        while len(self._runs) > MOST:
            del self._runs[next(iter(self._runs))]
        while len(self._correlations) > MOST:
            oldest = next(iter(self._correlations))
            del self._correlations[oldest]
            self._held.pop(oldest, None)

    def _keep_accounts(self, accounts: Accounts) -> None:
        for call in accounts.changed_calls.values():
            if call.taken is None:
                self._calls[call.id] = call
            else:
                self._calls.pop(call.id, None)
        if accounts.renewed is not None:
            self._ledgers.clear()
        self._ledgers.update(accounts.ledgers)
        for key in accounts.dropped:
            self._ledgers.pop(key, None)
        while len(self._calls) > MOST:
            del self._calls[next(iter(self._calls))]
        while len(self._ledgers) > MOST:
            del self._ledgers[next(iter(self._ledgers))]

    def clear(self) -> None:
        """Forget everything: a group failed, and may have changed what is remembered."""
        self._correlations.clear()
        self._held.clear()
        self._runs.clear()
        self._calls.clear()
        self._ledgers.clear()
