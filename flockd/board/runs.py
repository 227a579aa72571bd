"""How a run is made, under the limits of its correlation."""

from __future__ import annotations

from flockd.domain.correlation import Correlation
from flockd.domain.identity import new_id
from flockd.domain.priority import Priority
from flockd.domain.run import Run, RunState
from flockd.store.state import State


def new_run(
    state: State,
    correlation: Correlation,
    agent: str,
    inputs: tuple[str, ...],
    *,
    depth: int,
    cascade: bool = True,
    place: str | None = None,
    of_error: bool = False,
) -> Run | None:
    """A run, claimed at once where there is room; None where its correlation has reached a limit, which ends it."""
    limits = state.limits
    if correlation.counted_runs >= limits.correlation_runs:
        before = (
            f", after {correlation.inherited_runs} of what it came from" if correlation.inherited_runs else ""
        )
        correlation.reason = f"limits.correlation_runs: it made {correlation.runs} runs{before}"
    elif depth > limits.correlation_depth:
        correlation.reason = f"limits.correlation_depth: it is {depth} hops from its publication"
    if correlation.reason is not None:
        if correlation.id not in state.exhausted:
            state.exhausted.append(correlation.id)
        return None
    priority = correlation.priority
    if priority is None and (known := state.agents.get(agent)) is not None:
        priority = known.priority
    run = Run(
        state.next_run,
        new_id(),
        agent,
        correlation.id,
        RunState.ready,
        Priority.normal if priority is None else priority,
        0,
        inputs,
        state.now,
        depth,
        cascade,
        tenant=correlation.tenant,
        place=place or agent,
        of_error=of_error,
    )
    state.add_run(run, correlation)
    state.start_or_queue(run)
    return run
