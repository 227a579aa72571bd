"""Joins over a key, and batches: nothing is dropped, nothing is mixed, and everything has its deadline."""

from __future__ import annotations

import itertools
from collections import defaultdict

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flockd.board import Publication
from flockd.domain.agent import Agent
from flockd.domain.gathering import BATCH_MOST, BatchSpec, JoinSpec, key_text
from flockd.domain.priority import Priority
from flockd.domain.subscription import Subscription
from flockd.errors import InvalidInput
from flockd.store.occupancy import Limits

from ..rig import TYPES, Rig, Rigs, agent


def gatherer(*types: str, name: str = "g", max_concurrency: int = 64, **gathering: object) -> Agent:
    spec = JoinSpec(**gathering) if "within" in gathering else BatchSpec(**gathering)  # type: ignore[arg-type]
    mode = "all" if isinstance(spec, JoinSpec) else "any"
    return Agent(
        name,
        Subscription(types, mode, gathering=spec),  # type: ignore[arg-type]
        tuple(TYPES),
        max_concurrency=max_concurrency,
    )


async def wake(rig: Rig, seconds: float) -> None:
    """Let this time pass, and see to all that is due."""
    await rig.passed()
    rig.clock.advance(seconds)
    while await rig.board.wake(rig.clock()):
        pass


async def of(rig: Rig, correlation_id: str) -> tuple[str, bool]:
    """Its state, and whether it has pending work."""
    found = await rig.reads.correlation(correlation_id)
    assert found is not None
    return found.state.value, bool(found.open)


# -- joins ----------------------------------------------------------------------------------------------------


