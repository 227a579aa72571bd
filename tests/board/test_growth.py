"""How a workflow grew, as the graph reads it: whole, cut, and with what came from other workflows."""

from __future__ import annotations

import pytest

from flockd.domain.agent import Agent
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.subscription import Subscription
from flockd.store.reads import lineage

from ..rig import Rigs, agent, new_id


async def test_what_was_gathered_elsewhere_belongs_to_it(rigs: Rigs) -> None:
    joiner = Agent("j", Subscription(("A", "B"), gathering=JoinSpec(by="n", within="1h")), ("E",))
    rig = await rigs(joiner)
    sources = [await rig.publish(kind, 7) for kind in "AB"]
    call = await rig.call("j")
    call.give(E=1)
    done = await rig.event("run.completed")
    assert done.correlation_id not in {source.correlation_id for source in sources}
    assert done.correlation_id is not None
    growth = await rig.reads.growth(done.correlation_id, 10)
    assert [(one.type, one.correlation_id) for one in growth.artifacts] == [
        ("A", sources[0].correlation_id),
        ("B", sources[1].correlation_id),
        ("E", done.correlation_id),
    ]
    assert [(run.id, run.inputs) for run in growth.runs] == [
        (call.run_id, tuple(source.artifact_id for source in sources))
    ]
    assert (growth.is_whole, growth.artifacts[2].run_id) == (True, call.run_id)
    cut = await rig.reads.growth(done.correlation_id, 2)
    assert ([one.type for one in cut.artifacts], cut.is_whole) == (["A", "E"], False)


async def test_it_is_read_in_pages(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "PAGE_MAX", 3)
    rig = await rigs(agent("a", "A", max_concurrency=1))
    first = await rig.publish("A", 0)
    published = [first] + [await rig.publish("A", n, first.correlation_id) for n in range(1, 8)]
    ids = [one.artifact_id for one in published]
    for limit in (1, 2, 3, 4, 7, 8, 9):
        growth = await rig.reads.growth(first.correlation_id, limit)
        assert [one.id for one in growth.artifacts] == ids[:limit]
        assert [run.inputs for run in growth.runs] == [(one,) for one in ids[:limit]]
        assert growth.is_whole is (limit >= 8)


async def test_large_batches_are_bounded(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "INPUTS_MAX", 4)
    batcher = Agent("j", Subscription(("A",), gathering=BatchSpec(size=2, timeout="1m")), ("E",))
    rig = await rigs(batcher)
    first = await rig.publish("A", 0)
    for n in range(1, 8):
        await rig.publish("A", n, first.correlation_id)
    growth = await rig.reads.growth(first.correlation_id, 100)
    assert ([len(run.inputs) for run in growth.runs], growth.is_whole) == ([2, 2], False)
    monkeypatch.setattr(lineage, "INPUTS_MAX", 9)
    growth = await rig.reads.growth(first.correlation_id, 100)
    assert ([len(run.inputs) for run in growth.runs], growth.is_whole) == ([2, 2, 2, 2], True)


async def test_of_nothing(rigs: Rigs) -> None:
    rig = await rigs()
    assert await rig.reads.growth(new_id(), 10) == ([], [], True)
