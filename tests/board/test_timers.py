"""Timers: each moment fires once, over crashes, restarts, downtime, and clocks that are set."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from flockd.board.timers import FireTimers
from flockd.domain.moment import iso, parse_iso
from flockd.domain.run import RunState
from flockd.domain.schedule import CatchUp, Cron, Daily, Every, Once, Schedule
from flockd.domain.timer import Publishes, Starts, Timer, TimerProgress
from flockd.domain.visibility import Private
from flockd.errors import FlockdError
from flockd.store.occupancy import Limits
from flockd.supervisor import supervisor as supervisor_module

from ..rig import BEGIN, LIMIT_SECONDS, Rig, Rigs, agent

SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400


def publishing(schedule: Schedule, name: str = "tick", n: int = 7) -> Timer:
    return Timer(name, schedule, Publishes("A", b'{"n":%d}' % n))


async def look(rig: Rig) -> None:
    """What the supervisor does when it looks at the clock; whichever of the two comes first, all of it is told."""
    await rig.board.fire_timers(rig.clock())
    await rig.passed()


async def later(rig: Rig, seconds: float) -> None:
    rig.clock.advance(seconds)
    await look(rig)


async def progress(rig: Rig, name: str = "tick") -> TimerProgress:
    return next(one for one in await rig.reads.timers() if one.name == name)


def fired(rig: Rig, name: str = "tick") -> list[dict[str, Any]]:
    return [one for one in rig.data("timer.fired") if one["timer"] == name]


def due(rig: Rig, name: str = "tick") -> list[str]:
    """When each firing was due, since midnight."""
    return [one["due_at"].removeprefix("2026-11-21T").removesuffix(":00.000Z") for one in fired(rig, name)]


async def restart_after(rig: Rig, seconds: float) -> None:
    await rig.stop()
    rig.clock.advance(seconds)
    await rig.start()


# -- what a firing does ---------------------------------------------------------------------------------------


async def test_an_artifact_is_published_in_a_correlation_of_its_own(rigs: Rigs) -> None:
    timer = Timer("nightly", Every("5m"), Publishes("A", b'{"n":7}', ("t",), "p", Private(agents=("a",))))
    rig = await rigs(agent("a", "A"), agent("blind", "A"), timers=[timer])
    await look(rig)
    assert rig.events == []
    await later(rig, 5 * MINUTE)
    call = await rig.call("a", 7)
    assert [one.agent for one in rig.working] == ["a"]
    (correlation,), _ = await rig.reads.correlations(limit=10)
    assert (correlation.dialect, correlation.name) == ("native", "nightly")
    kinds = ["correlation.started", "timer.fired", "artifact.published", "run.started"]
    assert rig.kinds(correlation.id) == kinds
    assert rig.data("timer.fired") == [
        {
            "timer": "nightly",
            "fired": 1,
            "due_at": "2026-11-21T00:05:00.000Z",
            "next_due_at": "2026-11-21T00:10:00.000Z",
        }
    ]
    published = (await rig.event("artifact.published")).artifact
    assert published is not None
    assert (published.produced_by, published.tags, published.partition_key) == ("external", ("t",), "p")
    call.give()
    await rig.event("correlation.completed")
    await later(rig, 5 * MINUTE)
    assert len({event.correlation_id for event in rig.events}) == 2


async def test_nobody_needs_to_subscribe(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m"))])
    await later(rig, 5 * MINUTE)
    assert rig.kinds()[-2:] == ["artifact.published", "correlation.completed"]


async def test_an_agent_is_started_without_inputs_and_wakes_others(rigs: Rigs) -> None:
    rig = await rigs(
        agent("sweeper"), agent("b", "B"), timers=[Timer("hourly", Every("1h"), Starts("sweeper"))]
    )
    await later(rig, HOUR)
    call = await rig.call("sweeper")
    assert call.inputs == ()
    call.give(B=3)
    second = await rig.call("b", 3)
    assert second.context.correlation_id == call.context.correlation_id
    second.give()
    await rig.event("correlation.completed")
    run = await rig.run(call.run_id)
    assert (run.state, run.inputs, run.cascade) == (RunState.completed, (), True)


async def test_a_run_without_inputs_survives_a_crash_and_is_tried_again(rigs: Rigs) -> None:
    timer = Timer("hourly", Every("1h"), Starts("sweeper"))
    rig = await rigs(agent("sweeper", retries=1), timers=[timer], retry_base_seconds=0.001)
    await later(rig, HOUR)
    await rig.call("sweeper")
    await rig.crash()
    await rig.start()
    (await rig.call("sweeper")).fail()
    await rig.until(lambda: any(one["reason"] == "error" for one in rig.data("run.retrying")))
    await later(rig, SECOND)
    while await rig.board.wake(rig.clock()):
        pass
    (await rig.call("sweeper")).give(B=1)
    await rig.event("correlation.completed")
    assert len(fired(rig, "hourly")) == 1


async def test_an_agent_that_is_gone_is_waited_for(rigs: Rigs) -> None:
    rig = await rigs(timers=[Timer("hourly", Every("1h"), Starts("sweeper"))])
    await later(rig, HOUR)
    assert await rig.states() == ["waiting"]
    await rig.stop()
    rig.agents = (agent("sweeper"),)
    await rig.start()
    (await rig.call("sweeper")).give()
    await rig.event("correlation.completed")


async def test_a_payload_that_its_type_refuses_is_a_workflow_that_failed(rigs: Rigs) -> None:
    timer = Timer("tick", Every("5m"), Publishes("A", b'{"n":"many"}'))
    rig = await rigs(timers=[timer, Timer("odd", Every("5m"), Publishes("Nothing"))])
    await later(rig, 5 * MINUTE)
    reasons = sorted(one["reason"] for one in rig.data("correlation.failed"))
    assert reasons[0].startswith("Its A cannot be published: payload.n: ")
    assert reasons[1].startswith("Its Nothing cannot be published: Unknown artifact type: Nothing")
    assert rig.kinds() == ["correlation.started", "timer.fired", "correlation.failed"] * 2
    await later(rig, 5 * MINUTE)
    assert len(fired(rig)) == 2


async def test_admission_does_not_refuse_it(rigs: Rigs) -> None:
    rig = await rigs(
        agent("a", "A", max_concurrency=1),
        limits=Limits(ready_runs=1),
        timers=[publishing(Every("5m"))],
    )
    for _ in range(4):
        await later(rig, 5 * MINUTE)
    assert len(fired(rig)) == 4
    with pytest.raises(FlockdError):
        await rig.publish("A")


async def test_cancelling_what_a_timer_began_ends_that_and_nothing_else(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))])
    await later(rig, 5 * MINUTE)
    call = await rig.call("a")
    await rig.board.cancel_correlation(call.context.correlation_id)
    await call.ended.wait()
    await later(rig, 5 * MINUTE)
    following = await rig.call("a")
    assert following.context.correlation_id != call.context.correlation_id
    assert due(rig) == ["00:05", "00:10"]


# -- when -----------------------------------------------------------------------------------------------------


async def test_it_does_not_drift(rigs: Rigs) -> None:
    """Looked at late each time; each firing is due where it would have been anyway."""
    rig = await rigs(timers=[publishing(Every("5m"))])
    for lateness in (0, 20, 70, 1, 299):
        rig.clock.now = BEGIN + (len(fired(rig)) + 1) * 5 * MINUTE * 1000
        await later(rig, lateness)
    assert due(rig) == ["00:05", "00:10", "00:15", "00:20", "00:25"]


async def test_a_jitter_moves_a_firing_but_not_the_plan(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("10m", jitter="9m"))])
    delays: list[int] = []
    for n in range(1, 9):
        one = await progress(rig)
        assert one.planned_at == BEGIN + n * 600_000
        assert one.due_at is not None
        delays.append(one.due_at - one.planned_at)
        rig.clock.now = one.due_at - 1
        await look(rig)
        assert len(fired(rig)) == n - 1
        await later(rig, 0.001)
        assert len(fired(rig)) == n
    assert all(0 <= delay < 540_000 for delay in delays)
    assert len(set(delays)) > 1


async def test_two_at_once(rigs: Rigs) -> None:
    rig = await rigs(
        agent("a", "A"), timers=[publishing(Every("5m"), "one", 1), publishing(Every("5m"), "two", 2)]
    )
    await later(rig, 5 * MINUTE)
    await rig.call("a", 1)
    await rig.call("a", 2)
    assert len([commit for commit in rig.commits if commit.events]) == 1
    assert [one["timer"] for one in rig.data("timer.fired")] == ["one", "two"]


async def test_max_repeats(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m", max_repeats=2))])
    for _ in range(4):
        await later(rig, 5 * MINUTE)
    assert [(one["fired"], one["next_due_at"]) for one in fired(rig)] == [
        (1, "2026-11-21T00:10:00.000Z"),
        (2, None),
    ]
    await restart_after(rig, HOUR)
    await look(rig)
    assert len(fired(rig)) == 2


async def test_once(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Once("2026-11-21T00:05:00Z"))])
    for _ in range(3):
        await later(rig, 5 * MINUTE)
    await restart_after(rig, 0)
    assert due(rig) == ["00:05"]
    assert (await progress(rig)).due_at is None


# -- firings that overlap -------------------------------------------------------------------------------------


def sweeping(**options: Any) -> Timer:
    return Timer("tick", Every("5m", **options), Starts("sweeper"))


def skipped(rig: Rig) -> list[int]:
    return [one["skipped"] for one in rig.data("timer.skipped")]


async def test_firings_pile_up_where_nobody_says_otherwise(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper", max_concurrency=1), timers=[sweeping()])
    for _ in range(4):
        await later(rig, 5 * MINUTE)
    assert await rig.states() == ["running", "ready", "ready", "ready"]


async def test_a_firing_is_skipped_while_the_last_one_is_not_over(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper"), agent("b", "B"), timers=[sweeping(overlap="skip")])
    await later(rig, 5 * MINUTE)
    first = await rig.call("sweeper")
    await later(rig, 5 * MINUTE)
    first.give(B=1)
    after = await rig.call("b", 1)  # what it set off belongs to it
    await later(rig, 5 * MINUTE)
    assert (due(rig), skipped(rig), len(rig.working)) == (["00:05"], [1, 2], 1)
    (told, _), correlation_id = rig.data("timer.skipped"), first.context.correlation_id
    assert told == {
        "timer": "tick",
        "skipped": 1,
        "due_at": "2026-11-21T00:10:00.000Z",
        "next_due_at": "2026-11-21T00:15:00.000Z",
    }
    assert rig.kinds(correlation_id).count("timer.skipped") == 2
    after.give()
    await rig.event("correlation.completed", correlation_id=correlation_id)
    await later(rig, 5 * MINUTE)
    assert (due(rig), skipped(rig)) == (["00:05", "00:20"], [1, 2])
    second = await rig.call("sweeper")
    assert second.context.correlation_id != correlation_id
    found = await progress(rig)
    assert (found.fired, found.skipped, found.correlation_id) == (2, 2, second.context.correlation_id)


@pytest.mark.parametrize("ending", ["dead", "cancelled", "reset"])
async def test_however_the_last_one_ended_the_next_one_fires(rigs: Rigs, ending: str) -> None:
    rig = await rigs(agent("sweeper"), timers=[sweeping(overlap="skip")])
    await later(rig, 5 * MINUTE)
    call = await rig.call("sweeper")
    if ending == "dead":
        call.fail()
        await rig.event("correlation.failed")
    elif ending == "cancelled":
        await rig.board.cancel_correlation(call.context.correlation_id)
    else:
        await rig.board.reset()
    await later(rig, 5 * MINUTE)
    assert await rig.until(lambda: len(rig.data("timer.fired")) == 2)
    assert skipped(rig) == []


async def test_what_ends_in_the_same_group_is_over(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper"), timers=[sweeping(overlap="skip")])
    await later(rig, 5 * MINUTE)
    call = await rig.call("sweeper")
    rig.clock.advance(5 * MINUTE)
    firings = [rig.board.preparing.firing(timer) for timer in rig.board.timers.values()]
    async with rig.one_group():
        early = rig.soon(_submitted(rig, FireTimers(firings)))
        cancelled = rig.soon(rig.board.cancel_correlation(call.context.correlation_id))
        late = rig.soon(_submitted(rig, FireTimers(firings)))
    assert (await early, await late) == ([], [])  # the moment was skipped, once
    await cancelled
    rig.clock.advance(5 * MINUTE)
    async with rig.one_group():
        twice = [rig.soon(_submitted(rig, FireTimers(firings))) for _ in range(2)]
    assert [await one for one in twice] in ([["tick"], []], [[], []]), "the daemon's own clock may be first"
    assert len(rig.data("timer.fired")) == 2


async def test_it_is_remembered_over_a_crash_a_restart_and_another_declaration(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper", max_concurrency=1), timers=[sweeping(overlap="skip")])
    await later(rig, 5 * MINUTE)
    await rig.call("sweeper")
    await rig.crash()
    rig.clock.advance(5 * MINUTE)
    await rig.start()
    assert skipped(rig) == [1]
    rig.timers = [sweeping(overlap="skip", jitter="1s")]
    await restart_after(rig, 0)
    await later(rig, 6 * MINUTE)
    assert (due(rig), skipped(rig)) == (["00:05"], [1, 1])
    (await rig.call("sweeper")).give()
    await rig.event("correlation.completed")
    await later(rig, 6 * MINUTE)
    assert len(due(rig)) == 2


async def test_what_is_skipped_is_no_repeat(rigs: Rigs) -> None:
    rig = await rigs(agent("sweeper"), timers=[sweeping(overlap="skip", max_repeats=2)])
    for _ in range(3):
        await later(rig, 5 * MINUTE)
    assert (len(due(rig)), skipped(rig)) == (1, [1, 2])
    (await rig.call("sweeper")).give()
    await rig.event("correlation.completed")
    await later(rig, 5 * MINUTE)
    assert (len(due(rig)), (await progress(rig)).due_at) == (2, None)


# -- the same firing twice ------------------------------------------------------------------------------------


async def test_looking_twice_at_once_fires_once(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))])
    rig.clock.advance(5 * MINUTE)
    firings = [rig.board.preparing.firing(timer) for timer in rig.board.timers.values()]
    async with rig.one_group():
        looks = [rig.soon(_submitted(rig, FireTimers(firings))) for _ in range(3)]
    assert await asyncio.gather(*looks) == [["tick"], [], []]
    assert due(rig) == ["00:05"]


async def _submitted(rig: Rig, command: FireTimers) -> Any:
    return await rig.writer.submit(command)


async def test_a_crash_between_the_firing_and_its_engine_loses_and_doubles_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))])
    await later(rig, 5 * MINUTE)
    assert len(fired(rig)) == 1
    await rig.crash()  # its engine has hardly begun
    await rig.start()
    (await rig.call("a", 7)).give()
    await rig.event("correlation.completed")
    await look(rig)
    assert due(rig) == ["00:05"]


class Refusing:
    """The writer's connection, which refuses to write to one table when it is told to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.table = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.table and sql.startswith(f"INSERT INTO {self.table} "):
            raise sqlite3.IntegrityError("no")
        return self._connection.execute(sql, *parameters)


