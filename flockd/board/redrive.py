"""Redrive: dead runs start again, under their ids and with fresh retries, one of them or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flockd.board.outcome import retrying
from flockd.board.publication import Idempotency, keys_of, remember, replay
from flockd.board.publish import admit
from flockd.board.wake import refuse_cancelled
from flockd.domain.correlation import CorrelationState
from flockd.domain.run import Run, RunState
from flockd.errors import Conflict, FlockdError, NotFound
from flockd.store.command import Needs
from flockd.store.state import State


class Redriven(NamedTuple):
    """What a redrive did."""

    runs: Sequence[Run]
    """Those that start again, as they are now."""
    refused: Sequence[tuple[str, FlockdError]]
    """(run id, why) of those that cannot."""
    at: int
    """The moment in which it was done: a run that dies again does so later."""
    answer: bytes | None = None
    """Of a replay: what was answered then. Nothing was done now."""


Render = Callable[[Redriven], bytes]


@dataclass(frozen=True, slots=True)
class Redrive:
    """Start dead runs again in the next round of their correlations. Answers Redriven.

    With `strict` the first one that cannot be raises NotFound or Conflict, and nothing is changed.
    """

    run_ids: Sequence[str]
    """At most as many as one transaction should hold."""
    render: Render
    """Makes the answer that is kept with the key."""
    idempotency: Idempotency | None = None
    strict: bool = False
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(runs=tuple(self.run_ids), keys=keys_of(self.idempotency))

    def decide(self, state: State) -> Redriven:
        before = replay(state, self.idempotency)
        if before is not None:
            return Redriven((), (), state.now, before[1])
        admit(state)
        dead: list[Run] = []
        refused: list[tuple[str, FlockdError]] = []
        for run_id in dict.fromkeys(self.run_ids):
            try:
                dead.append(_dead(state, run_id))
            except FlockdError as error:
                if self.strict:
                    raise
                refused.append((run_id, error))
        for run in dead:
            _start_again(state, run)
        redriven = Redriven([run.copy() for run in dead], refused, state.now)
        if self.idempotency is not None:
            remember(state, self.idempotency, (), self.render(redriven))
        return redriven


def _dead(state: State, run_id: str) -> Run:
    """The run. Raises NotFound, or Conflict where it cannot start again."""
    run = state.runs.get(run_id)
    if run is None:
        raise NotFound(f"Run not found: {run_id}")
    if run.state is not RunState.dead:
        raise Conflict(f"Run {run.id} is {run.state}; only dead runs can be retried.")
    refuse_cancelled(state.correlations[run.correlation_id])
    return run


def _start_again(state: State, run: Run) -> None:
    correlation = state.correlations[run.correlation_id]
    if correlation.state is not CorrelationState.active:
        state.begin_correlation(correlation)
    elif run.ended_round == correlation.round:
        correlation.round_errors -= 1
    correlation.error_count -= 1
    run.attempt += 1
    run.first_attempt = run.attempt
    run.crashes = 0
    run.error = run.output_text = None
    state.start_or_queue(run)
    retrying(state, run, "redrive")
    state.announce(run)
