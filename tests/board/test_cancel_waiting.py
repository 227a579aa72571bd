"""Cancelling a workflow of which much waits: in pools, hidden, or held by ANDs."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flockd.board import Published
from flockd.domain.agent import Agent
from flockd.domain.gathering import JoinSpec
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import PUBLIC
from flockd.errors import Conflict
from flockd.store.command import DUE_PAGE
from flockd.store.occupancy import Limits

from ..rig import Call, Rig, Rigs, agent, new_id, publication
from .test_pool_pages import HOUR, bulk, traced
from .test_pools import gatherer


def count(rig: Rig, table: str) -> int:
    found: int = rig.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


async def test_what_waits_goes_by_one_statement_for_each_table(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await rigs(
        gatherer("A", "B", by="n", within="9h"),
        gatherer("A", name="h", size=500, timeout="9h", by="n"),
        agent("keep", "E"),
    )
    one, other = new_id(), new_id()
    await rig.publish("E", 0, one)
    await bulk(rig, "A", range(300), correlation_id=one)
    await bulk(rig, "A", range(200), correlation_id=one, visibility=HOUR)
    await bulk(rig, "A", range(3), correlation_id=other)
    await bulk(rig, "A", range(2), correlation_id=other, visibility=HOUR)
    await rig.passed()
    statements = traced(rig, " pools ", " hidden ")
    with monkeypatch.context() as nothing_is_read:
        for name in ("pooled_from", "hidden_from"):
            nothing_is_read.setattr(f"flockd.store.load_waiting.{name}", None)
        cancelled = await rig.board.cancel_correlation(one)
    assert [sql.split()[0] for sql in statements] == ["SELECT", "DELETE", "DELETE"]
    assert (cancelled.open, cancelled.state) == (0, "cancelled")
    assert rig.kinds(one)[-2:] == ["run.cancelled", "correlation.cancelled"]
    assert (count(rig, "pools"), count(rig, "hidden")) == (6, 2)
    assert rig.verify() == []
    with pytest.raises(Conflict):
        await rig.publish("A", 1, one)


async def test_a_workflow_that_a_limit_ended_gathers_anew_in_its_next_round(rigs: Rigs) -> None:
    rig = await rigs(
        gatherer("A", "B", by="n", within="9h"),
        agent("a", "C"),
        agent("b", "D"),
        limits=Limits(correlation_depth=1),
    )
    one = new_id()
    await rig.publish("C", 0, one)
    await bulk(rig, "A", range(5), correlation_id=one)
    await bulk(rig, "A", range(5), correlation_id=one, visibility=HOUR)
    (await rig.call("a")).give(D=1)
    await rig.event("correlation.failed", correlation_id=one)
    assert (count(rig, "pools"), count(rig, "hidden")) == (0, 0)
    await rig.publish("B", 1)
    assert rig.busy("g") == 0
    await bulk(rig, "A", range(5), correlation_id=one)
    assert (await rig.call("g")).inputs == (1, 1)
    assert count(rig, "pools") == 4
    assert rig.verify() == []


@pytest.mark.parametrize("cancel_first", [False, True])
async def test_what_comes_of_age_in_the_transaction_of_the_cancelling(rigs: Rigs, cancel_first: bool) -> None:
    rig = await rigs(agent("a", "A"))
    one = new_id()
    await bulk(rig, "A", range(3), correlation_id=one, visibility=HOUR)
    await rig.passed()
    rig.clock.advance(3600)
    async with rig.one_group():
        (due, *_) = await rig.reads.due_hidden(rig.clock(), 10)
        if cancel_first:
            rig.soon(rig.board.cancel_correlation(one))
            await asyncio.sleep(0)
        revealed = rig.writer.submit(rig.board.preparing.revealing(*due))
        if not cancel_first:
            rig.soon(rig.board.cancel_correlation(one))
    assert await revealed is not cancel_first
    assert await rig.states() == ([] if cancel_first else ["cancelled"])
    assert (await rig.state(one), count(rig, "hidden")) == ("cancelled", 0)
    assert rig.verify() == []


@pytest.mark.parametrize("cancel_first", [False, True])
async def test_what_is_due_in_the_transaction_of_the_cancelling(rigs: Rigs, cancel_first: bool) -> None:
    """A page of it is loaded, and more than that waits."""
    rig = await rigs(gatherer("A", "B", by="n", within="1h"), agent("keep", "E"))
    one = new_id()
    await rig.publish("E", 0, one)
    await bulk(rig, "A", range(DUE_PAGE + 100), correlation_id=one)
    await rig.passed()
    rig.clock.now += 3_600_000
    async with rig.one_group():
        if cancel_first:
            rig.soon(rig.board.cancel_correlation(one))
            await asyncio.sleep(0)
        rig.soon(rig.board.wake(rig.clock()))
        await asyncio.sleep(0)
        if not cancel_first:
            rig.soon(rig.board.cancel_correlation(one))
    assert len(rig.data("join.expired")) == (0 if cancel_first else DUE_PAGE)
    assert (await rig.state(one), count(rig, "pools")) == ("cancelled", 0)
    assert rig.verify() == []


async def test_a_batch_takes_what_its_items_gathered_with_it(rigs: Rigs) -> None:
    """The items in flight, and nothing of those that have ended."""
    rig = await rigs(agent("a", "A"), gatherer("B", "C", by="n", within="9h"))
    batch = await rig.board.start_batch(rig.agents[0], [[publication("A", n)] for n in range(4)], width=2)
    for n in range(2):
        (await rig.call("a", n)).give(B=[n * 10 + i for i in range(3)])
    await rig.until(lambda: rig.kinds().count("run.completed") == 2)
    await rig.passed()
    assert count(rig, "pools") == 6
    other = await rig.publish("B", 99)
    await rig.board.cancel_correlation(batch.correlation_id)
    assert rig.connection.execute("SELECT key FROM pools").fetchall() == [("99",)]
    assert await rig.state(other.correlation_id) == "active"
    assert rig.kinds().count("correlation.cancelled") == 3
    assert rig.verify() == []


# -- against a naive model --------------------------------------------------------------------------------------

Item = tuple[str, int, int, bool]
"""(type, key, which workflow, whether it is hidden at first)."""
Group = tuple[list[int], list[Item]]
"""(what is cancelled, and -1 for each death; what is published after that): one transaction."""

BY = {"AgentError": "attempt", "B": "n"}
ERRORS = Agent("errors", Subscription(("AgentError", "B"), gathering=JoinSpec(by=BY, within="99h")), ())


class Model:
    """What waits, by agent, key and type, as (seq, which workflow)."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, int], dict[str, list[tuple[int, int]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.hidden: list[tuple[int, Item]] = []
        self.cancelled: set[int] = set()
        self.made: dict[str, list[tuple[int, ...]]] = defaultdict(list)

    def publish(self, seq: int, type: str, key: int, which: int) -> None:
        for name, types in {"g": ("A", "B"), "errors": ("AgentError", "B")}.items():
            if type in types:
                waiting = self.waiting[name, key]
                insort(waiting[type], (seq, which))
                if all(waiting[one] for one in types):
                    self.made[name].append(tuple(waiting[one].pop(0)[0] for one in types))
        if type == "A":
            waiting = self.waiting["pairs", key]
            insort(waiting[type], (seq, which))
            if len(waiting[type]) == 2:
                self.made["pairs"].append(tuple(waiting[type].pop(0)[0] for _ in range(2)))

    def cancel(self, which: int) -> None:
        self.cancelled.add(which)
        for by_type in self.waiting.values():
            for type, held in by_type.items():
                by_type[type] = [one for one in held if one[1] != which]
        self.hidden = [one for one in self.hidden if one[1][2] != which]