@pytest.mark.parametrize("table", ["timers", "artifacts", "events"])
async def test_a_firing_is_stored_whole_or_not_at_all(rigs: Rigs, table: str) -> None:
    """A transaction that fails leaves the timer due; the next look fires it, once."""
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))], wrap=Refusing)
    rig.connection.table = table
    rig.clock.advance(5 * MINUTE)
    with pytest.raises(FlockdError):
        await look(rig)
    assert rig.events == []
    rig.connection.table = ""
    await look(rig)
    assert due(rig) == ["00:05"]
    assert await rig.call("a", 7)


# -- downtime -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "caught_up", "following"),
    [
        (Every("5h"), [], "2026-11-24T13:00:00.000Z"),
        (Every("5h", catch_up="once"), ["05:00"], "2026-11-24T13:00:00.000Z"),
        (Daily("09:00"), [], "2026-11-25T09:00:00.000Z"),
        (Daily("09:00", catch_up="once"), ["09:00"], "2026-11-25T09:00:00.000Z"),
        (Cron("0 */7 * * *"), [], "2026-11-24T14:00:00.000Z"),
        (Cron("0 */7 * * *", catch_up="once"), ["07:00"], "2026-11-24T14:00:00.000Z"),
        (Once("2026-11-21T09:00"), [], None),
        (Once("2026-11-21T09:00", catch_up="once"), ["09:00"], None),
    ],
    ids=str,
)
async def test_days_of_downtime(
    rigs: Rigs, schedule: Schedule, caught_up: list[str], following: str | None
) -> None:
    rig = await rigs(timers=[publishing(schedule)])
    await restart_after(rig, 3 * DAY + 12 * HOUR + 30 * MINUTE)
    assert due(rig) == caught_up
    await look(rig)
    one = await progress(rig)
    assert (None if one.due_at is None else iso(one.due_at)) == following
    assert one.fired == len(caught_up) == len(fired(rig))
    await restart_after(rig, 1)
    assert due(rig) == caught_up


