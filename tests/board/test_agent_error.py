"""AgentError: a run that fails for good tells agents that want to know, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from flockd.board import Publication
from flockd.domain.agent import Agent
from flockd.domain.agent_error import AgentError
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.subscription import Candidate, Subscription
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent


def mender(**fields: object) -> Agent:
    return Agent("mender", Subscription(("AgentError",), **fields), ("B",))  # type: ignore[arg-type]


def collector(size: int) -> Agent:
    gathering = BatchSpec(size, "1h")
    return Agent("mender", Subscription(("AgentError",), "any", gathering=gathering), ("B",))


class Counting:
    """An engine that only counts what it was given; it ends at once, unless a test holds it."""

    kind = "test"

    def __init__(self) -> None:
        self.given: list[int] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, inputs: Sequence[object], context: object, threads: object) -> list[object]:
        self.given.append(len(inputs))
        await self.may_end.wait()
        return []


class Errors:
    """The engine of the mender: keeps what it was told, and ends as the test says."""

    kind = "test"

    def __init__(self, *, fail: bool = False) -> None:
        self.told: list[str] = []
        self._fail = fail

    async def run(self, inputs: object, context: object, threads: object) -> list[object]:
        (error,) = inputs  # type: ignore[misc]
        self.told.append(f"{error.agent} {error.code}: {error.message}")
        if self._fail:
            raise ValueError("the mender broke too")
        return []


def errors_of(rig: Rig) -> list[dict[str, object]]:
    return [
        orjson.loads(event.artifact.payload)
        for event in rig.events
        if event.artifact is not None and event.artifact.type == "AgentError"
    ]


async def test_a_dead_run_tells_whoever_wants_to_know(rigs: Rigs) -> None:
    errors = Errors()
    rig = await rigs(agent("a", "A"), mender(), engines={"mender": errors})
    published = await rig.publish("A")
    call = await rig.call("a")
    call.fail(ValueError("no luck"))
    failed = await rig.event("correlation.failed")
    assert errors.told == ["a AGENT_FAILED: ValueError: no luck"]
    (error,) = errors_of(rig)
    assert (error["run_id"], error["correlation_id"]) == (call.run_id, published.correlation_id)
    assert error["inputs"] == [published.artifact_id]
    event = next(event for event in rig.events if event.artifact and event.artifact.type == "AgentError")
    assert event.artifact is not None
    assert (event.artifact.produced_by, event.artifact.run_id, event.agent) == ("a", None, "a")
    data = orjson.loads(failed.data)
    assert (data["artifact_count"], data["error_count"]) == (2, 1)
    found = await rig.reads.round(published.correlation_id, 1)
    assert found is not None and found.artifacts == []
    kinds = rig.kinds()
    assert (
        kinds.index("run.failed") < kinds.index("artifact.published", 2) < kinds.index("correlation.failed")
    )


async def test_without_a_subscriber_there_is_none(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await rig.publish("A")
    (await rig.call("a")).fail()
    await rig.event("correlation.failed")
    assert errors_of(rig) == []


async def test_only_the_last_attempt_tells(rigs: Rigs) -> None:
    errors = Errors()
    rig = await rigs(agent("a", "A", retries=1), mender(), engines={"mender": errors})
    await rig.publish("A")
    (await rig.call("a")).fail()
    await rig.event("run.retrying")
    assert errors.told == []
    rig.clock.advance(1000)
    await rig.board.wake(rig.clock())
    (await rig.call("a")).fail()
    await rig.event("correlation.failed")
    assert len(errors.told) == 1


async def test_a_run_that_consumed_one_makes_none(rigs: Rigs) -> None:
    errors = Errors(fail=True)
    rig = await rigs(agent("a", "A"), mender(), engines={"mender": errors})
    await rig.publish("A")
    (await rig.call("a")).fail()
    failed = await rig.event("correlation.failed")
    assert orjson.loads(failed.data)["error_count"] == 2
    assert len(errors_of(rig)) == 1


async def test_predicates_see_it(rigs: Rigs) -> None:
    def timeouts(candidate: Candidate) -> bool:
        return bool(candidate.document["code"] == "TIMEOUT")

    errors = Errors()
    rig = await rigs(agent("a", "A"), mender(where=timeouts), engines={"mender": errors})
    await rig.publish("A")
    (await rig.call("a")).fail()
    await rig.event("correlation.failed")
    assert len(errors_of(rig)) == 1
    assert errors.told == []


async def test_a_run_that_crashed_too_often_tells(rigs: Rigs) -> None:
    errors = Errors()
    rig = await rigs(agent("a", "A"), mender(), engines={"mender": errors}, limits=Limits(run_crashes=1))
    await rig.publish("A")
    await rig.call("a")
    await rig.crash()
    await rig.start()
    await rig.event("correlation.failed")
    assert [told.split(":")[0] for told in errors.told] == ["a CRASHED"]


async def test_an_agent_that_a_recovery_starts_starts_once(rigs: Rigs) -> None:
    """The mender's run begins while the last process's runs are taken back; it is none of them."""
    counting = Counting()
    counting.may_end.clear()
    rig = await rigs(agent("a", "A"), mender(), engines={"mender": counting}, limits=Limits(run_crashes=1))
    await rig.publish("A")
    await rig.call("a")
    await rig.crash()
    await rig.start()
    started = await rig.event("run.started", agent="mender")
    await rig.passed()
    assert started.run_id is not None
    run = await rig.run(started.run_id)
    assert (run.crashes, run.fence) == (0, 1)
    counting.may_end.set()
    await rig.event("correlation.failed")
    assert counting.given == [1]


async def test_a_direct_run_on_one_makes_none_either(rigs: Rigs) -> None:
    error = AgentError(
        agent="a", run_id="r", correlation_id="c", code="X", message="y", attempt=1, inputs=["i"]
    )
    rig = await rigs(mender(), engines={"mender": Errors(fail=True)})
    given = Publication("AgentError", error.model_dump_json().encode())
    await rig.board.run_agent(rig.board.agents["mender"], [given], cascade=True)
    await rig.event("correlation.failed")
    await rig.passed()
    assert len(errors_of(rig)) == 1
    assert len(rig.data("run.failed")) == 1


# -- gathered -----------------------------------------------------------------------------------------------------


async def test_gathered_errors_fill_a_batch_over_transactions(rigs: Rigs) -> None:
    counting = Counting()
    rig = await rigs(agent("a", "A"), collector(2), engines={"mender": counting})
    for n in (1, 2):
        await rig.publish("A", n)
        (await rig.call("a", n)).fail()
        await rig.until(lambda n=n: len(rig.data("run.failed")) == n)
    await rig.until(lambda: counting.given == [2])


async def test_the_workflows_of_gathered_errors_end(rigs: Rigs) -> None:
    """Two deaths in one transaction: the workflow of the first ends, too, when the second completes the batch."""
    counting = Counting()
    rig = await rigs(agent("a", "A"), collector(2), engines={"mender": counting})
    ids = [(await rig.publish("A", n)).correlation_id for n in (1, 2)]
    calls = [await rig.call("a", n) for n in (1, 2)]
    async with rig.one_group():
        for call in calls:
            call.fail()
            await call.ended.wait()
    await rig.until(lambda: counting.given == [2])
    assert [await rig.state(one) for one in ids] == ["failed", "failed"]


async def test_each_of_many_deaths_in_one_group_finds_its_partner(rigs: Rigs) -> None:
    by = {"AgentError": "attempt", "B": "n"}
    pairs = Agent("pairs", Subscription(("AgentError", "B"), gathering=JoinSpec(by=by, within="1h")), ("C",))
    counting = Counting()
    rig = await rigs(agent("a", "A"), pairs, engines={"pairs": counting})
    for _ in range(3):
        await rig.publish("B", 1)
    for n in (1, 2, 3):
        await rig.publish("A", n)
    calls = [await rig.call("a", n) for n in (1, 2, 3)]
    async with rig.one_group():
        for call in calls:
            call.fail()
            await call.ended.wait()
    await rig.until(lambda: counting.given == [2, 2, 2])


async def test_the_error_of_an_orphan_is_gathered_too(rigs: Rigs) -> None:
    """It dies while nobody works: by the clock alone."""
    counting = Counting()
    rig = await rigs(agent("a", "A", max_concurrency=1), collector(2), engines={"mender": counting})
    ids = [(await rig.publish("A", n)).correlation_id for n in range(3)]
    await rig.stop()
    rig.agents = (collector(2),)
    await rig.start()
    for seconds, given in ((Limits().orphan_ms // 1000, [2]), (3600, [2, 1])):
        rig.clock.advance(seconds)
        while await rig.board.wake(rig.clock()):
            pass
        await rig.until(lambda given=given: counting.given == given)
    assert [await rig.state(one) for one in ids] == ["failed"] * 3
