"""How an item of a batch begins: its inputs become artifacts of a correlation of its own, and one run takes them."""

from __future__ import annotations

from dataclasses import replace

import orjson

from flockd.board.runs import new_run
from flockd.board.wake import put
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact import EXTERNAL, Draft
from flockd.domain.batch import Batch, BatchItem, ItemState
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.identity import new_id
from flockd.domain.visibility import PUBLIC
from flockd.store.state import State


def begin(state: State, batch: Batch, item: BatchItem) -> None:
    """Start the work on a waiting item. Where its agent is gone, the run waits for it as any other does."""
    parent = state.correlations[batch.correlation_id]
    correlation = Correlation(
        0,
        new_id(),
        CorrelationState.active,
        state.now,
        state.now,
        parent.priority,
        dialect="runs",
        name=batch.agent,
        batch_id=batch.correlation_id,
        batch_item=item.item,
        paused=parent.paused,
        tenant=parent.tenant,
    )
    state.begin_correlation(correlation)
    drafts = [
        Draft(new_id(), name, payload, EXTERNAL, None, (), PUBLIC, version)
        for name, payload, version in item.drafted()
    ]
    inputs = tuple(draft.id for draft in drafts)
    agent = state.agents.get(batch.agent)
    run = new_run(
        state,
        correlation,
        batch.agent,
        inputs,
        depth=1,
        place=None if agent is None else agent.place_of(orjson.loads(draft.payload) for draft in drafts),
        of_error=any(draft.type == AGENT_ERROR.name for draft in drafts),
    )
    assert run is not None, "a correlation that just began has room for a run"
    for draft in drafts:
        put(state, correlation, draft, [run.id])
    state.announce(run)
    state.put_item(replace(item, state=ItemState.running, correlation_id=correlation.id, inputs=None))
    batch.next_item = item.item + 1
    state.changed_batches[batch.correlation_id] = batch
