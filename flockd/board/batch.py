"""Starting a batch, and starting what has failed before it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flockd.board.ending import settle, settle_batch
from flockd.board.items import begin
from flockd.board.publication import Idempotency, Published, keys_of, remember, replay
from flockd.board.publish import admit
from flockd.board.wake import open_correlation
from flockd.domain.batch import Batch, BatchItem, ItemState, item_inputs
from flockd.domain.correlation import BATCHES
from flockd.domain.priority import Priority
from flockd.store.command import Needs
from flockd.store.state import State

Inputs = list[tuple[str, bytes, int]]
"""(type, valid payload, version) of each input of an item, in the order of the agent's types."""


@dataclass(frozen=True, slots=True)
class StartBatch:
    """Store a batch with all its items and begin the first ones. Answers Published, with no artifact."""

    correlation_id: str
    agent: str
    items: Sequence[Inputs | str]
    """A str: why the item's input was refused; it has failed from the start."""
    width: int
    options: bytes
    priority: Priority | None = None
    idempotency: Idempotency | None = None
    unwritten: bool = False
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            correlations=(self.correlation_id,),
            keys=keys_of(self.idempotency),
        )

    def decide(self, state: State) -> Published:
        before = replay(state, self.idempotency)
        if before is not None:
            return before[0][0]
        admit(state)
        seq = state.next_seq
        correlation = open_correlation(
            state, self.correlation_id, priority=self.priority, dialect=BATCHES, name=self.agent
        )
        correlation.open += 1
        batch = Batch(correlation.id, self.agent, self.width, len(self.items), options=self.options)
        batch.unwritten = self.unwritten
        state.batches[correlation.id] = state.changed_batches[correlation.id] = batch
        waiting = self._store(state, batch)
        for item in waiting[: self.width]:
            begin(state, batch, item)
        settle_batch(state, batch)
        published = Published("", correlation.id, seq, correlation.round)
        remember(state, self.idempotency, [published])
        return published

    def _store(self, state: State, batch: Batch) -> list[BatchItem]:
        """Write all items; answers those that wait."""
        waiting: list[BatchItem] = []
        for index, inputs in enumerate(self.items):
            if isinstance(inputs, str):
                item = BatchItem(batch.correlation_id, index, ItemState.failed, error=inputs)
                batch.completed += 1
                batch.failed += 1
            else:
                item = BatchItem(batch.correlation_id, index, ItemState.waiting, inputs=item_inputs(inputs))
                waiting.append(item)
            state.put_item(item)
        return waiting


@dataclass(frozen=True, slots=True)
class BatchWritten:
    """The results of a batch are in their file, or never will be."""

    correlation_id: str
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(correlations=(self.correlation_id,))

    def decide(self, state: State) -> None:
        batch = state.batches.get(self.correlation_id)
        if batch is not None and batch.unwritten:
            batch.unwritten = False
            state.changed_batches[batch.correlation_id] = batch


@dataclass(frozen=True, slots=True)
class Refuse:
    """Store a workflow that has failed before anything of it began. Answers Published, with no artifact."""

    correlation_id: str
    dialect: str
    name: str
    reason: str
    idempotency: Idempotency | None = None
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            correlations=(self.correlation_id,),
            keys=keys_of(self.idempotency),
        )

    def decide(self, state: State) -> Published:
        before = replay(state, self.idempotency)
        if before is not None:
            return before[0][0]
        admit(state)
        seq = state.next_seq
        correlation = open_correlation(
            state, self.correlation_id, priority=None, dialect=self.dialect, name=self.name
        )
        correlation.reason = self.reason
        settle(state, correlation)
        published = Published("", correlation.id, seq, correlation.round)
        remember(state, self.idempotency, [published])
        return published
