"""How artifacts wake agents inside a transaction: the step that publish and finish share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flockd.board.pools import in_turn, offer
from flockd.board.runs import new_run
from flockd.domain.agent import Agent
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact import EXTERNAL, Artifact, Draft
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.priority import Priority
from flockd.domain.run import Run
from flockd.domain.visibility import After
from flockd.errors import Conflict
from flockd.store.records import Held, Hidden
from flockd.store.state import Reserved, State

NATIVE = "native"
"""The dialect of whoever publishes on the board itself."""


def open_correlation(
    state: State, correlation_id: str, *, priority: Priority | None, dialect: str, name: str
) -> Correlation:
    """The correlation that a publication joins: a new one, an active one, or the next round of a finished one.

    Raises Conflict where it was cancelled, and where another dialect than the native one wants it: what that starts is
    found again by its id, and so needs one of its own.
    """
    correlation = state.correlations.get(correlation_id)
    if correlation is None:
        correlation = Correlation(
            0,
            correlation_id,
            CorrelationState.active,
            state.now,
            state.now,
            priority,
            dialect=dialect,
            name=name,
        )
        state.begin_correlation(correlation)
        return correlation
    if dialect != NATIVE:
        raise Conflict(f"Correlation {correlation.id} exists; choose another id.")
    refuse_cancelled(correlation)
    if priority is not None:
        correlation.priority = priority
    if correlation.state is not CorrelationState.active:
        state.begin_correlation(correlation)
    return correlation


def refuse_cancelled(correlation: Correlation) -> None:
    if correlation.state is CorrelationState.cancelled:
        raise Conflict(f"Correlation {correlation.id} was cancelled; it takes no more artifacts.")


def place(
    state: State,
    correlation: Correlation,
    drafts: Sequence[tuple[Draft, tuple[Agent, ...]]],
    *,
    producer: Run | None = None,
    depth: int = 1,
) -> list[Run]:
    """Put artifacts on the board with their events, and make the runs that they wake; the caller announces those.

    `depth`: of those runs, where nobody produced the artifacts.
    """
    if producer is not None:
        depth = producer.depth + 1
    woken: list[Run] = []
    for draft, agents in drafts:
        reserved = state.reserve()  # what it sets off comes after it in the log
        runs, held = wake_all(state, correlation, agents, draft, reserved.seq, depth)
        woken += runs
        artifact = put(
            state, correlation, draft, [run.id for run in runs], held, producer=producer, place=reserved
        )
        if isinstance(artifact.visibility, After):
            due_at = state.clock + int(artifact.visibility.ttl * 1000)
            state.hide(Hidden(artifact.seq, correlation.id, depth, due_at))
    return woken


def wake_all(
    state: State, correlation: Correlation, agents: Sequence[Agent], draft: Draft, seq: int, depth: int
) -> tuple[list[Run], list[str]]:
    """The runs that an artifact makes, and the agents that hold it until others come."""
    runs: list[Run] = []
    held: list[str] = []
    for agent in agents:
        run = _wake(state, correlation, agent, draft, Held(agent.name, seq, draft.id, draft.type, depth))
        if run is not None:
            runs.append(run)
        elif agent.subscription.joins or agent.subscription.gathering:
            held.append(agent.name)
    return runs, held


def put(
    state: State,
    correlation: Correlation,
    draft: Draft,
    woke: Sequence[str],
    held: Sequence[str] = (),
    *,
    producer: Run | None = None,
    place: Reserved | None = None,
) -> Artifact:
    """One artifact, its event and its counts; at its place in the log, where that was reserved."""
    place = place or state.reserve()
    artifact = Artifact(
        place.seq,
        draft.id,
        draft.type,
        draft.payload,
        draft.produced_by,
        correlation.id,
        state.now,
        None if producer is None else producer.id,
        draft.partition_key,
        draft.tags,
        draft.visibility,
        draft.version,
        correlation.tenant,
    )
    state.artifacts.append(artifact)
    correlation.artifact_count += 1
    if producer is not None:
        correlation.round_outputs += 1
    state.count("artifact", draft.type, draft.produced_by, draft.visibility.kind, tenant=correlation.tenant)
    for tag in draft.tags:
        state.count("tag", tag, tenant=correlation.tenant)
    state.count("alltime", "artifacts", tenant=correlation.tenant)
    state.emit(
        EventKind.artifact_published,
        correlation,
        run=producer,
        agent=None if draft.produced_by == EXTERNAL else draft.produced_by,
        data={"woke": woke, "held": held},
        artifact=artifact,
        place=place,
    )
    return artifact


def _wake(state: State, correlation: Correlation, agent: Agent, draft: Draft, artifact: Held) -> Run | None:
    """The run that this artifact makes for this agent; None where others are waited for, or a limit refuses it."""
    if agent.subscription.gathering is not None:
        return offer(state, correlation, agent, draft, artifact)
    if not agent.subscription.joins:
        return new_run(
            state,
            correlation,
            agent.name,
            (artifact.artifact_id,),
            depth=artifact.depth,
            place=dict(draft.places).get(agent.name),
            of_error=draft.type == AGENT_ERROR.name,
        )
    state.hold(correlation.id, artifact)
    taken = in_turn(agent.subscription, partial(state.oldest_held, correlation.id, agent.name))
    if taken is None:
        return None
    inputs = tuple(held.artifact_id for held in taken)
    run = new_run(
        state,
        correlation,
        agent.name,
        inputs,
        depth=max(held.depth for held in taken),
        place=dict(draft.places).get(agent.name),
        of_error=AGENT_ERROR.name in agent.subscription.types,
    )
    if run is not None:
        state.take_held(correlation.id, taken)
    return run
