"""What the supervisor has to store and the disk does not take: nothing of it is lost, and no end waits for it."""

import asyncio
import threading

import pytest

from flockd.domain.run import RunState
from flockd.store.occupancy import Limits

from ..rig import LIMIT_SECONDS, Rig, Rigs, agent
from ..store.full_disk import full_for
from ..store.test_writer import wrapped


async def test_a_limit_ends_its_workflow_as_soon_as_there_is_room(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, connection = await wrapped(
        rigs, agent("ab", "A"), agent("ba", "B"), limits=Limits(correlation_runs=2)
    )
    disk = full_for(monkeypatch, connection, "Exhaust")
    published = await rig.publish("A")
    (await rig.call("ab")).give(B=[1, 2])
    await rig.event("correlation.failed")
    assert disk.refused == 1
    assert await rig.state(published.correlation_id) == "failed"


async def test_an_outcome_is_stored_although_something_cancels_its_task_meanwhile(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, connection = await wrapped(rigs)
    await rig.publish("A")
    call = await rig.call("ab")
    task = next(one for one in asyncio.all_tasks() if one.get_name().startswith("run ab"))
    disk = full_for(monkeypatch, connection, "Finish", times=2)
    loop = asyncio.get_running_loop()
    disk.on_refusal = lambda: loop.call_soon_threadsafe(loop.call_later, 0.1, task.cancel)
    call.give(B=1)
    await rig.event("run.completed")
    assert disk.refused == 2
    assert (await rig.states()) == ["completed"]


async def test_a_question_waits_for_room_and_is_no_failure_of_its_run(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, connection = await wrapped(rigs)
    disk = full_for(monkeypatch, connection, "Ask")
    await rig.publish("A")
    call = await rig.call("ab")
    asking = rig.soon(call.context.ask("Deploy?", type=bool))
    await rig.event("question.asked")
    assert disk.refused == 1
    assert (await rig.run(call.run_id)).state is RunState.waiting
    asking.cancel()


async def test_a_drain_does_not_wait_for_what_is_being_refused_while_it_is_cancelled(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, connection = await wrapped(rigs)
    await rig.publish("A")
    call = await rig.call("ab")
    call.stubborn = True
    disk = full_for(monkeypatch, connection, "Return", times=1_000_000)
    go_on = threading.Event()
    disk.on_refusal = lambda: go_on.wait(LIMIT_SECONDS)
    draining = rig.soon(rig.supervisor.drain(0, 0))
    async with asyncio.timeout(LIMIT_SECONDS):
        while not _is_any_cancelled(rig):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
        go_on.set()
        await draining
    await rig.crash()
    await rig.start()
    assert (await rig.call("ab")).context.attempt == 1


def _is_any_cancelled(rig: Rig) -> bool:
    """Whether something that is on its way to the board was told to end."""
    return any(chore.cancelling() for chore in rig.supervisor._chores)
