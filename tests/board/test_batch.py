"""Batches: a few items at a time, each exactly once, over crashes and cancels."""

from __future__ import annotations

import orjson
import pytest

from flockd.board import Publication
from flockd.board.ending import NOTHING_SUCCEEDED
from flockd.board.publication import Idempotency
from flockd.domain.agent import Agent
from flockd.domain.batch import ItemState
from flockd.domain.gathering import JoinSpec
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import After
from flockd.errors import Conflict, FlockdError, IdempotencyMismatch, InvalidInput
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent, new_id, publication


def items(*numbers: int) -> list[list[Publication]]:
    return [[publication("A", n)] for n in numbers]


async def start(rig: Rig, *numbers: int, width: int = 2, correlation_id: str | None = None) -> str:
    published = await rig.board.start_batch(
        rig.board.agents["a"], items(*numbers), width=width, correlation_id=correlation_id
    )
    return published.correlation_id


def join(*types: str) -> Agent:
    """An agent that pairs these by `n`, whatever workflows they are of."""
    return Agent("j", Subscription(types, gathering=JoinSpec(by="n", within="1h")), ("D",))


async def results(rig: Rig, batch_id: str) -> list[tuple[str, list[int], str | None]]:
    """(state, what its outputs say, error) of each item, read in pages of two."""
    found: list[tuple[str, list[int], str | None]] = []
    while page := await rig.reads.batch_items(batch_id, len(found) - 1, 2):
        for one in page:
            assert one.item == len(found)
            found.append(
                (one.state.value, [orjson.loads(output.payload)["n"] for output in one.outputs], one.error)
            )
    return found


async def test_items_go_through_a_few_at_a_time_and_keep_their_order(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 10, 11, 12, 13, 14)
    (await rig.call("a", 11)).give(B=111)
    third = await rig.call("a", 12)
    assert sorted(call.inputs[0] for call in rig.working) == [10, 12]
    third.give(B=112)
    (await rig.call("a", 13)).give(B=113)
    (await rig.call("a", 10)).give(B=110)
    (await rig.call("a", 14)).give(B=114)
    ended = await rig.event("correlation.completed", correlation_id=batch_id)
    assert await results(rig, batch_id) == [("completed", [100 + n], None) for n in range(10, 15)]
    progress = rig.data("batch.progress", batch_id)
    assert [(one["completed"], one["failed"], one["item"]) for one in progress] == [
        (1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 0, 0), (5, 0, 4)
    ]  # fmt: skip
    assert ended.seq == max(event.seq for event in rig.events)
    batch = await rig.reads.batch(batch_id)
    assert batch is not None and batch.is_over and (batch.total, batch.failed) == (5, 0)


