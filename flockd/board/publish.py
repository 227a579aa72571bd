"""Publish: artifacts from outside, the runs they wake, and what the client is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flockd.board.ending import settle_all
from flockd.board.pools import pools_of
from flockd.board.publication import Idempotency, Prepared, Published, Result, keys_of, remember, replay
from flockd.board.runs import new_run
from flockd.board.wake import open_correlation, place, put, refuse_cancelled
from flockd.domain.agent import Agent
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.correlation import CorrelationState
from flockd.domain.priority import Priority
from flockd.errors import Conflict, FlockdError, InvalidInput, Overloaded
from flockd.store.command import Needs
from flockd.store.state import State


class Publish(NamedTuple):
    """One artifact. Answers Published."""

    prepared: Prepared
    dialect: str = "native"
    name: str = ""
    idempotency: Idempotency | None = None
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            correlations=self.prepared.named_correlation,
            keys=keys_of(self.idempotency),
            pools=pools_of(self.prepared.draft),
        )

    def decide(self, state: State) -> Published:
        before = replay(state, self.idempotency)
        if before is not None:
            return before[0][0]
        admit(state)
        published = publish_one(state, self.prepared, self.dialect, self.name)
        remember(state, self.idempotency, [published])
        return published


@dataclass(frozen=True, slots=True)
class PublishedMany:
    """What a bulk did: a result for each item, in order."""

    results: Sequence[Result]
    replayed: bool = False
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class PublishMany:
    """Many artifacts in one transaction, each for itself or (atomic) all or none. Answers PublishedMany."""

    items: Sequence[Prepared | FlockdError]
    atomic: bool = False
    idempotency: Idempotency | None = None
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            correlations=tuple(
                item.correlation_id
                for item in self.items
                if isinstance(item, Prepared) and not item.correlation_is_new
            ),
            keys=keys_of(self.idempotency),
            pools=tuple(
                pool for item in self.items if isinstance(item, Prepared) for pool in pools_of(item.draft)
            ),
        )

    def decide(self, state: State) -> PublishedMany:
        before = replay(state, self.idempotency)
        if before is not None:
            return PublishedMany(*before[:1], replayed=True, answer=before[1])
        admit(state)
        checked = [self._checked(state, item) for item in self.items]
        if self.atomic:
            for index, item in enumerate(checked):
                if isinstance(item, FlockdError):
                    raise InvalidInput.field(f"items.{index}", item.message)
        results: list[Result] = [
            item if isinstance(item, FlockdError) else publish_one(state, item, "native", "")
            for item in checked
        ]
        return PublishedMany(results, answer=remember(state, self.idempotency, results))

    @staticmethod
    def _checked(state: State, item: Prepared | FlockdError) -> Prepared | FlockdError:
        """The item, or why it cannot be published: found out before the first one changes anything."""
        if isinstance(item, Prepared) and (correlation := state.correlations.get(item.correlation_id)):
            try:
                refuse_cancelled(correlation)
            except Conflict as conflict:
                return conflict
        return item


@dataclass(frozen=True, slots=True)
class RunAgent:
    """A direct run: its inputs are stored and wake nobody else. Answers Published with the run's id.

    Without inputs (an agent that only its schedule starts) there is no artifact, and its seq is that of the round.
    """

    agent: Agent
    inputs: Sequence[Prepared]
    """In the order of the agent's types."""
    cascade: bool = False
    dialect: str = "native"
    idempotency: Idempotency | None = None
    correlation_id: str = ""
    """Where there are no inputs, which say it otherwise."""
    priority: Priority | None = None
    """The same."""
    place: str | None = None
    """Where it queues; None: at its agent's own place."""
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            correlations=self.inputs[0].named_correlation if self.inputs else (self.correlation_id,),
            keys=keys_of(self.idempotency),
        )

    def decide(self, state: State) -> Published:
        before = replay(state, self.idempotency)
        if before is not None:
            return before[0][0]
        admit(state)
        correlation_id, priority = self.correlation_id, self.priority
        if self.inputs:
            correlation_id, priority = self.inputs[0].correlation_id, self.inputs[0].priority
        existing = state.correlations.get(correlation_id)
        if existing is not None and existing.state is CorrelationState.active:
            raise Conflict(f"Correlation {existing.id} is active; a direct run needs one of its own.")
        if existing is not None:
            refuse_cancelled(existing)
            if existing.counted_runs >= state.limits.correlation_runs:
                raise Conflict(f"Correlation {existing.id} has made limits.correlation_runs runs.")
        seq = state.next_seq
        correlation = open_correlation(
            state, correlation_id, priority=priority, dialect=self.dialect, name=self.agent.name
        )
        inputs = tuple(item.draft.id for item in self.inputs)
        run = new_run(
            state,
            correlation,
            self.agent.name,
            inputs,
            depth=1,
            cascade=self.cascade,
            place=self.place,
            of_error=any(item.draft.type == AGENT_ERROR.name for item in self.inputs),
        )
        assert run is not None, "a correlation that just began has room for a run"
        seqs = [put(state, correlation, item.draft, [run.id]).seq for item in self.inputs]
        state.announce(run)
        published = Published(
            inputs[0] if inputs else "",
            correlation.id,
            seqs[0] if seqs else seq,
            correlation.round,
            run.id,
            fresh=existing is None,
            at=state.now,
        )
        remember(state, self.idempotency, [published])
        return published


def publish_one(state: State, prepared: Prepared, dialect: str, name: str) -> Published:
    """One artifact into its correlation. Raises Conflict, before it changes anything, where that was cancelled."""
    fresh = prepared.correlation_id not in state.correlations
    correlation = open_correlation(
        state, prepared.correlation_id, priority=prepared.priority, dialect=dialect, name=name
    )
    seq = state.next_seq
    for run in place(state, correlation, [(prepared.draft, prepared.agents)]):
        state.announce(run)
    settle_all(state, correlation)
    return Published(prepared.draft.id, correlation.id, seq, correlation.round, fresh=fresh, at=state.now)


def admit(state: State) -> None:
    """Refuse new work where too much waits already."""
    if state.occupancy.ready.total >= state.limits.ready_runs:
        raise Overloaded(
            f"{state.occupancy.ready.total} runs are waiting (limits.ready_runs); try again later.",
            retry_after_seconds=5,
        )