async def test_a_restart_is_no_downtime(rigs: Rigs) -> None:
    """What came while the next daemon was on its way is not missed."""
    rig = await rigs(timers=[publishing(Daily("00:05"))])
    rig.clock.advance(5 * MINUTE - SECOND)
    await restart_after(rig, 30)
    assert due(rig) == ["00:05"]
    await restart_after(rig, 1)
    assert due(rig) == ["00:05"]


@pytest.mark.parametrize(("catch_up", "count"), [("skip", 0), ("once", 1)])
async def test_what_was_over_when_it_was_declared(rigs: Rigs, catch_up: CatchUp, count: int) -> None:
    rig = await rigs(timers=[publishing(Once("2026-11-20T09:00", catch_up=catch_up))])
    assert len(fired(rig)) == count
    await restart_after(rig, DAY)
    assert len(fired(rig)) == count


async def test_a_firing_at_a_start_comes_with_its_restarted_work(rigs: Rigs) -> None:
    timer = publishing(Every("5m", catch_up="once"))
    rig = await rigs(agent("a", "A", max_concurrency=1), timers=[timer])
    await later(rig, 5 * MINUTE)
    await rig.call("a")
    await rig.crash()
    rig.clock.advance(HOUR)
    await rig.start()
    (await rig.call("a")).give()
    await rig.until(lambda: rig.kinds().count("correlation.completed") == 1)
    (await rig.call("a")).give()
    await rig.until(lambda: rig.kinds().count("correlation.completed") == 2)
    assert due(rig) == ["00:05", "00:10"]