async def test_the_next_item_begins_in_the_transaction_in_which_one_ends(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await start(rig, 1, 2, width=1)
    (await rig.call("a", 1)).give(B=1)
    await rig.call("a", 2)
    kinds = [[event.kind.value for event in commit.events] for commit in rig.commits]
    assert len(kinds) == 2
    assert kinds[1] == [
        "artifact.published", "run.completed", "correlation.completed",
        "batch.progress", "correlation.started", "artifact.published", "run.started",
    ]  # fmt: skip


async def test_two_that_end_in_one_group_let_two_begin(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, 3, 4, 5, 6, width=3)
    calls = [await rig.call("a", n) for n in (1, 2, 3)]
    async with rig.one_group():
        for call in calls:
            call.give(B=1)
            await call.ended.wait()
    for n in (4, 5, 6):
        (await rig.call("a", n)).give(B=1)
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert len(rig.data("batch.progress")) == 6


async def test_what_an_item_sets_off_belongs_to_it(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    batch_id = await start(rig, 1, 2, width=1)
    (await rig.call("a", 1)).give(B=7)
    follower = await rig.call("b", 7)
    assert [call.agent for call in rig.working] == ["b"]
    follower.give(C=8)
    (await rig.call("a", 2)).give()
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert await results(rig, batch_id) == [("completed", [7, 8], None), ("completed", [], None)]


async def test_failed_and_refused_items_have_their_reasons(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    given: list[list[Publication] | FlockdError] = [
        [Publication("A", b'{"n": "many"}')],
        [publication("B")],
        [publication("A", 3)],
        InvalidInput("The row is too short."),
        [publication("A", 5)],
    ]
    published = await rig.board.start_batch(rig.board.agents["a"], given, width=1, options=b'{"x":1}')
    (await rig.call("a", 3)).fail(ValueError("no luck"))
    (await rig.call("a", 5)).give(B=5)
    await rig.event("correlation.completed", correlation_id=published.correlation_id)
    states = await results(rig, published.correlation_id)
    assert [state for state, _, _ in states] == ["failed", "failed", "failed", "failed", "completed"]
    assert [error for _, _, error in states][2:] == ["ValueError: no luck", "The row is too short.", None]
    assert states[0][2] is not None and "n" in states[0][2]
    assert states[1][2] is not None and "a takes A" in states[1][2]
    batch = await rig.reads.batch(published.correlation_id)
    assert batch is not None and (batch.completed, batch.failed, batch.options) == (5, 4, b'{"x":1}')


@pytest.mark.parametrize("given", [[], [InvalidInput("no")]])
async def test_a_batch_in_which_nothing_succeeds_has_failed(rigs: Rigs, given: list[FlockdError]) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.board.start_batch(rig.board.agents["a"], [*given, *items(1)], width=5)
    (await rig.call("a", 1)).fail()
    await rig.event("correlation.failed", correlation_id=published.correlation_id)
    assert rig.data("correlation.failed", published.correlation_id)[0]["reason"] == NOTHING_SUCCEEDED


async def test_a_batch_of_refused_items_ends_as_it_begins(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.board.start_batch(rig.board.agents["a"], [InvalidInput("no")], width=5)
    assert rig.kinds(published.correlation_id) == ["correlation.started", "correlation.failed"]


async def test_a_crash_takes_nothing_and_doubles_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, *range(20, 26), width=2)
    (await rig.call("a", 20)).give(B=20)
    await rig.call("a", 22)
    await rig.crash()
    await rig.start()
    for n in (21, 22, 23, 24, 25):
        (await rig.call("a", n)).give(B=n)
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert await results(rig, batch_id) == [("completed", [n], None) for n in range(20, 26)]
    stored = [event for event in rig.events if event.artifact is not None and event.artifact.type == "A"]
    assert len(stored) == 6


async def test_cancel_ends_what_is_in_flight_and_begins_nothing_more(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, 3, 4, 5, width=2)
    (await rig.call("a", 1)).give(B=1)
    await rig.call("a", 3)
    answered = await rig.board.cancel_correlation(batch_id)
    assert answered.outcome == "cancelled"
    await rig.until(lambda: not rig.working)
    assert [state for state, _, _ in await results(rig, batch_id)] == [
        "completed", "failed", "failed", "waiting", "waiting"
    ]  # fmt: skip
    assert [error for _, _, error in await results(rig, batch_id)][1:3] == ["Cancelled", "Cancelled"]
    assert (await rig.board.cancel_correlation(batch_id)).last_activity_at == answered.last_activity_at
    assert rig.kinds(batch_id)[-1] == "correlation.cancelled"


async def test_cancelling_the_last_items_is_a_cancelled_batch_not_a_failed_one(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, width=5)
    await rig.call("a", 2)
    await rig.board.cancel_correlation(batch_id)
    assert await rig.state(batch_id) == "cancelled"


async def test_cancel_in_the_group_in_which_an_item_ends(rigs: Rigs) -> None:
    """The item that the ending one lets begin is in no table yet; it ends with the batch all the same."""
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, 3, width=1)
    call = await rig.call("a", 1)
    async with rig.one_group():
        call.give(B=1)
        await call.ended.wait()
        rig.soon(rig.board.cancel_correlation(batch_id))
    await rig.until(lambda: not rig.working)
    assert [state for state, _, _ in await results(rig, batch_id)] == ["completed", "failed", "waiting"]
    assert await rig.state(batch_id) == "cancelled"


async def test_what_is_published_into_a_batch_is_work_of_its_own(rigs: Rigs) -> None:
    """Of a batch that is over: its next round, which can be cancelled and changes no item."""
    rig = await rigs(agent("a", "A"), agent("e", "E"))
    batch_id = await start(rig, 1)
    (await rig.call("a", 1)).give(B=1)
    await rig.event("correlation.completed", correlation_id=batch_id)
    await rig.publish("E", correlation_id=batch_id)
    await rig.call("e")
    await rig.board.cancel_correlation(batch_id)
    assert await rig.state(batch_id) == "cancelled"
    assert await results(rig, batch_id) == [("completed", [1], None)]


async def test_a_batch_ends_when_its_own_work_has_ended_too(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("e", "E"))
    batch_id = await start(rig, 1)
    await rig.publish("E", correlation_id=batch_id)
    (await rig.call("a", 1)).give(B=1)
    await rig.event("batch.progress")
    assert await rig.state(batch_id) == "active"
    (await rig.call("e")).give()
    await rig.event("correlation.completed", correlation_id=batch_id)


async def test_one_item_cancelled_is_one_failed_item(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, width=1)
    call = await rig.call("a", 1)
    await rig.board.cancel_correlation(call.context.correlation_id)
    (await rig.call("a", 2)).give(B=2)
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert await results(rig, batch_id) == [("failed", [], "Cancelled"), ("completed", [2], None)]


async def test_a_failed_item_that_is_retried_well_has_not_failed(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, width=1)
    first = await rig.call("a", 1)
    first.fail()
    second = await rig.call("a", 2)
    await rig.retry(first.run_id)
    (await rig.call("a", 1)).give(B=1)
    await rig.until(lambda: len(rig.data("correlation.completed")) == 1)
    second.give(B=2)
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert [(one["completed"], one["failed"]) for one in rig.data("batch.progress")] == [(1, 1), (2, 0)]
    assert await results(rig, batch_id) == [("completed", [1], None), ("completed", [2], None)]
    batch = await rig.reads.batch(batch_id)
    assert batch is not None and (batch.completed, batch.failed) == (2, 0)


async def test_items_wait_for_an_agent_that_is_gone(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, 3, width=1)
    await rig.call("a", 1)
    await rig.crash()
    rig.agents = ()
    await rig.start()
    await rig.event("run.waiting")
    assert await rig.states() == ["waiting"]
    await rig.stop()
    rig.agents = (agent("a", "A"),)
    await rig.start()
    for n in (1, 2, 3):
        (await rig.call("a", n)).give(B=n)
    await rig.event("correlation.completed", correlation_id=batch_id)


async def test_an_item_whose_agent_is_gone_waits_like_any_run(rigs: Rigs) -> None:
    """The first item dies as an orphan; the next begins as one, and the batch does not stand still for ever."""
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, width=1)
    await rig.call("a", 1)
    await rig.crash()
    rig.agents = ()
    await rig.start()
    for died in (1, 2):
        await rig.until(lambda died=died: len(rig.data("run.waiting")) == died)
        rig.clock.advance(Limits().orphan_ms / 1000 + 1)
        while await rig.board.wake(rig.clock()):
            pass
    await rig.event("correlation.failed", correlation_id=batch_id)
    assert [state for state, _, _ in await results(rig, batch_id)] == ["failed", "failed"]


async def test_a_key_starts_one_batch(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    key = Idempotency(b"k" * 16, b"b" * 16)
    a = rig.board.agents["a"]
    first = await rig.board.start_batch(a, items(1), width=1, idempotency=key)
    again = await rig.board.start_batch(a, items(1), width=1, idempotency=key)
    assert again.replayed and again.correlation_id == first.correlation_id
    with pytest.raises(IdempotencyMismatch):
        await rig.board.start_batch(a, items(2), width=1, idempotency=key._replace(body_hash=b"c" * 16))
    assert len(rig.data("correlation.started")) == 2  # the batch and its one item


async def test_a_batch_needs_a_correlation_of_its_own(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    taken = (await rig.publish("E")).correlation_id
    with pytest.raises(Conflict):
        await start(rig, 1, correlation_id=taken)
    mine = new_id()
    assert await start(rig, 1, correlation_id=mine) == mine


async def test_an_emptied_board_has_no_batches(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, 3)
    await rig.call("a", 2)
    await rig.board.reset()
    assert await rig.reads.batch(batch_id) is None
    assert await rig.reads.batch_items(batch_id, -1, 10) == []


async def test_a_refused_start_is_a_workflow_that_failed(rigs: Rigs) -> None:
    rig = await rigs()
    key = Idempotency(b"k" * 16, b"b" * 16)
    refused = await rig.board.refuse("nobody", "Agent 'nobody' not found", dialect="runs", idempotency=key)
    found = await rig.reads.correlation(refused.correlation_id)
    assert found is not None
    assert (found.wire_state, found.dialect, found.name) == ("failed", "runs", "nobody")
    assert found.reason == "Agent 'nobody' not found"
    assert rig.kinds(refused.correlation_id) == ["correlation.started", "correlation.failed"]
    again = await rig.board.refuse("nobody", "Agent 'nobody' not found", dialect="runs", idempotency=key)
    assert again.replayed and again.correlation_id == refused.correlation_id
    with pytest.raises(Conflict):
        await rig.board.refuse("x", "y", dialect="runs", correlation_id=refused.correlation_id)


async def test_states_of_items_are_the_words_of_the_wire() -> None:
    assert [state.value for state in ItemState] == ["waiting", "running", "completed", "failed"]


# -- what an item has out when its batch ends ---------------------------------------------------------------------


@pytest.mark.parametrize("works_too", [False, True])
async def test_cancelling_a_batch_takes_what_its_items_have_waiting_for_a_partner(
    rigs: Rigs, works_too: bool
) -> None:
    """Whether or not a run of the item is open as well: nothing pairs with it later, and no further item begins."""
    others = (agent("b", "B"),) if works_too else ()
    rig = await rigs(agent("a", "A"), join("B", "C"), *others)
    batch_id = await start(rig, 1, 2, width=1)
    (await rig.call("a", 1)).give(B=7)
    await rig.event("run.completed")
    await rig.board.cancel_correlation(batch_id)
    assert [state for state, _, _ in await results(rig, batch_id)] == ["failed", "waiting"]
    assert rig.verify() == []
    await rig.publish("C", 7)
    await rig.until(lambda: not rig.working)
    assert [event.agent for event in rig.events if event.kind == "run.started"].count("j") == 0
    assert [state for state, _, _ in await results(rig, batch_id)] == ["failed", "waiting"]


async def test_cancelling_a_batch_takes_what_its_items_have_hidden(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", visibility=After(ttl=3600)), agent("b", "B"))
    batch_id = await start(rig, 1, 2, width=1)
    (await rig.call("a", 1)).give(B=7)
    await rig.event("run.completed")
    await rig.board.cancel_correlation(batch_id)
    assert rig.verify() == []
    rig.clock.advance(3600)
    await rig.board.reveal(rig.clock())
    await rig.passed()
    assert rig.working == []
    assert rig.kinds().count("artifact.visible") == 0


async def test_items_of_two_batches_that_meet_both_end(rigs: Rigs) -> None:
    """What they have become part of is a workflow of its own; no batch waits for it."""
    rig = await rigs(agent("a", "A"), agent("e", "E"), join("B", "C"))
    first = await start(rig, 1)
    second = (
        await rig.board.start_batch(rig.board.agents["e"], [[publication("E")]], width=1)
    ).correlation_id
    (await rig.call("a")).give(B=5)
    await rig.event("run.completed")
    assert await rig.state(first) == "active"
    (await rig.call("e")).give(C=5)
    call = await rig.call("j")
    assert (await rig.state(first), await rig.state(second)) == ("completed", "completed")
    call.give()
    await rig.event("correlation.completed", correlation_id=call.context.correlation_id)


# -- a batch's own work, and its limits ---------------------------------------------------------------------------


async def test_own_work_of_a_batch_outlives_its_items(rigs: Rigs) -> None:
    """That nothing succeeded is said when all has ended: until then the batch is no lost workflow, and works on."""
    rig = await rigs(agent("a", "A"), agent("e", "E"), agent("d", "D"))
    batch_id = await start(rig, 1)
    await rig.publish("E", correlation_id=batch_id)
    (await rig.call("a", 1)).fail()
    await rig.event("batch.progress")
    assert await rig.state(batch_id) == "active"
    (await rig.call("e")).give(D=1)
    (await rig.call("d")).give(B=1)
    await rig.event("correlation.failed", correlation_id=batch_id)
    assert rig.data("correlation.failed", batch_id)[0]["reason"] == NOTHING_SUCCEEDED
    assert await rig.states(batch_id) == ["completed", "completed"]


async def test_a_limit_that_a_batchs_own_work_reaches_ends_the_batch(rigs: Rigs) -> None:
    """Its items with it, and so a restart finds nothing to end any more; what comes later is the next round."""
    rig = await rigs(agent("a", "A"), agent("e", "E"), limits=Limits(correlation_runs=1))
    batch_id = await start(rig, 1, 2, width=1)
    await rig.publish("E", 1, batch_id)
    await rig.publish("E", 2, batch_id)
    await rig.event("correlation.failed", correlation_id=batch_id)
    assert "limits.correlation_runs" in rig.data("correlation.failed", batch_id)[0]["reason"]
    await rig.until(lambda: not rig.working)
    assert [state for state, _, _ in await results(rig, batch_id)] == ["failed", "waiting"]
    await rig.crash()
    await rig.start()
    await rig.publish("D", 3, batch_id)
    assert await rig.state(batch_id) == "completed"
    assert rig.working == []
    assert rig.verify() == []


async def test_two_rounds_of_a_failed_item_in_one_group_mend_it_once(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    batch_id = await start(rig, 1, 2, width=2)
    first = await rig.call("a", 1)
    first.fail()
    await rig.event("batch.progress")
    await rig.retry(first.run_id)
    (await rig.call("a", 1)).fail()
    await rig.until(lambda: len(rig.data("run.failed")) == 2)
    async with rig.one_group():
        for n in (1, 2):
            rig.soon(rig.publish("E", n, first.context.correlation_id))
    (await rig.call("a", 2)).fail()
    await rig.until(lambda: len(rig.data("batch.progress")) == 2)
    batch = await rig.reads.batch(batch_id)
    states = [state for state, _, _ in await results(rig, batch_id)]
    assert batch is not None and (batch.completed, batch.failed) == (2, states.count("failed"))


async def test_an_item_that_a_recovery_begins_starts_once(rigs: Rigs) -> None:
    """The run before it was lost with its process for the last time; what that end lets begin was not lost."""
    rig = await rigs(agent("a", "A"), limits=Limits(run_crashes=1))
    batch_id = await start(rig, 1, 2, 3, width=1)
    await rig.call("a", 1)
    await rig.crash()
    await rig.start()
    call = await rig.call("a", 2)
    run = await rig.run(call.run_id)
    assert (run.crashes, run.fence) == (0, 1)
    call.give()
    (await rig.call("a", 3)).give()
    await rig.event("correlation.completed", correlation_id=batch_id)
    assert rig.data("run.failed")[0]["error"]["code"] == "CRASHED"


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_batch_that_a_limit_has_ended_ends_its_items_once(rigs: Rigs, cancelled: bool) -> None:
    rig = await rigs(agent("a", "A"), limits=Limits(correlation_runs=1))
    batch_id = await start(rig, 1, 2, 3, width=1)
    await rig.call("a", 1)
    await rig.publish("A", 10, batch_id)
    await rig.publish("A", 11, batch_id)
    await rig.event("correlation.failed", correlation_id=batch_id)
    await rig.publish("B", 12, batch_id, visibility=After(ttl=60))  # it holds the next round open
    assert rig.verify() == []
    if cancelled:
        await rig.board.cancel_correlation(batch_id)
    else:
        await rig.publish("A", 13, batch_id)
        await rig.until(lambda: rig.kinds(batch_id).count("correlation.failed") == 2)
    found = await rig.reads.correlation(batch_id)
    assert found is not None
    assert (found.round, found.open) == (2, 0)
    await rig.until(lambda: rig.working == [])
