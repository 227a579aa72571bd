"""How a correlation ends; where it is an item of a batch, how the batch goes on in the same transaction."""

from __future__ import annotations

from flockd.board.items import begin
from flockd.domain.batch import Batch, BatchItem, ItemState
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.store.state import State

NOTHING_SUCCEEDED = "No item of the batch succeeded."


def settle(state: State, correlation: Correlation) -> None:
    """The end of the round, in the transaction in which nothing of it is open any more."""
    if correlation.open == 0 and correlation.state is CorrelationState.active:
        batch = state.batches.get(correlation.id)
        if batch is not None and correlation.round == 1 and batch.failed == batch.total:
            correlation.reason = correlation.reason or NOTHING_SUCCEEDED
        end(state, correlation, correlation.ended_state())


def settle_all(state: State, correlation: Correlation) -> None:
    """The ends that a verb brings about: of its own correlation, and of those that hold less than before."""
    settle(state, correlation)
    settle_sources(state)


def settle_sources(state: State) -> None:
    """The end of whatever holds less than before and has nothing open any more."""
    for correlation_id in list(state.to_settle):
        settle(state, state.correlations[correlation_id])
    state.to_settle.clear()


def end(state: State, correlation: Correlation, ended: CorrelationState) -> None:
    """End the round of a correlation; an item of a batch ends with its first one."""
    state.end_correlation(correlation, ended)
    if correlation.batch_id is None:
        return
    batch = state.batches[correlation.batch_id]
    if correlation.round > 1:
        _mend(state, batch, correlation)
        return
    _count(state, batch, correlation)
    waiting = state.waiting_items.get(batch.correlation_id)
    if waiting:
        begin(state, batch, waiting.pop(0))
    settle_batch(state, batch)


def settle_batch(state: State, batch: Batch) -> None:
    """The end of a batch whose last item has ended: failed where none succeeded."""
    if not batch.is_over:
        return
    correlation = state.correlations[batch.correlation_id]
    correlation.open -= 1
    settle(state, correlation)


def _count(state: State, batch: Batch, correlation: Correlation) -> None:
    """An item has ended."""
    succeeded = correlation.state is CorrelationState.completed
    item = _put(state, batch, correlation, ItemState.completed if succeeded else ItemState.failed)
    batch.completed += 1
    batch.failed += not succeeded
    state.emit(
        EventKind.batch_progress,
        state.correlations[batch.correlation_id],
        data=batch.progress() | {"item": item, "item_correlation_id": correlation.id},
    )


def _mend(state: State, batch: Batch, correlation: Correlation) -> None:
    """A failed item was retried by hand: where that went well it has not failed after all."""
    failed = (batch.correlation_id, correlation.batch_item) in state.failed_items
    if failed and correlation.state is CorrelationState.completed:
        item = _put(state, batch, correlation, ItemState.completed)
        state.failed_items.discard((batch.correlation_id, item))  # the next round in this group mends nothing
        batch.failed -= 1


def _put(state: State, batch: Batch, correlation: Correlation, item_state: ItemState) -> int:
    item = correlation.batch_item
    assert item is not None, "whoever is of a batch has its place in it"
    state.put_item(BatchItem(batch.correlation_id, item, item_state, correlation.id))
    state.changed_batches[batch.correlation_id] = batch
    return item