async def test_a_join_crosses_workflows_by_its_key(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    first = await rig.publish("A", 7)
    await rig.publish("B", 8)
    assert rig.working == []
    assert await of(rig, first.correlation_id) == ("active", True)
    second = await rig.publish("B", 7)
    call = await rig.call("g")
    assert call.inputs == (7, 7)
    assert call.context.correlation_id not in (first.correlation_id, second.correlation_id)
    derived = await rig.reads.correlation(call.context.correlation_id)
    assert derived is not None
    assert derived.causes == (first.correlation_id, second.correlation_id)
    assert await of(rig, first.correlation_id) == await of(rig, second.correlation_id) == ("completed", False)
    call.give(C=1)
    await rig.event("correlation.completed", correlation_id=derived.id)


async def test_all_of_one_workflow_stays_in_it(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    first = await rig.publish("A", 7)
    await rig.publish("B", 7, first.correlation_id)
    call = await rig.call("g")
    assert call.context.correlation_id == first.correlation_id
    call.give()
    await rig.event("correlation.completed", correlation_id=first.correlation_id)


async def test_what_an_artifact_sets_off_comes_after_it_in_the_log(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    await rig.publish("A", 7)
    await rig.publish("B", 7)
    events = rig.events
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    published = next(i for i, e in enumerate(events) if e.artifact is not None and e.artifact.type == "B")
    derived = next(i for i, e in enumerate(events) if orjson.loads(e.data).get("causes"))
    started = next(i for i, e in enumerate(events) if e.kind == "run.started")
    assert published < derived < started
    assert events[published].artifact is not None
    assert events[published].seq == events[published].artifact.seq


async def test_surplus_waits_and_the_oldest_goes_first(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    surplus = [await rig.publish("A", 1) for _ in range(3)]
    for count in (1, 2, 3):
        await rig.publish("B", 1)
        ended = [await of(rig, one.correlation_id) for one in surplus]
        assert ended == [("completed", False)] * count + [("active", True)] * (3 - count)


async def test_what_waits_in_vain_is_told(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    lonely = await rig.publish("A", 1)
    twice = await rig.publish("A", 2)
    await rig.publish("A", 2, twice.correlation_id)
    await wake(rig, 3599)
    assert rig.data("join.expired") == []
    await wake(rig, 1)
    told = {
        event.correlation_id: orjson.loads(event.data) for event in rig.events if event.kind == "join.expired"
    }
    assert told[lonely.correlation_id] == {"key": "1", "artifacts": [lonely.artifact_id]}
    assert len(told[twice.correlation_id]["artifacts"]) == 2
    assert all(event.agent == "g" for event in rig.events if event.kind == "join.expired")
    assert await of(rig, lonely.correlation_id) == ("completed", False)
    await rig.publish("B", 1)
    assert rig.working == []


async def test_a_key_per_type_and_payloads_without_one(rigs: Rigs) -> None:
    by = {"A": "n", "B": "n"}
    rig = await rigs(gatherer("A", "B", by=by, within="1h"), agent("other", "A"))
    assert JoinSpec(by={"A": "x.y", "B": "n"}, within="1h").key_of("A", {"x": {"y": "k"}}) == '"k"'
    assert JoinSpec(by="x", within="1h").key_of("A", {"x": None}) is None
    assert rig.board.agents["g"].subscription.gathering is not None


@pytest.mark.parametrize("numbers", sorted(set(itertools.permutations(["A1", "A2", "A3", "B2"]))))
async def test_every_order_pairs_the_same(rigs: Rigs, numbers: tuple[str, ...]) -> None:
    """A(w1), A(w2), A(w3), B(w2) in every order: one pair, and two that wait."""
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    for one in numbers:
        await rig.publish(one[0], int(one[1]))
    call = await rig.call("g")
    assert call.inputs == (2, 2)
    assert len(rig.working) == 1
    await wake(rig, 3600)
    assert sorted(one["key"] for one in rig.data("join.expired")) == ["1", "3"]


async def test_in_one_group(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    async with rig.one_group():
        for n in (1, 2, 1, 2, 3):
            rig.soon(rig.publish("A", n))
        for n in (2, 1, 2, 3, 3):
            rig.soon(rig.publish("B", n))
    await rig.until(lambda: len(rig.working) == 4)
    assert sorted(call.inputs for call in rig.working) == [(1, 1), (2, 2), (2, 2), (3, 3)]


async def test_a_crash_loses_no_half(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    waiting = await rig.publish("A", 1)
    expiring = await rig.publish("A", 2)
    await rig.crash()
    await rig.start()
    await rig.publish("B", 1)
    (await rig.call("g")).give()
    await rig.crash()
    await rig.start()
    await wake(rig, 3600)
    assert rig.data("join.expired") == [{"key": "2", "artifacts": [expiring.artifact_id]}]
    assert await of(rig, waiting.correlation_id) == ("completed", False)


async def test_what_is_cancelled_pairs_with_nothing(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    cancelled = await rig.publish("A", 1)
    await rig.board.cancel_correlation(cancelled.correlation_id)
    assert await of(rig, cancelled.correlation_id) == ("cancelled", False)
    await rig.publish("B", 1)
    assert rig.working == []
    await rig.publish("A", 1)
    await rig.call("g")


async def test_what_runs_publish_joins_too(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "C"), gatherer("A", "B", by="n", within="1h"))
    await rig.publish("C")
    (await rig.call("a")).give(A=[1, 2], B=2)
    call = await rig.call("g")
    assert call.inputs == (2, 2)
    call.give()
    await wake(rig, 3600)
    assert len(rig.data("join.expired")) == 1
    assert len(rig.data("correlation.completed")) == 1


async def test_the_first_of_the_priorities_holds(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    await rig.publish("A", 1, priority=Priority.low)
    await rig.publish("B", 1, priority=Priority.high)
    call = await rig.call("g")
    assert (await rig.run(call.run_id)).priority is Priority.high


async def test_the_depth_of_a_loop_counts_over_derived_workflows(rigs: Rigs) -> None:
    """Two workflows feed each other for ever through a join; the limit of hops ends it."""
    rig = await rigs(
        gatherer("A", "B", by="n", within="1h"), agent("h", "C"), limits=Limits(correlation_depth=3)
    )
    await rig.publish("B", 1)
    for hops in (1, 3):
        await rig.publish("A", 1)
        call = await rig.call("g")
        assert (await rig.run(call.run_id)).depth == hops
        call.give(C=1)
        if hops == 1:
            (await rig.call("h")).give(B=1)
            await rig.until(lambda: len(rig.data("run.completed")) == 2)
    failed = await rig.event("correlation.failed")
    assert "limits.correlation_depth" in orjson.loads(failed.data)["reason"]


# -- batches --------------------------------------------------------------------------------------------------


async def test_the_runs_of_a_loop_count_over_derived_workflows(rigs: Rigs) -> None:
    """Each goes on in a workflow of its own, with what comes from outside; a restart forgets nothing of it."""
    rig = await rigs(gatherer("A", size=2, timeout="1h"), agent("b", "B"), limits=Limits(correlation_runs=4))
    await rig.publish("A", 0)
    for made in (1, 2):
        await rig.publish("A", made)
        (await rig.call("g")).give(B=made)  # two runs in this workflow, then its A waits for another one
        call = await rig.call("b", made)
        workflow = call.context.correlation_id
        call.give(A=9)
        await rig.until(lambda call=call: call.ended.is_set())
        await rig.passed()
        found = await rig.reads.correlation(workflow)
        assert found is not None
        assert (found.runs, found.inherited_runs, found.state) == (2, 2 * (made - 1), "active")
        await rig.crash()
        await rig.start()
    refused = await rig.publish("A", 3)
    failed = await rig.event("correlation.failed")
    assert failed.correlation_id not in (workflow, refused.correlation_id)
    assert rig.data("correlation.failed")[0]["reason"] == (
        "limits.correlation_runs: it made 0 runs, after 4 of what it came from"
    )
    assert await of(rig, workflow) == await of(rig, refused.correlation_id) == ("completed", False)
    assert rig.working == []


async def test_a_batch_goes_when_it_is_full(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=3, timeout="1h"))
    sources = [await rig.publish("A", n) for n in range(7)]
    await rig.until(lambda: len(rig.working) == 2)
    assert sorted(call.inputs for call in rig.working) == [(0, 1, 2), (3, 4, 5)]
    assert await of(rig, sources[0].correlation_id) == ("completed", False)
    assert await of(rig, sources[6].correlation_id) == ("active", True)
    derived = await rig.reads.correlation(rig.working[0].context.correlation_id)
    assert derived is not None and len(derived.causes) == 3


async def test_a_batch_goes_when_its_first_has_waited_long_enough(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=10, timeout="1h"))
    await rig.publish("A", 1)
    await wake(rig, 3000)
    await rig.publish("A", 2)
    await wake(rig, 600)
    call = await rig.call("g")
    assert call.inputs == (1, 2)
    await wake(rig, 3600)
    assert len(rig.working) == 1


async def test_a_batch_of_each_key(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=2, timeout="1h", by="n"))
    for n in (1, 2, 3, 1, 2):
        await rig.publish("A", n)
    await rig.until(lambda: len(rig.working) == 2)
    assert sorted(call.inputs for call in rig.working) == [(1, 1), (2, 2)]
    await wake(rig, 3600)
    assert (await rig.call("g", 3)).inputs == (3,)


async def test_a_batch_outlives_restarts(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=3, timeout="1h"))
    await rig.publish("A", 1)
    await rig.stop()
    await rig.start()
    await rig.publish("A", 2)
    await rig.crash()
    await rig.start()
    await rig.publish("A", 3)
    assert (await rig.call("g")).inputs == (1, 2, 3)


async def test_a_batch_whose_agent_is_gone_waits_for_it(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=3, timeout="1h"))
    await rig.publish("A", 1)
    await rig.stop()
    rig.agents = ()
    await rig.start()
    await wake(rig, 3600)
    assert await rig.states() == ["waiting"]
    await rig.stop()
    rig.agents = (gatherer("A", size=3, timeout="1h"),)
    await rig.start()
    assert (await rig.call("g")).inputs == (1,)


async def test_a_direct_run_of_a_batch_takes_what_it_is_given(rigs: Rigs) -> None:
    rig = await rigs(gatherer("A", size=3, timeout="1h"))
    g = rig.board.agents["g"]
    given = [Publication("A", b'{"n":%d}' % n) for n in (4, 5)]
    await rig.board.run_agent(g, given)
    assert (await rig.call("g")).inputs == (4, 5)
    with pytest.raises(InvalidInput, match="g takes 1 to 3 artifacts: A"):
        await rig.board.run_agent(g, given * 2)


async def test_a_smaller_size_takes_what_waits_in_runs_of_its_size(rigs: Rigs) -> None:
    """The pool was filled under another declaration: no run has more inputs than the one that holds now."""
    rig = await rigs(gatherer("A", size=10, timeout="1h"))
    for n in range(5):
        await rig.publish("A", n)
    await rig.stop()
    rig.agents = (gatherer("A", size=2, timeout="1h"),)
    await rig.start()
    await rig.until(lambda: [call.inputs for call in rig.working] == [(0, 1), (2, 3)])
    await rig.publish("A", 5)
    await rig.until(lambda: [call.inputs for call in rig.working] == [(0, 1), (2, 3), (4, 5)])
    assert rig.verify() == []


async def test_a_join_that_became_a_batch_and_then_no_gatherer_loses_nothing(rigs: Rigs) -> None:
    """What waits was gathered as a join's: it can fill a batch, and past its time it has waited in vain."""
    rig = await rigs(gatherer("A", "B", by="n", within="1h"))
    for _ in range(2):
        await rig.publish("A", 1)
    left = await rig.publish("A", 2)
    await rig.stop()
    rig.agents = (gatherer("A", size=3, timeout="1h", by="n"),)
    await rig.start()
    await rig.publish("A", 1)
    call = await rig.call("g")
    assert call.inputs == (1, 1, 1)
    call.give()
    await call.ended.wait()
    await rig.stop()
    rig.agents = (agent("g", "A"),)
    await rig.start()
    await wake(rig, 3600)
    assert rig.data("join.expired") == [{"key": "2", "artifacts": [left.artifact_id]}]
    assert await of(rig, left.correlation_id) == ("completed", False)


@pytest.mark.parametrize("size", [0, BATCH_MOST + 1])
def test_a_batch_has_a_bounded_size(size: int) -> None:
    with pytest.raises(ValueError, match="the size of a batch is 1 to 1000"):
        BatchSpec(size, "1h")


def test_both_need_a_deadline() -> None:
    with pytest.raises(ValueError, match="longer than zero"):
        JoinSpec(by="n", within=0)
    with pytest.raises(ValueError, match="longer than zero"):
        BatchSpec(size=2, timeout="0s")
    with pytest.raises(ValueError, match=r"the field path 'a \|\| b' uses"):
        JoinSpec(by="a || b", within="1h")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (1e18, "1000000000000000000"),
        (1e30, "1e+30"),
        ("1", '"1"'),
        (True, "true"),
        (None, None),
        ([1], None),
        ({}, None),
        ("x" * 600, None),
    ],
)
def test_keys(value: object, text: str | None) -> None:
    assert key_text(value) == text


# -- against a naive model --------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 3)), max_size=14), st.integers(0, 14))
async def test_joins_and_batches_are_what_a_naive_model_says(
    rigs: Rigs, steps: list[tuple[str, int]], crash_after: int
) -> None:
    """Whatever is published, with a crash somewhere: the pairs of each key, and batches of two in their order."""
    rig = await rigs(
        gatherer("A", "B", by="n", within="1h"), gatherer("A", name="pairs", size=2, timeout="1h")
    )
    waiting: dict[tuple[str, int], int] = defaultdict(int)
    pairs: list[int] = []
    firsts: list[int] = []
    for number, (type_, n) in enumerate(steps):
        await rig.publish(type_, n)
        other = "B" if type_ == "A" else "A"
        if waiting[other, n]:
            waiting[other, n] -= 1
            pairs.append(n)
        else:
            waiting[type_, n] += 1
        if type_ == "A":
            firsts.append(n)
        if number == crash_after:
            await rig.crash()
            await rig.start()
    batches = [tuple(firsts[i : i + 2]) for i in range(0, len(firsts) - 1, 2)]
    await rig.until(lambda: len(rig.working) == len(pairs) + len(batches))
    assert sorted(call.inputs[0] for call in rig.working if call.agent == "g") == sorted(pairs)
    assert sorted(call.inputs for call in rig.working if call.agent == "pairs") == sorted(batches)
    assert rig.verify() == []
    await rig.stop()