async def test_nothing_fires_while_the_daemon_drains(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))])
    rig.clock.advance(5 * MINUTE)
    rig.writer.occupancy.closed = True
    await look(rig)
    assert rig.events == []
    await restart_after(rig, 1)
    assert due(rig) == ["00:05"]


# -- declarations ---------------------------------------------------------------------------------------------


async def test_an_unchanged_declaration_goes_on(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m", max_repeats=3))])
    await later(rig, 5 * MINUTE)
    rig.clock.advance(2 * MINUTE)
    await rig.stop()
    rig.timers = [publishing(Every("300s", max_repeats=3))]
    await rig.start()
    await later(rig, 3 * MINUTE)
    assert [(one["fired"], one["due_at"][11:16]) for one in fired(rig)] == [(1, "00:05"), (2, "00:10")]


@pytest.mark.parametrize(
    "changed", [publishing(Every("7m")), publishing(Every("5m"), n=8)], ids=["when", "what"]
)
async def test_a_changed_declaration_begins_afresh(rigs: Rigs, changed: Timer) -> None:
    rig = await rigs(timers=[publishing(Every("5m"))])
    await later(rig, 6 * MINUTE)
    await rig.stop()
    rig.timers = [changed]
    await rig.start()
    one = await progress(rig)
    assert (one.fired, one.anchor) == (0, rig.clock())
    assert one.due_at == changed.schedule.next_after(rig.clock(), rig.clock())
    await later(rig, 7 * MINUTE)
    assert [one["fired"] for one in fired(rig)] == [1, 1]


async def test_what_is_not_declared_any_more_is_forgotten(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m")), publishing(Every("7m"), "other")])
    await rig.stop()
    rig.timers = [publishing(Every("7m"), "other")]
    await rig.start()
    assert [one.name for one in await rig.reads.timers()] == ["other"]
    await later(rig, 10 * MINUTE)
    assert fired(rig) == [] and len(fired(rig, "other")) == 1
    await rig.stop()
    rig.timers = []
    await rig.start()
    assert await rig.reads.timers() == []
    await look(rig)


async def test_an_emptied_board_keeps_its_timers(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m", max_repeats=2))])
    await later(rig, 5 * MINUTE)
    rig.clock.advance(5 * MINUTE)
    async with rig.one_group():  # one that is lost with all that its group did, but not fired again
        rig.soon(look(rig))
        rig.soon(rig.board.reset())
    await rig.passed()
    rig.clock.advance(5 * MINUTE)
    await look(rig)
    assert (await progress(rig)).fired == 2


# -- the clock ------------------------------------------------------------------------------------------------


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor looks at the clock, which these tests set, every few milliseconds."""
    monkeypatch.setattr(supervisor_module, "CLOCK_LOOK_SECONDS", 0.005)


@pytest.mark.usefixtures("looking_often")
async def test_the_supervisor_fires_what_is_due(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), timers=[publishing(Every("5m"))])
    for n in range(1, 4):
        rig.clock.advance(5 * MINUTE)
        (await rig.call("a")).give()
        await rig.until(lambda n=n: rig.kinds().count("correlation.completed") == n)
    assert due(rig) == ["00:05", "00:10", "00:15"]


@pytest.mark.usefixtures("looking_often")
async def test_timers_and_waiting_runs_share_the_clock(rigs: Rigs) -> None:
    """A timer far away does not hide a retry that is near, nor the other way round."""
    rig = await rigs(
        agent("a", "A", retries=1), timers=[publishing(Every("1h"), n=1)], retry_base_seconds=60.0
    )
    await rig.publish("A", 2)
    (await rig.call("a", 2)).fail()
    await rig.event("run.retrying")
    rig.clock.advance(2 * MINUTE)
    (await rig.call("a", 2)).give()
    rig.clock.advance(HOUR)
    await rig.call("a", 1)


@pytest.mark.usefixtures("looking_often")
async def test_a_clock_put_forward_makes_it_fire_once(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m")), publishing(Daily("09:00"), "daily")])
    rig.clock.advance(DAY)
    await rig.until(lambda: len(rig.data("timer.fired")) == 2)
    await look(rig)
    assert (due(rig), due(rig, "daily")) == (["00:05"], ["09:00"])
    assert fired(rig)[0]["next_due_at"] == "2026-11-22T00:05:00.000Z"


@pytest.mark.usefixtures("looking_often")
async def test_a_clock_put_back_makes_nothing_fire_again(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Daily("00:05"), "daily"), publishing(Cron("*/5 * * * *"), "cron")])
    rig.clock.advance(5 * MINUTE)
    await rig.until(lambda: len(rig.data("timer.fired")) == 2)
    rig.clock.advance(-HOUR)
    await look(rig)
    for _ in range(13):
        await later(rig, 5 * MINUTE)
    assert due(rig, "daily") == ["00:05"]
    assert due(rig, "cron") == ["00:05", "00:10"]


@pytest.mark.usefixtures("looking_often")
async def test_an_interval_passes_whatever_the_clock_says(rigs: Rigs) -> None:
    """Put back by an hour and more: the next firing comes an interval later, not an hour and an interval."""
    rig = await rigs(timers=[publishing(Every("5m"))])
    rig.clock.advance(5 * MINUTE)
    await rig.until(lambda: fired(rig))
    rig.clock.advance(-HOUR - MINUTE)
    async with asyncio.timeout(LIMIT_SECONDS):
        while (await progress(rig)).anchor == BEGIN:
            await rig.passed()
    assert (await progress(rig)).due_at == rig.clock() + 5 * MINUTE * 1000
    assert len(fired(rig)) == 1
    rig.clock.advance(5 * MINUTE)
    await rig.until(lambda: len(fired(rig)) == 2)


@pytest.mark.usefixtures("looking_often")
async def test_the_supervisor_knows_after_a_restart_what_is_due(rigs: Rigs) -> None:
    rig = await rigs(timers=[publishing(Every("5m"))])
    await restart_after(rig, MINUTE)
    rig.clock.advance(4 * MINUTE)
    await rig.until(lambda: fired(rig))


async def test_a_clock_that_was_wrong_by_years(rigs: Rigs) -> None:
    """A daemon ran in the wrong year; when the clock is right again its timers do not wait until then."""
    rig = await rigs(timers=[publishing(Daily("09:00")), publishing(Every("5m"), "every")])
    rig.clock.advance(3650 * DAY)
    await look(rig)
    assert len(rig.data("timer.fired")) == 2
    await rig.stop()
    rig.clock.now = BEGIN
    await rig.start()
    assert len(rig.data("timer.fired")) == 2
    assert (await progress(rig)).due_at == parse_iso("2026-11-21T09:00:00Z")
    assert (await progress(rig, "every")).due_at == BEGIN + 300_000
