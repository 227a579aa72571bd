"""AgentError: a run that fails for good tells agents that want to know, and nobody else."""

from __future__ import annotations

import orjson

from flockd.domain.agent import Agent
from flockd.domain.subscription import Candidate, Subscription
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent


def mender(**fields: object) -> Agent:
    return Agent("mender", Subscription(("AgentError",), **fields), ("B",))  # type: ignore[arg-type]


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
