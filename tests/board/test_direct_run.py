"""Direct runs: one agent, exactly once, on inputs that wake nobody else."""

import pytest

from flockd.domain.priority import Priority
from flockd.errors import Conflict, InvalidInput, NotFound
from flockd.store.occupancy import Limits

from ..rig import Rigs, agent, new_id, publication


async def test_it_wakes_nobody_and_neither_do_its_outputs(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("other", "A", "B", mode="any"))
    published = await rig.board.run_agent(rig.agents[0], [publication("A", 1)])
    call = await rig.call("ab")
    assert published.run_id == call.run_id
    assert rig.kinds() == ["correlation.started", "artifact.published", "run.started"]
    assert rig.data("correlation.started")[0]["name"] == "ab"
    assert rig.woke(published) == [call.run_id]
    call.give(B=1)
    await rig.event("correlation.completed")
    assert await rig.states() == ["completed"]


async def test_with_cascade_its_outputs_wake_others(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("bc", "B"))
    await rig.board.run_agent(rig.agents[0], [publication("A")], cascade=True)
    (await rig.call("ab")).give(B=1)
    (await rig.call("bc")).give()
    await rig.event("correlation.completed")


async def test_without_cascade_a_retry_and_a_redrive_wake_nobody_either(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1), agent("bc", "B"))
    published = await rig.board.run_agent(rig.agents[0], [publication("A")])
    assert published.run_id is not None
    (await rig.call("ab")).fail()
    await rig.event("run.retrying")
    rig.clock.advance(3600)
    await rig.board.wake(rig.clock())
    (await rig.call("ab")).fail()
    await rig.event("run.failed")
    await rig.retry(published.run_id)
    (await rig.call("ab")).give(B=1)
    await rig.event("correlation.completed")
    assert await rig.states() == ["completed"]


async def test_an_and_takes_its_inputs_in_the_order_of_its_types(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B", "A"))
    await rig.board.run_agent(rig.agents[0], [publication("B", 1), publication("A", 2), publication("A", 3)])
    assert (await rig.call("join")).inputs == (2, 1, 3)
    assert await rig.reads.unjoined(rig.events[0].correlation_id or "") == []


async def test_an_agent_that_only_its_schedule_starts_takes_no_inputs(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper"), agent("b", "B"))
    correlation_id = new_id()
    published = await rig.board.run_agent(
        rig.agents[0], [], cascade=True, correlation_id=correlation_id, priority=Priority.high
    )
    call = await rig.call("sweeper")
    assert (published.correlation_id, published.run_id) == (correlation_id, call.run_id)
    assert (published.artifact_id, published.seq) == ("", rig.events[0].seq)
    assert rig.kinds() == ["correlation.started", "run.started"]
    assert (await rig.run(call.run_id)).priority is Priority.high
    call.give(B=1)
    (await rig.call("b")).give()
    await rig.event("correlation.completed")
    with pytest.raises(InvalidInput, match="sweeper takes no artifact"):
        await rig.board.run_agent(rig.agents[0], [publication("A")])


@pytest.mark.parametrize("types", ["", "B", "AA", "ABC"])
async def test_inputs_that_do_not_fit_are_refused(rigs: Rigs, types: str) -> None:
    rig = await rigs(agent("join", "A", "B"))
    with pytest.raises(InvalidInput, match="join takes A and B, one artifact of each"):
        await rig.board.run_agent(rig.agents[0], [publication(type) for type in types])
    assert rig.commits == []


async def test_in_an_active_correlation_it_is_refused_and_in_a_finished_one_it_is_the_next_round(
    rigs: Rigs,
) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("A", 1, one)
    with pytest.raises(Conflict, match="is active"):
        await rig.board.run_agent(rig.agents[0], [publication("A", 2, one)])
    (await rig.call("ab", 1)).give()
    await rig.event("correlation.completed")
    second = await rig.board.run_agent(rig.agents[0], [publication("A", 2, one)])
    assert (second.round, second.fresh) == (2, False)
    await rig.call("ab", 2)


async def test_it_respects_the_limits_of_its_agent_and_of_its_correlation(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1), limits=Limits(correlation_runs=1))
    one = new_id()
    await rig.board.run_agent(rig.agents[0], [publication("A", 1, one)])
    await rig.board.run_agent(rig.agents[0], [publication("A", 2)])
    assert await rig.states() == ["running", "ready"]
    (await rig.call("ab", 1)).give()
    await rig.event("correlation.completed", correlation_id=one)
    with pytest.raises(Conflict, match=r"limits\.correlation_runs"):
        await rig.board.run_agent(rig.agents[0], [publication("A", 3, one)])


async def test_an_unknown_run_is_not_found(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    with pytest.raises(NotFound):
        await rig.retry(new_id())