items = st.tuples(
    st.sampled_from("AAB"), st.integers(1, 2), st.integers(0, 2), st.sampled_from([False, False, True])
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.tuples(st.lists(st.integers(-1, 2), max_size=3), st.lists(items, max_size=9)), st.none())
    )
)
@example([([], [("B", 1, 0, False)] * 9 + [("B", 1, 1, False)]), ([0, -1], [("A", 1, 2, False)] * 3)])
@example(
    [([], [("A", 1, 0, False), ("A", 2, 0, False), ("A", 1, 1, True)]), ([0, -1], [("B", 1, 2, False)]), None]
)
async def test_what_is_cancelled_pairs_with_nothing_whatever_else_is_done_with_it(
    rigs: Rigs, groups: list[Group | None]
) -> None:
    """In one transaction: workflows are cancelled, runs die, and others publish into the same pools; None: what is
    hidden comes of age."""
    rig = await rigs(
        gatherer("A", "B", by="n", within="99h"),
        gatherer("A", name="pairs", size=2, timeout="99h", by="n"),
        ERRORS,
        agent("dies", "C"),
    )
    model, seqs, flows = Model(), dict[str, int](), [new_id(), new_id(), new_id()]
    for number, group in enumerate(groups):
        if group is None:
            await rig.passed()
            rig.clock.advance(3600)
            await rig.board.reveal(rig.clock())
            for seq, (type, key, which, _) in model.hidden:
                model.publish(seq, type, key, which)
            model.hidden.clear()
        else:
            await decide(rig, model, flows, group, seqs, number)
        await rig.passed()
        runs, _ = await rig.reads.runs(limit=500)
        for name in ("g", "pairs", "errors"):
            inputs = [run.inputs for run in reversed(runs) if run.agent == name]
            assert [tuple(seqs[one] for one in ids) for ids in inputs] == model.made[name]
    assert rig.verify() == []
    await rig.stop()


async def decide(
    rig: Rig, model: Model, flows: list[str], group: Group, seqs: dict[str, int], number: int
) -> None:
    """One transaction, in which what comes from inside comes first."""
    inside, published = group
    named = {item[2] for item in published} | {which for which in inside if which >= 0}
    for which in named - model.cancelled:
        await rig.publish("D", 0, flows[which])  # so that there is one to cancel
    effective = {which for which in inside if which >= 0 and await rig.state(flows[which]) == "active"}
    deaths = [await dying(rig, 100 * number + n) for n in range(inside.count(-1))]
    before = len(rig.events)
    async with rig.one_group():
        for which in inside:
            if which < 0:
                call = deaths.pop()
                call.fail()
                await call.ended.wait()
            else:
                rig.soon(rig.board.cancel_correlation(flows[which]))
            for _ in range(5):
                await asyncio.sleep(0)
        tasks = [
            rig.soon(rig.publish(type, key, flows[which], visibility=HOUR if is_hidden else PUBLIC))
            for type, key, which, is_hidden in published
        ]
    artifacts = [event.artifact for event in rig.events[before:] if event.artifact]
    errors = [artifact for artifact in artifacts if artifact.type == "AgentError"]
    seqs |= {artifact.id: artifact.seq for artifact in artifacts}
    for which in inside:
        if which < 0:
            model.publish(errors.pop(0).seq, "AgentError", 1, -1)
        elif which in effective:
            model.cancel(which)
    for item, result in zip(published, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        assert isinstance(result, Conflict if item[2] in model.cancelled else Published), result
        if isinstance(result, Published) and item[3]:
            model.hidden.append((result.seq, item))
        elif isinstance(result, Published):
            model.publish(result.seq, *item[:3])


async def dying(rig: Rig, n: int) -> Call:
    """A run that is about to die."""
    await rig.publish("C", n)
    return await rig.call("dies", n)
