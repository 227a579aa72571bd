"""What a restart finds: runs that were cut off, orphans, retries that waited, and what a drain left behind."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from flockd.engines.memory import RunSuperseded
from flockd.store.occupancy import Limits
from flockd.store.reads import Reads, ReadyRun
from flockd.store.reads.base import PAGE_MAX
from flockd.supervisor.lane import LaneKey

from ..rig import LIMIT_SECONDS, Rig, Rigs, agent, new_id, publication

HOUR_SECONDS = 3600


async def restart(rig: Rig, *agents: object) -> None:
    await rig.crash()
    if agents:
        rig.agents = agents  # type: ignore[assignment]
    await rig.start()


async def test_a_run_that_was_cut_off_starts_again_under_a_higher_fence(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("A", 1)
    await rig.call("ab")
    await restart(rig)
    call = await rig.call("ab")
    assert call.context.attempt == 1, "a restart is no failure"
    run = await rig.run(call.run_id)
    assert (run.state, run.attempt, run.crashes, run.fence) == ("running", 1, 1, 3)
    assert rig.data("run.retrying") == [{"attempt": 1, "reason": "restart", "error": None, "due_at": None}]
    call.give(B=1)
    await rig.event("correlation.completed", correlation_id=published.correlation_id)


async def test_a_late_finish_under_an_old_fence_is_refused(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", 1)
    stale = await rig.run((await rig.call("ab")).run_id)
    await restart(rig)
    call = await rig.call("ab")
    late = rig.board.preparing.finishing(stale, rig.agents[0], call.context.inputs, [], None)
    assert await rig.board.end(late) is False
    assert await rig.board.progress(stale, 0.5, None, None) is False
    call.give()
    await rig.event("run.completed")
    again = rig.board.preparing.finishing(stale, rig.agents[0], call.context.inputs, [], None)
    assert await rig.board.end(again) is False
    assert rig.kinds().count("run.completed") == 1


async def test_a_run_that_ends_the_process_over_and_over_is_dead(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=5), limits=Limits(run_crashes=3))
    published = await rig.publish("A")
    for _ in range(3):
        await rig.call("ab")
        await restart(rig)
    run = await rig.run(rig.woke(published)[0])
    assert (run.state, run.crashes) == ("dead", 3)
    assert rig.data("run.failed")[0]["error"] == {
        "code": "CRASHED",
        "message": "The process ended 3 times while this run was running (limits.run_crashes).",
    }
    assert await rig.state(published.correlation_id) == "failed"
    assert rig.working == []


async def test_suspects_start_one_at_a_time_while_others_go_on(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=4), lane_window=2)
    for n in range(4):
        await rig.publish("A", n)
    for _ in range(2):
        await rig.until(lambda: len(rig.working) == 4)
        await restart(rig)
    await rig.until(lambda: len(rig.working) == 1)
    for n in range(10, 13):
        await rig.publish("A", n)
    await rig.until(lambda: len(rig.working) == 4)
    for done in range(1, 5):
        suspect = await rig.until(lambda: next((one for one in rig.working if one.inputs[0] < 10), None))
        assert sum(one.inputs[0] < 10 for one in rig.working) == 1
        suspect.give()
        await rig.until(lambda n=done: rig.kinds().count("run.completed") == n)  # type: ignore[misc]
    await rig.until(lambda: len(rig.working) == 3)


async def test_suspects_of_a_paused_agent_do_not_hold_up_those_of_another(rigs: Rigs) -> None:
    paused = agent("a", "A", max_concurrency=3)
    rig = await rigs(paused, agent("b", "B", max_concurrency=3), lane_window=2)
    for n in range(3):
        await rig.publish("A", n)
    for n in range(3):
        await rig.publish("B", n)
    await rig.until(lambda: len(rig.working) == 6)
    await restart(rig)
    await rig.until(lambda: len(rig.working) == 6)
    await rig.board.pause_agent(paused, True)
    await restart(rig)
    for done in range(1, 4):
        (await rig.call("b")).give()
        await rig.until(lambda n=done: rig.kinds().count("run.completed") == n)  # type: ignore[misc]
    await rig.board.pause_agent(paused, False)
    await rig.call("a")


async def test_a_start_reads_many_lanes_at_once(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many keys that their first runs are three pages; of one key there is more than a window."""
    reads: list[int] = []
    ready_pages = Reads.ready_pages

    async def counting(self: Reads, lanes: Sequence[LaneKey], limit: int) -> dict[LaneKey, list[ReadyRun]]:
        pages = await ready_pages(self, lanes, limit)
        reads.append(sum(map(len, pages.values())))
        return pages

    rig = await rigs(
        agent("a", "A", max_concurrency=1, concurrency_key=lambda document: document["n"]),
        limits=Limits(running=1),
        lane_window=16,
    )
    numbers = [*range(1100), *[1] * 50]
    await rig.board.publish_many([publication("A", n) for n in numbers], atomic=True)
    (await rig.call("a", 0)).give()
    await rig.until(lambda: rig.working and rig.working[0].inputs != (0,))
    await rig.board.pause_agent(rig.board.agents["a"], True)
    await rig.crash()
    monkeypatch.setattr(Reads, "ready_pages", counting)
    rig.limits = Limits(running=2000)
    await rig.start()
    await rig.passed()
    assert reads == [], "nothing may start"
    await rig.board.pause_agent(rig.board.agents["a"], False)
    await rig.until(lambda: len(rig.working) == 1099)
    assert len(reads[:3]) == 3 and sum(reads[:3]) == 1098 + 16
    assert max(reads) <= PAGE_MAX
    for _ in range(51):
        call = await rig.call("a", 1)
        call.give()
        await call.ended.wait()
    await rig.until(
        lambda: rig.writer.occupancy.ready.total == 0 and not rig.busy(rig.board.agents["a"].place("1"))
    )


