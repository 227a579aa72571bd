"""The queue as a whole: ten thousand runs of one capped agent hide nobody, and memory holds a window of them."""

import asyncio

from flockd.domain.identity import new_id
from flockd.domain.predicate import compile_path
from flockd.domain.priority import Priority
from flockd.store.occupancy import Limits

from ..rig import Rigs, agent, publication

MANY = 10_000
WINDOW = 16


async def test_many_ready_runs_of_a_capped_agent_hide_nobody(rigs: Rigs) -> None:
    rig = await rigs(agent("capped", "A", max_concurrency=1), agent("free", "B"), lane_window=WINDOW)
    for _ in range(MANY // 500):
        await rig.board.publish_many([publication("A", n) for n in range(500)])
    assert rig.writer.occupancy.ready["capped"] == MANY - 1
    await rig.publish("B", 1)
    (await rig.call("free")).give()
    await rig.event("run.completed")
    await rig.crash()
    await rig.start()
    await rig.publish("B", 2)
    (await rig.call("free", 2)).give()
    await rig.until(lambda: rig.kinds().count("run.completed") == 2)
    for _ in range(3 * WINDOW):
        done = rig.kinds().count("run.completed")
        (await rig.call("capped")).give()
        await rig.until(lambda done=done: rig.kinds().count("run.completed") == done + 1)  # type: ignore[misc]
        held = [len(lane.window) for lane in rig.supervisor._scheduler._lanes.values()]
        assert sum(held) <= 2 * WINDOW


async def test_more_ready_runs_than_places_in_all_go_by_priority(rigs: Rigs) -> None:
    rig = await rigs(
        agent("low", "A", priority=Priority.low),
        agent("normal", "A"),
        agent("high", "A", priority=Priority.high),
        limits=Limits(running=1),
    )
    await rig.publish("B")
    async with rig.one_group():
        for n in range(2):
            rig.soon(rig.publish("A", n))
    order = []
    for done in range(6):
        call = await rig.until(lambda: rig.working and rig.working[0])
        assert len(rig.working) == 1
        order.append(call.agent)
        call.give()
        await call.ended.wait()
        await rig.until(lambda n=done: rig.kinds().count("run.completed") == n + 1)  # type: ignore[misc]
    assert order == ["low", "high", "high", "normal", "normal", "low"], "the first one found an empty board"


async def test_a_workflow_of_many_runs_does_not_hold_up_one_of_few(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    many = (await rig.publish("E")).correlation_id
    for n in range(20):
        await rig.publish("A", n, many)
    await rig.publish("A", 100)
    (await rig.call("ab", 0)).give()
    started = []
    while 100 not in started:
        call = await rig.until(lambda: rig.working and not rig.working[0].result.done() and rig.working[0])
        started.append(call.inputs[0])
        call.give()
    assert len(started) <= 3


async def test_a_publication_never_overtakes_what_already_waits_for_its_agent(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=2))
    for n in range(3):
        await rig.publish("A", n)
    first = await rig.call("ab", 0)
    async with rig.one_group():
        first.give()
        await first.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        rig.soon(rig.publish("A", 3))
    await rig.call("ab", 2)
    assert await rig.states() == ["completed", "running", "running", "ready"]


async def test_a_workflow_that_was_paused_and_resumed_leaves_no_place_empty(rigs: Rigs) -> None:
    rig = await rigs(agent("one", "A", max_concurrency=2))
    for n in (1, 2):
        await rig.publish("A", n)
    first, second = await rig.call("one", 1), await rig.call("one", 2)
    paused = new_id()
    await rig.publish("A", 3, paused)
    await rig.board.pause_correlation(paused, True)
    await rig.board.pause_correlation(paused, False)
    await rig.publish("A", 4)
    async with rig.one_group():
        first.give()
        second.give()
    await rig.call("one", 3)
    await rig.call("one", 4)


async def test_what_was_cancelled_at_an_agent_that_stays_paused_is_forgotten(rigs: Rigs) -> None:
    paused = agent("a", "A", concurrency_key=compile_path("n"))
    rig = await rigs(paused)
    await rig.board.pause_agent(paused, True)
    workflow = new_id()
    for n in range(50):
        await rig.publish("A", n, workflow)
    await rig.board.cancel_correlation(workflow)
    await rig.publish("A", 7)
    rig.clock.advance(-1)  # as every half minute, everything is looked at again
    rig.supervisor.look_at_clock()
    await rig.until(lambda: len(rig.supervisor._scheduler._lanes) == 1)
    await rig.board.pause_agent(paused, False)
    await rig.call("a", 7)
