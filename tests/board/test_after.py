"""After: nobody sees it before its time, and then it wakes agents, once."""

from __future__ import annotations

import orjson
import pytest
from pydantic import ValidationError

from flockd.domain.agent import Agent
from flockd.domain.gathering import JoinSpec
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import (
    PUBLIC,
    After,
    Private,
    Viewer,
    may_see,
    narrowest,
    visibility_from_json,
    visibility_to_json,
)
from flockd.store.reads import ArtifactFilter

from ..rig import Rig, Rigs, agent, publication

HOUR = After(ttl=3600)


async def reveal(rig: Rig, seconds: float) -> None:
    await rig.passed()
    rig.clock.advance(seconds)
    await rig.board.reveal(rig.clock())


@pytest.mark.parametrize("ttl", ["1h", "PT1H", 3600])
def test_it_is_written_as_a_duration(ttl: object) -> None:
    after = visibility_from_json(orjson.dumps({"kind": "After", "ttl": ttl}))
    assert after == HOUR
    assert visibility_from_json(visibility_to_json(after)) == after
    assert not may_see(Viewer("a"), after)
    assert may_see(Viewer(), after)
    assert narrowest([PUBLIC, after]) == after


@pytest.mark.parametrize(
    "wrong", [{"ttl": 0}, {"ttl": "soon"}, {}, {"ttl": 1, "then": {"kind": "After", "ttl": 1}}]
)
def test_what_it_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        visibility_from_json(orjson.dumps({"kind": "After", **wrong}))


async def test_it_wakes_agents_when_its_time_comes(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A", 5, visibility=HOUR)
    assert rig.working == []
    found = await rig.reads.correlation(published.correlation_id)
    assert found is not None and (found.state, found.open) == ("active", 1)
    await reveal(rig, 3599)
    assert rig.working == []
    await reveal(rig, 1)
    call = await rig.call("a", 5)
    (event,) = (event for event in rig.events if event.kind == "artifact.visible")
    assert orjson.loads(event.data) == {"woke": [call.run_id], "held": []}
    assert event.artifact is not None and event.artifact.visibility == PUBLIC
    assert rig.kinds().index("artifact.visible") < rig.kinds().index("run.started")
    call.give()
    await rig.event("correlation.completed")
    await reveal(rig, 7200)
    assert rig.kinds().count("artifact.visible") == 1


async def test_the_log_says_what_it_said(rigs: Rigs) -> None:
    """Who reads the event again later reads what everyone read then; the artifact itself is visible now."""
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A", visibility=HOUR)
    (before,) = (event for event in await rig.reads.events(0, 100, 1 << 20) if event.artifact)
    await reveal(rig, 3600)
    again, visible = (event for event in await rig.reads.events(0, 100, 1 << 20) if event.artifact)
    assert again.encode(1000) == before.encode(1000)
    assert visible.artifact is not None and visible.artifact.visibility == PUBLIC
    artifact = await rig.reads.artifact(published.artifact_id)
    assert artifact is not None and artifact.visibility == PUBLIC
    for kind, count in (("After", 0), ("Public", 1)):
        total = await rig.reads.count_artifacts(ArtifactFilter(visibility=(kind,)))
        assert total.count == count


async def test_who_sees_it_then(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "A"))
    await rig.publish("A", visibility=After(ttl=60, then=Private(agents=("b",))))
    await reveal(rig, 60)
    await rig.call("b")
    assert len(rig.working) == 1


async def test_a_crash_changes_nothing(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await rig.publish("A", 5, visibility=HOUR)
    await rig.crash()
    rig.clock.advance(3600)
    await rig.start()
    await rig.call("a", 5)


async def test_what_is_cancelled_never_shows(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A", visibility=HOUR)
    await rig.board.cancel_correlation(published.correlation_id)
    await reveal(rig, 3600)
    assert rig.kinds().count("artifact.visible") == 0
    assert await rig.state(published.correlation_id) == "cancelled"


async def test_it_joins_others_when_it_shows(rigs: Rigs) -> None:
    join = Subscription(("A", "B"), gathering=JoinSpec(by="n", within="2h"))
    rig = await rigs(agent("ab", "A", "B"), Agent("keyed", join, ()))
    published = await rig.publish("A", 1, visibility=HOUR)
    await rig.publish("B", 1, published.correlation_id)
    assert rig.working == []
    await reveal(rig, 3600)
    await rig.until(lambda: len(rig.working) == 2)
    assert {call.agent: call.inputs for call in rig.working} == {"ab": (1, 1), "keyed": (1, 1)}


async def test_what_a_run_publishes_may_wait_too(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", visibility=HOUR), agent("b", "B"))
    await rig.publish("A")
    (await rig.call("a")).give(B=3)
    await rig.event("run.completed")
    assert rig.working == []
    await reveal(rig, 3600)
    call = await rig.call("b", 3)
    assert (await rig.run(call.run_id)).depth == 2
    call.give()
    await rig.event("correlation.completed")


async def test_two_at_once_show_it_once(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await rig.publish("A", visibility=HOUR)
    await rig.passed()
    rig.clock.now += 3_600_000
    async with rig.one_group():
        for _ in range(3):
            rig.soon(rig.board.reveal(rig.clock()))
    await rig.call("a")
    assert rig.kinds().count("artifact.visible") == 1
    assert len(rig.working) == 1


async def test_what_a_direct_run_without_cascade_publishes_wakes_nobody_then_either(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", visibility=HOUR), agent("b", "B"))
    a = rig.board.agents["a"]
    await rig.board.run_agent(a, [publication("A", 1)])
    await rig.board.run_agent(a, [publication("A", 2)], cascade=True)
    for n in (1, 2):
        (await rig.call("a", n)).give(B=n)
    await rig.until(lambda: rig.kinds().count("run.completed") == 2)
    await reveal(rig, 3600)
    await rig.call("b", 2)
    assert len(rig.working) == 1
    assert rig.kinds().count("artifact.visible") == 2


async def test_what_an_author_raises_then_ends_nothing(rigs: Rigs) -> None:
    """It is visible and wakes nobody; the others of its moment wake theirs, and the clock goes on."""
    broken: set[int] = set()

    def key(document: object) -> int:
        assert isinstance(document, dict)
        if document["n"] in broken:
            raise KeyError("an author's own")
        return int(document["n"])

    rig = await rigs(agent("a", "A", concurrency_key=key))
    lost = await rig.publish("A", 1, visibility=HOUR)
    await rig.publish("A", 2, visibility=HOUR)
    broken.add(1)
    await rig.passed()
    rig.clock.advance(3600)
    rig.supervisor._alarm.set()
    await rig.call("a", 2)
    await rig.event("correlation.completed", correlation_id=lost.correlation_id)
    assert [task.get_name() for task in rig.supervisor.tasks if task.done()] == []
    assert len(rig.working) == 1
