"""Why: what happened, and which rule of today is in the way. The rules themselves are in tests/unit/test_rules.py."""

from __future__ import annotations

from typing import Any

import pytest

from flockd.board import explain
from flockd.domain.agent import Agent
from flockd.domain.explanation import Explanation
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import Private
from flockd.errors import NotFound
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent, new_id, publication


def gathering(name: str, *types: str, by: JoinSpec | BatchSpec) -> Agent:
    return Agent(name, Subscription(types, gathering=by), ("E",))


async def why(rig: Rig, published: Any, name: str, *, paused: bool = False) -> Explanation:
    artifact_id = published if isinstance(published, str) else published.artifact_id
    return await explain(rig.board, artifact_id, name, paused=paused)


def detail(explanation: Explanation, rule: str) -> str:
    (found,) = [check for check in explanation.checks if check.rule == rule]
    return found.detail


async def test_what_woke_its_agent(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A")
    found = await why(rig, published, "a")
    assert (found.woke, found.rule, [found.run_id]) == (True, None, rig.woke(published))
    assert found.reason == "It woke a: its run is running."
    assert all(check.passed for check in found.checks)
    (await rig.call("a")).give()
    await rig.event("run.completed")
    assert (await why(rig, published, "A")).reason == "It woke a: its run has completed."


async def test_what_a_run_waits_for(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", retries=1, max_concurrency=1), retry_base_seconds=100)
    published, second = await rig.publish("A"), await rig.publish("A")
    assert (await why(rig, second, "a")).reason == (
        "It woke a: its run waits for its turn (max_concurrency, rate, or limits.running)."
    )
    (await rig.call("a")).fail()
    await rig.event("run.retrying")
    assert (await why(rig, published, "a")).reason == "It woke a: its run waits to be tried again."


async def test_what_a_rule_refuses(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "B"))
    published = await rig.publish("A", visibility=Private(agents=("b",)))
    found = await why(rig, published, "b")
    assert (found.woke, found.rule, found.run_id) == (False, "type", None)
    assert found.reason == (
        "It did not wake b. By today's rules, type is why: Its type is A; the agent takes B."
    )
    assert (await why(rig, published, "a")).rule == "visibility"


async def test_an_and_says_what_it_waits_for(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", "B", "A"))
    first = await rig.publish("A")
    found = await why(rig, first, "a")
    assert (found.woke, found.rule) == (False, "join")
    assert detail(found, "join") == "It waits for 1 A and 1 B; there: 1 A"
    second = await rig.publish("A", 2, first.correlation_id)
    assert detail(await why(rig, second, "a"), "join") == "It waits for 1 B; there: 2 A"
    surplus = await rig.publish("A", 3, first.correlation_id)
    third = await rig.publish("B", 4, first.correlation_id)
    (run_id,) = rig.woke(third)
    for one in (first, second, third):
        found = await why(rig, one, "a")
        assert (found.woke, found.run_id, found.rule) == (True, run_id, None)
    assert (await why(rig, surplus, "a")).rule == "join"
    await rig.board.cancel_correlation(first.correlation_id)
    found = await why(rig, surplus, "a")
    assert (found.rule, detail(found, "join")) == (
        "join",
        "It waits for others, but its workflow was cancelled",
    )


async def test_a_join_over_a_key_says_until_when(rigs: Rigs) -> None:
    rig = await rigs(gathering("j", "A", "B", by=JoinSpec(by="n", within="1h")))
    first, other = await rig.publish("A", 1), await rig.publish("A", 2)
    found = await why(rig, first, "j")
    assert (found.woke, found.rule) == (False, "join")
    assert detail(found, "join") == "It waits for 1 B, until 2026-11-21T01:00:00.000Z; there: 1 A"
    partner = await rig.publish("B", 1)
    call = await rig.call("j", 1)
    for one in (first, partner):
        found = await why(rig, one, "j")
        assert (found.woke, found.run_id, found.rule) == (True, call.run_id, None)
    call.give()
    await rig.event("run.completed")
    assert (await why(rig, first, "j")).run_id == call.run_id
    rig.clock.advance(3601)
    while await rig.board.wake(rig.clock()):
        pass
    found = await why(rig, other, "j")
    assert (found.woke, found.rule) == (False, "join")
    assert detail(found, "join").startswith("It waited for partners in vain")


async def test_a_batch_says_how_full_it_is(rigs: Rigs) -> None:
    rig = await rigs(gathering("j", "A", by=BatchSpec(size=3, timeout="1m")))
    one, two = await rig.publish("A", 1), await rig.publish("A", 2)
    found = await why(rig, one, "j")
    assert (found.woke, found.rule) == (False, "batch")
    assert detail(found, "batch") == ("It waits in a batch: 2 of 3 are there, until 2026-11-21T00:01:00.000Z")
    await rig.publish("A", 3)
    call = await rig.call("j")
    assert {(await why(rig, each, "j")).run_id for each in (one, two)} == {call.run_id}


@pytest.mark.parametrize(
    ("rule", "by"), [("join", JoinSpec(by="n", within="1h")), ("batch", BatchSpec(size=3, timeout="1m"))]
)
async def test_what_was_cancelled_while_it_was_gathered(
    rigs: Rigs, rule: str, by: JoinSpec | BatchSpec
) -> None:
    rig = await rigs(gathering("j", *("A", "B")[: 2 if rule == "join" else 1], by=by))
    published = await rig.publish("A", 1)
    await rig.board.cancel_correlation(published.correlation_id)
    found = await why(rig, published, "j")
    assert (found.woke, found.rule) == (False, rule)
    assert detail(found, rule) == "It waits for nothing any more, since its workflow was cancelled"


async def test_pauses_keep_a_run_from_starting(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    await rig.board.pause_agent(rig.board.agents["a"], True)
    published = await rig.publish("A")
    found = await why(rig, published, "a", paused=True)
    assert (found.woke, found.rule) == (True, "paused")
    assert found.reason == "It woke a, but its run does not start: the agent is paused."
    await rig.board.pause_correlation(published.correlation_id, True)
    found = await why(rig, published, "a")
    assert (found.rule, detail(found, "paused")) == (
        "paused",
        "Paused: the workflow; what is woken does not start",
    )


async def test_a_limit_is_why(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"), limits=Limits(correlation_runs=1))
    first = await rig.publish("A")
    call = await rig.call("a")
    second = await rig.publish("A", 2, first.correlation_id)
    found = await why(rig, second, "a")
    assert (found.woke, found.rule) == (False, "limit")
    assert "limits.correlation_runs" in detail(found, "limit")
    await call.ended.wait()


@pytest.mark.parametrize("cascade", [False, True])
async def test_a_direct_run_wakes_nobody_else(rigs: Rigs, cascade: bool) -> None:
    rig = await rigs(agent("a", "A"), agent("b", "A"), agent("c", "B"))
    a = rig.board.agents["a"]
    published = await rig.board.run_agent(a, [publication("A")], cascade=cascade)
    (await rig.call("a")).give(B=1)
    await rig.event("run.completed")
    assert (await why(rig, published, "a")).woke
    found = await why(rig, published, "b")
    assert (found.woke, found.rule) == (False, "direct_run")
    (output,) = [event.artifact for event in rig.events if event.artifact and event.artifact.type == "B"]
    found = await why(rig, output.id, "c")
    assert (found.woke, found.rule) == ((True, None) if cascade else (False, "direct_run"))


async def test_an_agent_that_is_gone(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1), agent("b", "B"))
    published = [await rig.publish("A", n) for n in (1, 2)]
    (await rig.call("a", 1)).give(B=1)
    await rig.call("a", 2)
    await rig.stop()
    rig.agents = tuple(one for one in rig.agents if one.name != "a")
    await rig.start()
    await rig.passed()
    found = await why(rig, published[1], "a")
    assert (found.woke, found.rule) == (True, "agent")
    assert found.reason == "It woke a, but its run waits for the agent, which is not loaded."
    found = await why(rig, published[0], "a")
    assert (found.woke, found.rule) == (True, None)
    assert detail(found, "agent") == "No agent a is loaded; it had runs before"
    (output,) = [event.artifact for event in rig.events if event.artifact and event.artifact.type == "B"]
    found = await why(rig, output.id, "a")
    assert (found.woke, found.rule) == (False, "agent")


async def test_an_agent_that_is_new(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("B")
    await rig.stop()
    rig.agents = (*rig.agents, agent("b", "B"))
    await rig.start()
    found = await why(rig, published, "b")
    assert (found.woke, found.rule) == (False, "changed")
    assert all(check.passed for check in found.checks)


async def test_what_nobody_knows(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A"))
    published = await rig.publish("A")
    unknown = new_id()
    with pytest.raises(NotFound, match=f"Artifact not found: {unknown}"):
        await why(rig, unknown, "a")
    with pytest.raises(NotFound, match="Agent not found: nobody"):
        await why(rig, published, "nobody")
