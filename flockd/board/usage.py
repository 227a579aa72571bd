"""Calls of language models: what they may take is reserved before they begin, what they took is charged when they end.

A call is a row. It stands in a ledger for each budget that counts for it, and a ledger is decided by and changed within
the transaction of the verb, so that no two calls can take what is left for one. What is spent and reserved together
never passes a limit, unless a call takes more than it said it would: then what it took is charged all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flockd.board.outcome import Fenced
from flockd.domain.budget import LedgerKey, Shortage
from flockd.domain.event import EventKind
from flockd.domain.usage import Call, Most, Usage
from flockd.store.command import DUE_PAGE, Needs
from flockd.store.records import Step
from flockd.store.state import State


@dataclass(frozen=True, slots=True)
class BeginCall(Fenced):
    """Reserve the most that a call may take, in every budget that counts for it.

    Answers whether the claim still holds, or the budget into which the call does not fit: then nothing is reserved and
    `budget.exceeded` is logged. Only for calls for which a budget counts; others need no row before they end.
    """

    call_id: str
    model: str
    most: Most

    def needs(self) -> Needs:
        return Needs(correlations=(self.correlation_id,), runs=(self.run_id,), calls_of=(self.run_id,))

    def decide(self, state: State) -> bool | Shortage:
        run = self.held(state)
        if run is None:
            return False
        call = Call(
            self.call_id,
            run.id,
            run.correlation_id,
            run.agent,
            run.tenant,
            self.model,
            self.most,
            state.clock,  # a window of a budget is of the wall clock, also where that has been set back
        )
        shortage = state.accounts.shortage(call)
        if shortage is not None:
            state.emit(
                EventKind.budget_exceeded,
                state.correlations[run.correlation_id],
                run=run,
                data=shortage.data,
            )
            state.count("refused", shortage.key.scope, tenant=run.tenant)
            return shortage
        state.accounts.begin(call)
        return True


@dataclass(frozen=True, slots=True)
class EndCall(Fenced):
    """Charge what a call took, a reserved one once however often it is asked; with the step that keeps its answer.

    What was taken was taken: the charge is not guarded by the fence, the step is. Answers False where that was dropped.
    """

    call: Call
    """As it began."""
    is_reserved: bool
    """It has a row, since a budget counts for it: that one is settled, if it is there and open."""
    taken: Usage | None
    """None: nobody knows, and it is charged what it might have taken at most."""
    ms: int
    """From its beginning, where nobody knows what it took."""
    step: tuple[str, bytes] | None = None
    """Name and JSON."""

    def needs(self) -> Needs:
        calls = (self.call.id,) if self.is_reserved else ()
        return Needs(correlations=(self.correlation_id,), runs=(self.run_id,), calls=calls)

    def decide(self, state: State) -> bool:
        call = state.accounts.calls.get(self.call.id) if self.is_reserved else replace(self.call)
        if call is None or call.taken is not None:
            return True
        settle(state, call, self.taken, self.ms)
        if self.step is None:
            return True
        run = self.held(state)
        if run is None:
            return False
        state.steps.append(Step(run.id, *self.step, state.now))
        return True


@dataclass(frozen=True, slots=True)
class CloseLostCalls:
    """At start: a page of the calls that were open when the process ended. Answers whether there may be more.

    They were reserved and perhaps sent; what they took nobody knows. So each is charged what it reserved, once: its row
    says that it is settled.
    """

    inside: bool = True

    def needs(self) -> Needs:
        return Needs(lost_calls=True)

    def decide(self, state: State) -> bool:
        lost = [call for call in state.accounts.calls.values() if call.taken is None]
        for call in lost:
            settle(state, call, None, 0)
        return len(lost) >= DUE_PAGE


@dataclass(frozen=True, slots=True)
class RenewLedgers:
    """At start under other rules: the old ledgers go, and new ones are made from the calls as they are needed."""

    digest: bytes
    inside: bool = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        state.accounts.renewed = self.digest


@dataclass(frozen=True, slots=True)
class ForgetLedgers:
    """Delete ledgers of windows, runs and workflows that are over, but for those that somebody in the group needs."""

    keys: Sequence[LedgerKey]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        for key in self.keys:
            state.accounts.drop(key)


def settle(state: State, call: Call, taken: Usage | None, ms: int) -> None:
    """An open call is over: charge it, to its budgets, its run and its workflow, as far as those are still there."""
    charged = call.charge(taken, ms)
    run = state.runs.get(call.run_id)
    state.accounts.settle(call, charged, run_is_there=run is not None)
    if run is None or not charged.requests:  # without its run, a workflow of the same id is another one
        return
    correlation = state.correlations[call.correlation_id]
    run.usage = (run.usage or Usage()).plus(charged)
    correlation.usage = (correlation.usage or Usage()).plus(charged)
    state.changed_runs[run.id] = run
    state.changed_correlations[correlation.id] = correlation
