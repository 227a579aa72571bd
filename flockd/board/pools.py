"""Joins over a key, and batches: what is gathered waits in a pool, beyond its workflow but never beyond its tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

from flockd.board.runs import new_run
from flockd.domain.agent import Agent
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact import DEFAULT_TENANT, Draft
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.gathering import BATCH_MOST, BatchSpec
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.subscription import Subscription
from flockd.store.pool import Pool
from flockd.store.records import Held, Pooled, PoolKey
from flockd.store.state import State

T = TypeVar("T")


def pools_of(draft: Draft, tenant: str = DEFAULT_TENANT) -> tuple[PoolKey, ...]:
    """The pools into which an artifact goes."""
    return tuple(PoolKey(tenant, agent, key) for agent, key in draft.keys)


def offer(state: State, correlation: Correlation, agent: Agent, draft: Draft, artifact: Held) -> Run | None:
    """The run that an artifact makes complete; None where it waits for others."""
    gathering = agent.subscription.gathering
    assert gathering is not None
    new = Pooled(
        correlation.tenant,
        agent.name,
        dict(draft.keys)[agent.name],
        artifact.type,
        artifact.seq,
        artifact.artifact_id,
        correlation.id,
        artifact.depth,
        state.clock + gathering.within_ms,
        dict(draft.places).get(agent.name, agent.name),
        isinstance(gathering, BatchSpec),
    )
    state.pool(new)
    return complete(state, agent, new.pool)


def complete(state: State, agent: Agent, pool: PoolKey) -> Run | None:
    """The run of what waits in a pool, where it is all that one needs."""
    taken = _complete(agent, state.pools[pool])
    return None if taken is None else take(state, agent.name, taken)


def take(state: State, agent: str, taken: Sequence[Pooled]) -> Run | None:
    """The run of what was gathered: in its correlation where all is of one, else in one of its own, with its causes.

    None where a limit refuses it; then its correlation is about to end.
    """
    sources = [state.correlations[one] for one in dict.fromkeys(one.correlation_id for one in taken)]
    inputs = tuple(one.artifact_id for one in taken)
    depth = max(one.depth for one in taken)
    correlation = sources[0] if len(sources) == 1 else _derived(state, sources)
    place = max(taken, key=lambda one: one.seq).place  # of the one that completed it
    of_error = any(one.type == AGENT_ERROR.name for one in taken)
    run = new_run(state, correlation, agent, inputs, depth=depth, place=place, of_error=of_error)
    state.unpool(taken)
    state.to_settle[correlation.id] = None
    return run


def expire(state: State, moment: int) -> list[Run]:
    """What has waited for its whole time: a batch's run takes what is there, a join's artifact has waited in vain.

    Takes what the group has loaded of it (`state.more_is_due`), and answers the runs, which the caller announces.
    """
    runs: list[Run] = []
    due = [
        one
        for one in state.due_in_pools
        if one.due_at <= moment and one in state.pools[one.pool]  # nothing has taken it before, in this group
    ]
    for pool in dict.fromkeys(one.pool for one in due if one.is_batch):
        waiting = [one for one in state.pools[pool] if one.is_batch]
        for start in range(0, len(waiting), BATCH_MOST):  # several only where the declaration has changed
            run = take(state, pool.agent, waiting[start : start + BATCH_MOST])
            if run is not None:
                runs.append(run)
    in_vain: dict[tuple[str, PoolKey], list[Pooled]] = {}
    for one in due:
        if not one.is_batch:
            in_vain.setdefault((one.correlation_id, one.pool), []).append(one)
    for (correlation_id, pool), expired in in_vain.items():
        state.unpool(expired)
        state.emit(
            EventKind.join_expired,
            state.correlations[correlation_id],
            agent=pool.agent,
            data={"key": pool.key, "artifacts": [one.artifact_id for one in expired]},
        )
    return runs


def withdraw(state: State, correlation: Correlation) -> None:
    """Hold nothing of a correlation any longer: it was cancelled."""
    state.unpool(
        [one for pool in state.pools.values() for one in pool if one.correlation_id == correlation.id]
    )
    for hidden in [one for one in state.hidden.values() if one.correlation_id == correlation.id]:
        state.reveal(hidden, None)
    state.withdraw_unloaded(correlation)


def in_turn(subscription: Subscription, oldest: Callable[[str, int], Sequence[T]]) -> list[T] | None:
    """What one run takes: the oldest of each type, in the order of its inputs; None where something is missing.

    `oldest`: so many of a type, fewer where there are no more.
    """
    found: dict[str, Sequence[T]] = {}
    for name, needed in subscription.needed.items():
        found[name] = oldest(name, needed)
        if len(found[name]) < needed:
            return None
    if len(found) == len(subscription.types):  # each of them once
        return [same[0] for same in found.values()]
    waiting = {name: iter(same) for name, same in found.items()}
    return [next(waiting[name]) for name in subscription.types]


def _complete(agent: Agent, pool: Pool) -> list[Pooled] | None:
    """What one run takes of a pool, in the order of its inputs; None where something is missing."""
    gathering = agent.subscription.gathering
    if isinstance(gathering, BatchSpec):
        return list(islice(pool, gathering.size)) if len(pool) >= gathering.size else None
    return in_turn(agent.subscription, pool.oldest)


def _derived(state: State, sources: Sequence[Correlation]) -> Correlation:
    """The correlation of a run whose inputs come from several."""
    priorities = [source.priority for source in sources if source.priority is not None]
    correlation = Correlation(
        0,
        new_id(),
        CorrelationState.active,
        state.now,
        state.now,
        min(priorities, default=None),
        causes=tuple(source.id for source in sources),
        inherited_runs=max(source.counted_runs for source in sources),
        tenant=sources[0].tenant,
    )
    state.begin_correlation(correlation)
    return correlation
