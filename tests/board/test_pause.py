"""Pauses: nothing starts, everything else goes on, and a restart forgets none of it."""

from __future__ import annotations

import asyncio

import pytest

from flockd.errors import NotFound

from ..rig import Rig, Rigs, agent, new_id, publication


async def pause(rig: Rig, correlation_id: str, paused: bool = True) -> bool:
    return (await rig.board.pause_correlation(correlation_id, paused)).paused


async def test_what_runs_commits_and_what_it_wakes_waits(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    published = await rig.publish("A")
    call = await rig.call("a")
    assert await pause(rig, published.correlation_id)
    call.give(B=1)
    await rig.event("run.completed")
    assert await rig.states() == ["completed", "ready"]
    assert rig.working == []
    assert not await pause(rig, published.correlation_id, False)
    (await rig.call("b", 1)).give()
    await rig.event("correlation.completed")
    kinds = rig.kinds(published.correlation_id)
    assert (kinds.count("correlation.paused"), kinds.count("correlation.resumed")) == (1, 1)


async def test_pausing_twice_is_pausing_once(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A")
    await rig.call("a")
    for _ in range(2):
        assert await pause(rig, published.correlation_id)
    for _ in range(2):
        assert not await pause(rig, published.correlation_id, False)
    assert rig.kinds().count("correlation.paused") == rig.kinds().count("correlation.resumed") == 1
    with pytest.raises(NotFound):
        await pause(rig, new_id())


async def test_others_pass_what_is_paused(rigs: Rigs) -> None:
    """The queue of the one agent begins with more paused runs than its window holds."""
    rig = await rigs(agent("a", "A", max_concurrency=1), lane_window=2)
    first = await rig.publish("A", 0)
    paused = await rig.publish("A", 1)
    for n in range(2, 10):
        await rig.publish("A", n, paused.correlation_id)
    last = await rig.publish("A", 99)
    await pause(rig, paused.correlation_id)
    (await rig.call("a", 0)).give()
    (await rig.call("a", 99)).give()
    await rig.event("correlation.completed", correlation_id=last.correlation_id)
    assert first.correlation_id != paused.correlation_id
    await pause(rig, paused.correlation_id, False)
    for _ in range(9):
        call = await rig.call("a")
        call.give()
        await call.ended.wait()
    await rig.event("correlation.completed", correlation_id=paused.correlation_id)


async def test_a_pause_outlives_a_crash(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A")
    await rig.call("a")
    await pause(rig, published.correlation_id)
    await rig.crash()
    await rig.start()
    await rig.passed()
    assert await rig.states() == ["ready"]
    assert rig.working == []
    await pause(rig, published.correlation_id, False)
    (await rig.call("a")).give()
    await rig.event("correlation.completed")


async def test_a_retry_that_is_due_waits_for_the_resume(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", retries=1))
    published = await rig.publish("A")
    call = await rig.call("a")
    await pause(rig, published.correlation_id)
    call.fail()
    await rig.event("run.retrying")
    rig.clock.advance(1000)
    while await rig.board.wake(rig.clock()):
        pass
    assert await rig.states() == ["ready"]
    await pause(rig, published.correlation_id, False)
    (await rig.call("a")).give()
    await rig.event("correlation.completed")


async def test_cancelling_what_is_paused(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1))
    await rig.publish("A", 1)
    published = await rig.publish("A", 2)
    await pause(rig, published.correlation_id)
    await rig.board.cancel_correlation(published.correlation_id)
    assert await rig.states(published.correlation_id) == ["cancelled"]
    found = await rig.reads.correlation(published.correlation_id)
    assert found is not None and not found.paused


async def test_a_redrive_into_what_is_paused_waits_for_the_resume(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "A"))
    published = await rig.publish("A")
    dead = await rig.call("a")
    other = await rig.call("b")
    dead.fail()
    await rig.event("run.failed")
    await pause(rig, published.correlation_id)
    run = await rig.retry(dead.run_id)
    assert (run.state.value, run.paused) == ("ready", True)
    other.give()
    await other.ended.wait()
    await rig.passed()
    assert rig.working == []
    await pause(rig, published.correlation_id, False)
    (await rig.call("a")).give()
    await rig.event("correlation.completed")


async def test_a_batch_pauses_with_its_items(rigs: Rigs) -> None:
    """The items that work, and those that begin while it is paused."""
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    items = [[publication("A", n)] for n in range(4)]
    batch_id = (await rig.board.start_batch(rig.board.agents["a"], items, width=2)).correlation_id
    calls = [await rig.call("a", n) for n in (0, 1)]
    await pause(rig, batch_id)
    calls[0].give(B=5)
    calls[1].give()
    await rig.event("batch.progress")
    await rig.passed()
    assert rig.working == []
    await rig.crash()
    await rig.start()
    await rig.passed()
    assert rig.working == []
    await pause(rig, batch_id, False)
    (await rig.call("b", 5)).give()
    for n in (2, 3):
        (await rig.call("a", n)).give()
    await rig.event("correlation.completed", correlation_id=batch_id)


async def test_a_later_round_of_an_item_is_not_its_batchs_to_pause(rigs: Rigs) -> None:
    """Whether or not another verb of the group speaks of it."""
    rig = await rigs(agent("a", "A"), agent("e", "E", max_concurrency=1))
    items = [[publication("A", n)] for n in (1, 2)]
    batch_id = (await rig.board.start_batch(rig.board.agents["a"], items, width=1)).correlation_id
    first = await rig.call("a", 1)
    first.give()
    await rig.call("a", 2)
    child = first.context.correlation_id
    await rig.publish("E", 1)
    blocker = await rig.call("e", 1)
    await rig.publish("E", 2, child)
    async with rig.one_group():
        rig.soon(pause(rig, batch_id))
        rig.soon(rig.publish("E", 3, child))
    assert rig.verify() == []
    blocker.give()
    for n in (2, 3):
        (await rig.call("e", n)).give()
    await rig.until(lambda: rig.kinds(child).count("correlation.completed") == 2)


async def test_what_ended_stays_as_it_is(rigs: Rigs) -> None:
    rig = await rigs()
    published = await rig.publish("A")
    assert not await pause(rig, published.correlation_id)


async def test_an_agent_pauses_for_everyone(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    a = rig.board.agents["a"]
    assert await rig.board.pause_agent(a, True)
    assert not await rig.board.pause_agent(a, True)
    await rig.publish("A")
    await rig.publish("B")
    (await rig.call("b")).give()
    await rig.stop()
    await rig.start()
    await rig.passed()
    assert [call.agent for call in rig.working] == []
    assert await rig.board.pause_agent(a, False)
    (await rig.call("a")).give()
    await rig.until(lambda: len(rig.data("correlation.completed")) == 2)
    events = [event for event in rig.events if event.kind.startswith("agent.")]
    assert [(event.kind.value, event.agent, event.correlation_id) for event in events] == [
        ("agent.paused", "a", None),
        ("agent.resumed", "a", None),
    ]


async def test_resume_while_draining_starts_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1))
    published = await rig.publish("A", 1)
    call = await rig.call("a", 1)
    await rig.publish("A", 2, published.correlation_id)
    await pause(rig, published.correlation_id)
    stopping = rig.soon(rig.supervisor.drain(30.0, 5.0))
    await rig.until(lambda: rig.writer.occupancy.closed)
    await pause(rig, published.correlation_id, False)
    call.give()
    await asyncio.wait_for(stopping, 20)
    assert await rig.states() == ["completed", "ready"]
    await rig.stop()
    await rig.start()
    (await rig.call("a", 2)).give()
    await rig.event("correlation.completed")


async def test_storms_of_pauses_and_cancels_end_in_a_legal_state(rigs: Rigs) -> None:
    """Everything at once, in one group: the board is verified when the test is over."""
    rig = await rigs(agent("a", "A", max_concurrency=2), agent("b", "B"))
    published = [await rig.publish("A", n) for n in range(6)]
    calls = [await rig.call("a", 0), await rig.call("a", 1)]
    async with rig.one_group():
        for number, one in enumerate(published):
            rig.soon(rig.board.pause_correlation(one.correlation_id, True))
            if number % 2:
                rig.soon(rig.board.cancel_correlation(one.correlation_id))
            rig.soon(rig.board.pause_correlation(one.correlation_id, False))
        for call in calls:
            call.give(B=1)
    await rig.until(lambda: not any(call.agent == "a" and call.inputs[0] in (0, 1) for call in rig.working))
    while {"ready", "running"} & set(await rig.states()):
        for call in list(rig.working):
            if not call.result.done():
                call.give()
            await call.ended.wait()
        await rig.passed()
    states = [await rig.state(one.correlation_id) for one in published]
    assert states[1] in ("cancelled", "completed") and set(states) <= {"cancelled", "completed"}
