"""Publishing: which runs an artifact makes, and what one commit holds, in which order."""

import asyncio

import pytest

from flockd.domain.correlation import CorrelationState
from flockd.domain.priority import Priority
from flockd.domain.visibility import Private
from flockd.errors import Conflict, InvalidInput, Overloaded
from flockd.store.occupancy import Limits
from flockd.store.reads import ArtifactFilter

from ..rig import Rigs, agent, new_id, publication


async def test_an_artifact_that_wakes_nobody_starts_and_completes_its_correlation(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("B")
    assert published.fresh and published.round == 1 and published.run_id is None
    (commit,) = rig.commits
    assert [event.kind for event in commit.events] == [
        "correlation.started",
        "artifact.published",
        "correlation.completed",
    ]
    assert [event.seq for event in commit.events] == [1, 2, 3]
    assert published.seq == 2
    assert rig.data("correlation.started") == [{"round": 1, "dialect": "native", "name": ""}]
    assert rig.data("artifact.published") == [{"woke": [], "held": []}]
    assert rig.data("correlation.completed") == [
        {"round": 1, "artifact_count": 1, "error_count": 0, "unjoined": []}
    ]
    assert await rig.state(published.correlation_id) == "completed"


async def test_a_run_with_room_is_born_running_in_the_commit_of_its_artifact(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("A", 7)
    call = await rig.call("ab")
    assert call.inputs == (7,)
    (commit,) = rig.commits
    assert [event.kind for event in commit.events] == [
        "correlation.started",
        "artifact.published",
        "run.started",
    ]
    run = await rig.run(call.run_id)
    assert (run.state, run.fence, run.attempt) == ("running", 1, 1)
    assert rig.data("run.started") == [{"attempt": 1, "fence": 1, "inputs": [published.artifact_id]}]
    assert rig.woke(published) == [call.run_id]


async def test_a_finish_is_one_commit_with_outputs_end_and_what_they_wake(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("bc", "B"))
    published = await rig.publish("A")
    (await rig.call("ab")).give(B=[1, 2])
    await rig.call("bc", 1)
    await rig.call("bc", 2)
    _, finish = rig.commits
    assert [event.kind for event in finish.events] == [
        "artifact.published",
        "artifact.published",
        "run.completed",
        "run.started",
        "run.started",
    ]
    (completed,) = rig.data("run.completed")
    outputs = await rig.reads.artifacts(ArtifactFilter(types=("B",)), limit=10)
    assert completed["inputs"] == [published.artifact_id]
    assert completed["outputs"] == [artifact.id for artifact in outputs]
    assert await rig.state(published.correlation_id) == "active"
    for n in (1, 2):
        (await rig.call("bc", n)).give()
    await rig.event("correlation.completed")
    assert rig.kinds()[-2:] == ["run.completed", "correlation.completed"]


async def test_without_room_a_run_is_ready_and_starts_when_a_place_is_free(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    second = await rig.publish("A", 2)
    assert rig.kinds(second.correlation_id) == ["correlation.started", "artifact.published"]
    assert await rig.states() == ["running", "ready"]
    assert rig.busy("ab") == 1
    (await rig.call("ab", 1)).give()
    call = await rig.call("ab", 2)
    assert await rig.states() == ["completed", "running"]
    call.give()
    await rig.event("correlation.completed", correlation_id=second.correlation_id)
    assert (rig.busy("ab"), rig.writer.occupancy.ready.total) == (0, 0)


async def test_an_or_wakes_for_each_of_its_types(rigs: Rigs) -> None:
    rig = await rigs(agent("any", "A", "B", mode="any"))
    await rig.publish("A", 1)
    await rig.publish("B", 2)
    assert (await rig.call("any", 1)).inputs == (1,)
    assert (await rig.call("any", 2)).inputs == (2,)


async def test_an_and_waits_inside_one_correlation(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B"))
    one, two = new_id(), new_id()
    first = await rig.publish("A", 1, one)
    await rig.publish("B", 2, two)
    assert await rig.states() == []
    (held, _) = rig.data("artifact.published")
    assert held == {"woke": [], "held": ["join"]}
    (ended,) = rig.data("correlation.completed", one)
    assert ended["unjoined"] == [{"agent": "join", "artifacts": [first.artifact_id]}]
    again = await rig.publish("B", 3, one)
    assert again.round == 2, "A(w1) and B(w2) meet in a later round"
    assert (await rig.call("join")).inputs == (1, 3)
    assert await rig.reads.unjoined(one) == []
    assert len(await rig.reads.unjoined(two)) == 1


async def test_an_and_of_one_type_twice_takes_two_of_it_and_a_surplus_waits(rigs: Rigs) -> None:
    rig = await rigs(agent("pair", "A", "A"))
    one = new_id()
    for n in (1, 2, 3):
        await rig.publish("A", n, one)
    call = await rig.call("pair")
    assert call.inputs == (1, 2)
    assert len((await rig.reads.unjoined(one))[0]["artifacts"]) == 1
    await rig.publish("A", 4, one)
    assert (await rig.call("pair", 3)).inputs == (3, 4)


async def test_an_and_takes_its_inputs_in_the_order_of_its_types_and_the_oldest_first(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B"))
    one = new_id()
    for type, n in (("B", 1), ("B", 2), ("A", 3)):
        await rig.publish(type, n, one)
    assert (await rig.call("join")).inputs == (3, 1)


async def test_both_halves_of_an_and_in_one_group_meet(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B"))
    one = new_id()
    async with rig.one_group():
        rig.soon(rig.publish("A", 1, one))
        rig.soon(rig.publish("B", 2, one))
    assert (await rig.call("join")).inputs == (1, 2)
    assert len(rig.commits) == 1
    published = rig.data("artifact.published")
    assert published[0]["held"] == ["join"] and len(published[1]["woke"]) == 1


async def test_what_an_and_holds_survives_a_restart(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B"))
    one = new_id()
    await rig.publish("A", 1, one)
    await rig.crash()
    await rig.start()
    await rig.publish("B", 2, one)
    assert (await rig.call("join")).inputs == (1, 2)


async def test_a_publication_into_an_active_correlation_joins_its_round(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("A", 1, one)
    second = await rig.publish("B", 2, one)
    assert (second.round, second.fresh) == (1, False)
    assert rig.kinds(one).count("correlation.started") == 1


async def test_a_publication_into_a_finished_correlation_opens_its_next_round(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("A", 1, one)
    (await rig.call("ab")).fail()
    await rig.event("correlation.failed")
    second = await rig.publish("A", 2, one)
    assert (second.round, second.fresh) == (2, False)
    (await rig.call("ab")).give(B=1)
    await rig.event("correlation.completed")
    found = await rig.reads.correlation(one)
    assert found is not None
    assert (found.state, found.round, found.error_count, found.round_errors) == (
        CorrelationState.completed,
        2,
        1,
        0,
    )
    assert [data["round"] for data in rig.data("correlation.started", one)] == [1, 2]


async def test_a_cancelled_correlation_takes_no_more_artifacts(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("A", 1, one)
    await rig.board.cancel_correlation(one)
    with pytest.raises(Conflict, match=f"Correlation {one} was cancelled"):
        await rig.publish("A", 2, one)
    with pytest.raises(Conflict):
        await rig.board.run_agent(rig.agents[0], [publication("A", 3, one)])
    assert await rig.states() == ["cancelled"]


async def test_the_priority_of_a_later_publication_is_kept(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("B", 1, one)
    await rig.publish("B", 2, one, priority=Priority.high)
    await rig.crash()
    await rig.start()
    await rig.publish("A", 3, one)
    assert (await rig.run((await rig.call("ab")).run_id)).priority is Priority.high


async def test_a_bulk_stores_what_is_valid_and_says_what_is_not(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    gone = new_id()
    await rig.publish("A", 0, gone)
    await rig.board.cancel_correlation(gone)
    items = [publication("A", 1), publication("Z"), publication("A", 2, gone), publication("B", 3)]
    outcome = await rig.board.publish_many(items)
    kinds = [type(result).__name__ for result in outcome.results]
    assert kinds == ["Published", "InvalidInput", "Conflict", "Published"]
    before = len(rig.commits)
    with pytest.raises(InvalidInput, match=r"items\.2"):
        await rig.board.publish_many([items[0], items[3], items[2]], atomic=True)
    assert len(rig.commits) == before
    assert (await rig.reads.totals())["artifacts"] == 3


async def test_a_cancelled_caller_tears_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    async with rig.one_group():
        leaving = rig.soon(rig.publish("A", 1))
        await asyncio.sleep(0)
        leaving.cancel()
    assert (await rig.call("ab")).inputs == (1,)
    assert leaving.cancelled()


async def test_too_many_ready_runs_refuse_new_work_until_some_have_started(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1), limits=Limits(ready_runs=2))
    for n in range(3):
        await rig.publish("A", n)
    with pytest.raises(Overloaded, match=r"2 runs are waiting \(limits.ready_runs\)"):
        await rig.publish("B")
    with pytest.raises(Overloaded):
        await rig.board.publish_many([publication("B")])
    with pytest.raises(Overloaded):
        await rig.board.run_agent(rig.agents[0], [publication("A")])
    (await rig.call("ab", 0)).give()
    await rig.call("ab", 1)
    await rig.publish("B")


async def test_a_run_that_reaches_the_limit_of_runs_ends_its_correlation(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("ba", "B"), limits=Limits(correlation_runs=3))
    published = await rig.publish("A")
    (await rig.call("ab")).give(B=[1, 2, 3])
    ended = await rig.event("correlation.failed")
    assert ended.correlation_id == published.correlation_id
    (data,) = rig.data("correlation.failed")
    assert data["reason"] == "limits.correlation_runs: it made 3 runs"
    assert data["outcome"] is None
    assert await rig.states() == ["completed", "cancelled", "cancelled"]
    await rig.until(lambda: not rig.working)


async def test_a_loop_that_runs_too_deep_ends_as_failed(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("ba", "B"), limits=Limits(correlation_depth=3))
    await rig.publish("A")
    for name, output in (("ab", "B"), ("ba", "A"), ("ab", "B")):
        (await rig.call(name)).give(**{output: 1})
    await rig.event("correlation.failed")
    (data,) = rig.data("correlation.failed")
    assert data["reason"] == "limits.correlation_depth: it is 4 hops from its publication"
    assert await rig.states() == ["completed"] * 3


async def test_what_a_limit_refuses_an_and_stays_held(rigs: Rigs) -> None:
    rig = await rigs(agent("join", "A", "B"), limits=Limits(correlation_runs=1))
    one = new_id()
    for n in (1, 2):
        await rig.publish("A", n, one)
    await rig.publish("B", 3, one)
    (await rig.call("join")).give()
    await rig.event("run.completed")
    fourth = await rig.publish("B", 4, one)
    (data,) = rig.data("correlation.failed", one)
    assert data["unjoined"][0]["artifacts"][-1] == fourth.artifact_id
    assert len(data["unjoined"][0]["artifacts"]) == 2


async def test_outputs_inherit_tags_partition_and_visibility(rigs: Rigs) -> None:
    rig = await rigs(
        agent("ab", "A", tags=("mine",)),
        agent("join", "C", "D"),
        agent("open", "E", visibility=Private(agents=("ab",))),
    )
    hidden = Private(agents=("ab", "join"))
    await rig.publish("A", 1, tags=("x", "y"), partition_key="p", visibility=hidden)
    (await rig.call("ab")).give(B=1)
    one = new_id()
    await rig.publish("C", 2, one, tags=("x", "y"), partition_key="p")
    await rig.publish("D", 3, one, tags=("y", "z"), partition_key="q", visibility=Private(agents=("join",)))
    (await rig.call("join")).give(B=2)
    await rig.publish("E", 4)
    (await rig.call("open")).give(B=3)
    await rig.until(lambda: rig.kinds().count("run.completed") == 3)
    outputs = await rig.reads.artifacts(ArtifactFilter(types=("B",)), limit=10)
    assert [(one.tags, one.partition_key, one.visibility) for one in outputs] == [
        (("x", "y", "mine"), "p", hidden),
        (("y",), None, Private(agents=("join",))),
        ((), None, Private(agents=("ab",))),
    ]


async def test_a_private_artifact_wakes_only_whom_it_names(rigs: Rigs) -> None:
    rig = await rigs(agent("one", "A"), agent("two", "A"))
    published = await rig.publish("A", visibility=Private(agents=("two",)))
    assert rig.woke(published) == [(await rig.call("two")).run_id]
