"""Cancelling runs and workflows: before, during and after what it meets, also inside one transaction."""

import asyncio

import orjson
import pytest

from flockd.errors import NotFound
from flockd.store.reads import ArtifactFilter

from ..rig import Rig, Rigs, agent, new_id


async def test_a_running_run_is_cancelled_and_its_place_is_free_when_its_engine_has_ended(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    first = await rig.publish("A", 1)
    await rig.publish("A", 2)
    call = await rig.call("ab", 1)
    call.stubborn = True
    run = await rig.board.cancel_run(call.run_id)
    assert (run.state, run.fence) == ("cancelled", 2)
    assert rig.kinds(first.correlation_id)[-2:] == ["run.cancelled", "correlation.failed"]
    (data,) = rig.data("correlation.failed")
    assert (data["outcome"], data["reason"], data["error_count"]) == ("cancelled", None, 0)
    await rig.until(call.cancelled.is_set)
    assert rig.busy("ab") == 1, "the place is taken until the engine has really ended"
    assert [one.inputs for one in rig.working] == [(1,)]
    call.give(B=1)
    await rig.call("ab", 2)
    assert await rig.reads.artifacts(ArtifactFilter(types=("B",)), limit=1) == [], (
        "the late result is refused"
    )


async def test_a_ready_run_is_cancelled(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    second = await rig.publish("A", 2)
    await rig.board.cancel_run(rig.woke(second)[0])
    (await rig.call("ab", 1)).give()
    third = await rig.publish("A", 3)
    await rig.call("ab", 3)
    assert await rig.states() == ["completed", "cancelled", "running"]
    assert rig.woke(third)


async def test_a_waiting_run_is_cancelled(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1))
    published = await rig.publish("A")
    (await rig.call("ab")).fail()
    await rig.event("run.retrying")
    run = await rig.board.cancel_run(rig.woke(published)[0])
    assert (run.state, run.reason, run.due_at) == ("cancelled", None, None)
    rig.clock.advance(3600)
    await rig.board.wake(rig.clock())
    assert await rig.states() == ["cancelled"]


async def test_cancelling_what_has_ended_changes_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("A")
    (await rig.call("ab")).give(B=1)
    await rig.event("correlation.completed")
    before = len(rig.commits)
    assert (await rig.board.cancel_run(rig.woke(published)[0])).state == "completed"
    assert (await rig.board.cancel_correlation(published.correlation_id)).state == "completed"
    assert len(rig.commits) == before
    with pytest.raises(NotFound):
        await rig.board.cancel_run(new_id())
    with pytest.raises(NotFound):
        await rig.board.cancel_correlation(new_id())


async def test_cancelling_a_run_of_a_workflow_with_output_leaves_it_completed(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("bc", "B"))
    await rig.publish("A")
    (await rig.call("ab")).give(B=1)
    await rig.board.cancel_run((await rig.call("bc")).run_id)
    assert rig.kinds()[-2:] == ["run.cancelled", "correlation.completed"]


async def test_a_workflow_is_cancelled_with_everything_under_it(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1), agent("slow", "B", retries=1))
    one = new_id()
    await rig.publish("B", 0, one)
    (await rig.call("slow")).fail()
    await rig.event("run.retrying")
    for n in (1, 2):
        await rig.publish("A", n, one)
    call = await rig.call("ab", 1)
    call.context.write("so far")
    cancelled = await rig.board.cancel_correlation(one)
    assert (cancelled.state, cancelled.open, cancelled.outcome) == ("cancelled", 0, "cancelled")
    assert rig.kinds()[-4:] == ["run.cancelled"] * 3 + ["correlation.cancelled"]
    await rig.until(lambda: not rig.working and rig.busy("ab") == 0)
    assert await rig.states() == ["cancelled"] * 3
    assert (await rig.run(call.run_id)).output_text == "so far"


async def finish_and_cancel(rig: Rig, cancel_first: bool, whole: bool) -> tuple[str, str]:
    """Queue the finish of a run and its cancelling in one transaction; answers the states of both."""
    published = await rig.publish("A")
    call = await rig.call("ab")

    async def cancel() -> None:
        await (
            rig.board.cancel_correlation(published.correlation_id)
            if whole
            else rig.board.cancel_run(call.run_id)
        )

    before = len(rig.commits)
    async with rig.one_group():
        if cancel_first:
            rig.soon(cancel())
            await asyncio.sleep(0)
        call.give(B=1)
        await call.ended.wait()
        if not cancel_first:
            for _ in range(5):
                await asyncio.sleep(0)
            rig.soon(cancel())
    assert len(rig.commits) == before + 1
    await rig.until(lambda: rig.observed and rig.busy("ab") == 0)
    return (await rig.run(call.run_id)).state.value, await rig.state(published.correlation_id)