async def test_a_waiting_retry_wakes_after_a_restart(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", retries=1))
    await rig.publish("A")
    (await rig.call("ab")).fail()
    await rig.event("run.retrying")
    await rig.crash()
    rig.clock.advance(HOUR_SECONDS)
    await rig.start()
    assert (await rig.call("ab")).context.attempt == 2


async def test_a_ready_run_without_its_agent_waits_and_goes_on_when_it_is_back(rigs: Rigs) -> None:
    mine, other = agent("ab", "A", max_concurrency=1), agent("bc", "B")
    rig = await rigs(mine, other)
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    await rig.call("ab")
    await restart(rig, other)
    assert await rig.states() == ["waiting", "waiting"]
    assert [data["reason"] for data in rig.data("run.waiting")] == ["agent_missing"] * 2
    await restart(rig, mine, other)
    (await rig.call("ab", 1)).give()
    (await rig.call("ab", 2)).give()
    await rig.until(lambda: rig.kinds().count("correlation.completed") == 2)


async def test_an_orphan_is_dead_after_its_time(rigs: Rigs) -> None:
    mine, other = agent("ab", "A"), agent("bc", "B")
    rig = await rigs(mine, other, limits=Limits(orphan_ms=HOUR_SECONDS * 1000))
    await rig.publish("A", 1)
    await rig.call("ab")
    await restart(rig, other)
    rig.clock.advance(HOUR_SECONDS)
    await rig.board.wake(rig.clock())
    await rig.event("correlation.failed")
    assert rig.data("run.failed")[0]["error"]["code"] == "AGENT_MISSING"


async def test_a_retry_whose_agent_is_gone_becomes_an_orphan_and_holds_nobody_up(rigs: Rigs) -> None:
    mine, other = agent("ab", "A", retries=1), agent("bc", "B", retries=1)
    rig = await rigs(mine, other)
    for name, type in (("ab", "A"), ("bc", "B")):
        await rig.publish(type)
        (await rig.call(name)).fail()
    await rig.until(lambda: len(rig.data("run.retrying")) == 2)
    await restart(rig, other)
    rig.clock.advance(HOUR_SECONDS)
    await rig.board.wake(rig.clock())
    await rig.call("bc")
    assert await rig.states() == ["waiting", "running"]
    await restart(rig, mine, other)
    assert (await rig.call("ab")).context.attempt == 2


async def test_a_dead_run_without_its_agent_can_be_redriven_and_waits(rigs: Rigs) -> None:
    mine, other = agent("ab", "A"), agent("bc", "B")
    rig = await rigs(mine, other)
    await rig.publish("A")
    dead = await rig.call("ab")
    dead.fail()
    await rig.event("run.failed")
    await restart(rig, other)
    run = await rig.retry(dead.run_id)
    assert (run.state, run.reason) == ("waiting", "agent_missing")
    await restart(rig, mine, other)
    await rig.call("ab")


async def test_a_workflow_that_reached_a_limit_just_before_a_crash_is_ended(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"), agent("ba", "B"), limits=Limits(correlation_runs=2))
    published = await rig.publish("A")
    real = rig.supervisor.committed
    rig.supervisor.committed = lambda one: real(one._replace(exhausted=[]))  # type: ignore[method-assign]
    (await rig.call("ab")).give(B=[1, 2])
    await rig.call("ba")
    await restart(rig)
    assert rig.data("correlation.failed")[0]["reason"] == "limits.correlation_runs: it made 2 runs"
    assert await rig.state(published.correlation_id) == "failed"


# -- draining -----------------------------------------------------------------------------------------------------


async def test_a_drain_lets_what_works_end_and_starts_nothing_more(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    call = await rig.call("ab", 1)
    draining = asyncio.ensure_future(rig.stop(grace_seconds=20))
    await rig.passed()
    third = await rig.publish("B", 3)
    assert third.seq
    call.give(B=1)
    await draining
    assert rig.kinds().count("run.started") == 1
    await rig.start()
    await rig.call("ab", 2)
    assert (await rig.states()) == ["completed", "running"]


async def test_past_the_grace_runs_go_back_to_the_queue_uncounted(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("A", 1)
    call = await rig.call("ab")
    call.context.write("half")
    await rig.stop(grace_seconds=0)
    assert rig.observed == ["returned"]
    await rig.start()
    again = await rig.call("ab")
    run = await rig.run(rig.woke(published)[0])
    assert (run.attempt, run.crashes, run.output_text) == (1, 0, "half")
    assert again.context.attempt == 1
    assert rig.data("run.retrying")[0]["reason"] == "restart"


async def test_an_engine_that_goes_on_after_the_end_gets_no_further_than_its_next_step(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A")
    call = await rig.call("ab")
    call.stubborn = True
    await rig.supervisor.drain(0, 0)
    await rig.writer.close()
    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(RunSuperseded):
            await call.context.step("pay", lambda: 1)


async def test_an_engine_that_fails_because_it_is_stopped_is_not_counted_either(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    await rig.publish("A", 1)
    call = await rig.call("ab")
    call.stubborn = True
    draining = asyncio.ensure_future(rig.stop(grace_seconds=0))
    await rig.until(call.cancelled.is_set)
    call.fail(OSError("the connection was closed"))
    await draining
    await rig.start()
    run = await rig.run((await rig.call("ab")).run_id)
    assert (run.attempt, run.crashes) == (1, 0)


async def test_a_run_that_is_claimed_while_the_drain_begins_goes_back_uncounted(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    async with rig.one_group():
        publishing = rig.soon(rig.publish("A", 1))
        await asyncio.sleep(0)
        rig.writer.occupancy.closed = False
        draining = asyncio.ensure_future(rig.stop(grace_seconds=0))
    await publishing
    await draining
    await rig.start()
    run = await rig.run((await rig.call("ab")).run_id)
    assert run.crashes == 0


async def test_stopping_twice_and_stopping_what_never_started_is_fine(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "board.db", agent("ab", "A"))
    await rig.stop()
    await rig.start()
    await rig.supervisor.drain(0, 1)
    await rig.stop()
    await rig.writer.close()
    assert rig.verify() == []


# -- resetting ----------------------------------------------------------------------------------------------------


async def test_a_reset_empties_the_board_and_stops_what_works_on_it(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    call = await rig.call("ab")
    head = rig.events[-1].seq
    await rig.board.reset()
    await rig.until(lambda: call.cancelled.is_set() and rig.busy("ab") == 0)
    assert rig.writer.occupancy.ready.total == 0
    assert await rig.reads.totals() == {"artifacts": 0, "executions": 0}
    position = await rig.reads.log_position()
    assert (position.head, position.complete_from) == (head, head + 1)
    assert (await rig.publish("B")).seq > head, "no seq is given out again"
    await rig.crash()
    await rig.start()
    assert (await rig.publish("B")).seq > head + 3


async def test_a_reset_in_the_middle_of_a_group(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    one = new_id()
    await rig.publish("B", 0, one)
    await rig.publish("A", 1)
    first = await rig.call("ab", 1)
    async with rig.one_group():
        first.give(B=1)
        await first.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        rig.soon(rig.board.reset())
        after = rig.soon(rig.publish("A", 2, one))
    (emptied,) = [commit for commit in rig.commits if commit.emptied_from is not None]
    published = await after
    assert (published.round, published.fresh) == (1, True), "what was there before is gone"
    assert (await rig.reads.log_position()).complete_from == emptied.emptied_from == emptied.events[0].seq
    await rig.call("ab", 2)
    assert rig.busy("ab") == 1


async def test_a_run_that_is_claimed_in_the_group_of_a_reset_never_starts(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", max_concurrency=1))
    await rig.publish("A", 1)
    second = await rig.publish("A", 2)
    first = await rig.call("ab", 1)
    async with rig.one_group():
        first.give()
        await first.ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        rig.soon(rig.board.claim(rig.woke(second)))
        await asyncio.sleep(0)
        rig.soon(rig.board.reset())
    assert rig.busy("ab") == 0
    assert rig.working == []
    await rig.until(lambda: rig.supervisor.working == 0)


@pytest.mark.parametrize("agents", [1, 5])
async def test_many_runs_that_were_cut_off_are_all_taken_up(rigs: Rigs, agents: int) -> None:
    names = [f"a{number}" for number in range(agents)]
    rig = await rigs(*(agent(name, "A", max_concurrency=20) for name in names), limits=Limits(running=30))
    for n in range(30):
        await rig.publish("A", n)
    await rig.until(lambda: len(rig.working) == min(30, 20 * agents))
    await restart(rig)
    ended: set[tuple[str, int]] = set()
    while len(ended) < 30 * agents:
        call = await rig.until(lambda: next((one for one in rig.working if not one.result.done()), None))
        ended.add((call.agent, call.inputs[0]))
        call.give()
    await rig.until(lambda: rig.kinds().count("correlation.completed") == 30)
    assert rig.kinds().count("run.completed") == 30 * agents


async def test_what_began_since_is_not_taken_back_where_a_recovery_is_tried_again(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A"))
    published = await rig.publish("A")
    call = await rig.call("ab")
    await rig.supervisor.recover()  # as after one that failed when something of it had begun
    call.give(B=1)
    await rig.event("run.completed")
    run = await rig.run(rig.woke(published)[0])
    assert (run.crashes, run.fence) == (0, 1)