@pytest.mark.parametrize("whole", [False, True])
async def test_a_finish_before_its_cancelling_wins_whole(rigs: Rigs, whole: bool) -> None:
    rig = await rigs(agent("ab", "A"))
    assert await finish_and_cancel(rig, False, whole) == ("completed", "completed")
    assert rig.observed == ["completed"]
    assert "run.cancelled" not in rig.kinds()


@pytest.mark.parametrize("whole", [False, True])
async def test_a_finish_after_its_cancelling_loses_whole(rigs: Rigs, whole: bool) -> None:
    rig = await rigs(agent("ab", "A"))
    assert await finish_and_cancel(rig, True, whole) == ("cancelled", "cancelled" if whole else "failed")
    assert rig.observed == ["superseded"]
    assert rig.kinds().count("artifact.published") == 1


async def test_a_finish_whose_outputs_wake_others_before_the_cancelling_of_all(rigs: Rigs) -> None:
    """The run that the finish wakes is claimed and cancelled in one transaction: no engine ever starts for it."""
    rig = await rigs(agent("ab", "A"), agent("bc", "B"))
    published = await rig.publish("A")
    call = await rig.call("ab")
    async with rig.one_group():
        call.give(B=1)
        await call.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        rig.soon(rig.board.cancel_correlation(published.correlation_id))
    assert rig.kinds()[3:] == [
        "artifact.published",
        "run.completed",
        "run.started",
        "run.cancelled",
        "correlation.cancelled",
    ]
    await rig.passed()
    assert rig.working == []
    assert rig.busy("bc") == 0
    assert rig.commits[-1].started == [] and rig.commits[-1].cancelled_runs == []


async def test_a_run_that_is_claimed_and_cancelled_in_one_group(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    second = await rig.publish("A", 2)
    (run_id,) = rig.woke(second)
    first = await rig.call("ab", 1)
    async with rig.one_group():
        first.give()
        await first.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        claimed = rig.soon(rig.board.claim([run_id]))
        await asyncio.sleep(0)
        rig.soon(rig.board.cancel_run(run_id))
    assert await claimed == [run_id]
    assert rig.kinds(second.correlation_id)[-3:] == ["run.started", "run.cancelled", "correlation.failed"]
    assert rig.busy("ab") == 0
    assert rig.working == []


async def test_a_run_that_is_cancelled_before_its_engine_has_begun_frees_its_place(rigs: Rigs) -> None:
    """Both commits are told before the run's task takes its first step."""
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    one = new_id()
    told = []
    real = rig.supervisor.committed

    def committed(committed: object) -> None:
        told.append(committed)
        if len(told) == 2:
            for each in told:
                real(each)  # type: ignore[arg-type]
            rig.supervisor.committed = real  # type: ignore[method-assign]

    rig.supervisor.committed = committed  # type: ignore[method-assign]
    await rig.publish("A", 1, one)
    await rig.board.cancel_correlation(one)
    await rig.until(lambda: rig.busy("ab") == 0)
    await rig.until(lambda: rig.supervisor.working == 0)
    await rig.publish("A", 2)
    assert (await rig.call("ab")).inputs == (2,)


async def test_a_cancelled_workflow_that_is_published_to_in_the_same_group_refuses(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    one = new_id()
    await rig.publish("A", 1, one)
    async with rig.one_group():
        rig.soon(rig.board.cancel_correlation(one))
        late = rig.soon(rig.publish("A", 2, one))
    assert "was cancelled" in str((await asyncio.gather(late, return_exceptions=True))[0])
    assert await rig.states(one) == ["cancelled"]


async def test_the_end_of_the_live_text_is_kept_with_every_end(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1), output_bytes=10)
    await rig.publish("A", 1)
    call = await rig.call("ab")
    call.context.write("0123456789")
    call.context.write("é\ud800z")
    call.fail()
    await rig.event("run.retrying")
    assert (await rig.run(call.run_id)).output_text == "456789é?z"
    assert [orjson.loads(event.data)["offset"] for event in rig.live] == [0, 10]
    rig.clock.advance(3600)
    await rig.board.wake(rig.clock())
    again = await rig.call("ab")
    again.context.write("x" * 50)
    again.give()
    await rig.event("run.completed")
    assert (await rig.run(call.run_id)).output_text == "x" * 10
