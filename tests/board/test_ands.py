"""Much that an AND holds in one workflow: nothing costs more for it, the oldest goes first, and nothing is lost."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flockd.board import Published
from flockd.domain.identity import id_text
from flockd.domain.visibility import PUBLIC
from flockd.store.occupancy import Limits
from flockd.store.records import Held
from flockd.store.rows import Row, held_from
from flockd.store.slots import UNJOINED_MOST, WINDOW, Slot, Slots, unjoined

from ..rig import Rig, Rigs, agent, new_id, publication
from .test_agent_error import Counting
from .test_pool_pages import HOUR, bulk, traced


async def holding(rig: Rig, held: int, *, active: bool = True) -> str:
    """A correlation in which so many As wait; something of it works, or (not `active`) nothing."""
    one = new_id()
    if active:
        await rig.publish("E", 0, one)
    for start in range(0, held, 500):
        await bulk(rig, "A", range(start, min(held, start + 500)), correlation_id=one)
    await rig.passed()
    return one


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Held]:
    """What the writer reads of what ANDs hold."""
    read: list[Held] = []

    def counting(row: Row) -> Held:
        read.append(held_from(row))
        return read[-1]

    monkeypatch.setattr("flockd.store.load_slots.held_from", counting)
    return read


def small_windows(monkeypatch: pytest.MonkeyPatch, window: int, most: int) -> None:
    monkeypatch.setattr("flockd.store.slots.WINDOW", window)
    monkeypatch.setattr("flockd.store.load_slots.FEW", 0)
    for module in ("slots", "state", "reads.correlations"):
        monkeypatch.setattr(f"flockd.store.{module}.UNJOINED_MOST", most)


# -- few rows, few statements -----------------------------------------------------------------------------------


async def test_of_much_that_is_held_only_the_oldest_are_read_and_remembered(
    rigs: Rigs, read: list[Held]
) -> None:
    rig = await rigs(agent("ab", "A", "B"), agent("aab", "A", "A", "B"), agent("keep", "E"))
    one = await holding(rig, 1500)
    assert read == [], "it is remembered"
    statements = traced(rig, " slots")
    for type in "ACE":
        await rig.publish(type, 0, one)
    assert [sql.split()[:3] for sql in statements] == [["INSERT", "INTO", "slots"]]
    await rig.publish("B", 1, one)
    assert (await rig.call("ab")).inputs == (0, 1)
    assert (await rig.call("aab")).inputs == (0, 1, 1)
    assert read == []
    await rig.crash()
    await rig.start()
    await rig.publish("B", 2, one)
    await rig.until(lambda: len(rig.working) == 6)
    assert {call.inputs for call in rig.working} == {(0,), (0, 1), (0, 1, 1), (1, 2), (2, 3, 2)}
    assert {len([one for one in read if one.agent == name]) for name in ("ab", "aab")} == {WINDOW}


async def test_an_idle_workflow_reads_a_window_of_each_agent_and_its_end_lists_the_oldest(
    rigs: Rigs, read: list[Held]
) -> None:
    rig = await rigs(agent("ab", "A", "B"), agent("ac", "A", "C"))
    one = await holding(rig, WINDOW + 2, active=False)
    read.clear()
    await rig.publish("D", 1, one)
    assert len(read) == 2 * WINDOW
    (*_, ended) = rig.data("correlation.completed", one)
    assert [line["agent"] for line in ended["unjoined"]] == ["ab", "ac"]
    assert all(len(line["artifacts"]) == UNJOINED_MOST and line["truncated"] for line in ended["unjoined"])
    assert ended["unjoined"] == await rig.reads.unjoined(one)
    oldest = rig.connection.execute(
        "SELECT id FROM artifacts WHERE type = 'A' ORDER BY seq LIMIT ?", (UNJOINED_MOST,)
    )
    assert ended["unjoined"][0]["artifacts"] == [id_text(key) for (key,) in oldest]


async def test_what_is_listed_whole_is_not_called_truncated(rigs: Rigs) -> None:
    rig = await rigs(agent("ab", "A", "B"))
    one = await holding(rig, UNJOINED_MOST, active=False)
    (*_, ended) = rig.data("correlation.completed", one)
    (line,) = ended["unjoined"]
    assert len(line["artifacts"]) == UNJOINED_MOST and "truncated" not in line
    await rig.publish("A", 0, one)
    (*_, ended) = rig.data("correlation.completed", one)
    assert ended["unjoined"] == [line | {"truncated": True}] == await rig.reads.unjoined(one)


async def test_many_are_taken_by_few_statements(rigs: Rigs, read: list[Held]) -> None:
    """Also by one command that takes several windows."""
    agents = agent("ab", "A", "B", max_concurrency=1000), agent("keep", "E")
    rig = await rigs(*agents, limits=Limits(running=1000))
    one = await holding(rig, 1000)
    statements = traced(rig, " slots")
    await bulk(rig, "B", range(900), correlation_id=one)
    assert [sql.split()[0] for sql in statements].count("DELETE") == 4, "of 512, 256, 128 and 4"
    assert len(statements) < 16
    assert len(read) < 1000
    await rig.until(lambda: len(rig.working) == 901)
    assert sorted(call.inputs for call in rig.working if call.agent == "ab") == [(n, n) for n in range(900)]
    assert rig.connection.execute("SELECT count(*) FROM slots").fetchone() == (100,)


async def test_a_death_in_the_middle_of_a_group_finds_the_oldest(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to an AND, which no command could name before."""
    small_windows(monkeypatch, 1, 1)
    counting = Counting()
    rig = await rigs(agent("a", "A"), agent("join", "AgentError", "B"), engines={"join": counting})
    one = new_id()
    for n in (1, 2):
        await rig.publish("A", n, one)
    for n in (3, 4, 5):
        await rig.publish("B", n, one)
    calls = [await rig.call("a", n) for n in (1, 2)]
    async with rig.one_group():
        for call in calls:
            call.fail()
            await call.ended.wait()
    await rig.until(lambda: counting.given == [2, 2])
    left = rig.connection.execute("SELECT payload FROM slots JOIN artifacts USING (seq)").fetchall()
    assert left == [(b'{"n":5}',)]


# -- against a naive model --------------------------------------------------------------------------------------

JOINS = {"ab": "AB", "aab": "AAB", "bb": "BB"}

Step = tuple[str, int, bool]
"""(type, which workflow, whether it is hidden at first)."""


class Model:
    """One list for each type of each agent of each workflow, in the order of publication."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.runs: dict[tuple[str, str], list[tuple[int, ...]]] = defaultdict(list)

    def publish(self, type: str, seq: int, correlation_id: str) -> None:
        for name, types in JOINS.items():
            if type not in types:
                continue
            held = self.held[correlation_id, name]
            insort(held[type], seq)
            if all(len(held[one]) >= types.count(one) for one in types):
                self.runs[correlation_id, name].append(tuple(held[one].pop(0) for one in types))

    def unjoined(self, correlation_id: str, most: int) -> dict[str, tuple[list[int], bool]]:
        """By agent: the oldest, and whether there are more."""
        found = {}
        for name in JOINS:
            seqs = sorted(seq for held in self.held[correlation_id, name].values() for seq in held)
            if seqs:
                found[name] = seqs[:most], len(seqs) > most
        return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(1, 1), (1, 3), (2, 1), (3, 2)]),
    st.lists(
        st.one_of(
            st.lists(
                st.tuples(st.sampled_from("AB"), st.integers(0, 1), st.booleans()), min_size=1, max_size=9
            ),
            st.sampled_from(["crash", "finish", "reveal"]),
        ),
        max_size=9,
    ),
    st.booleans(),
)
@example((1, 1), [[("A", 1, False)] * 6, "crash", [("B", 1, False)] * 6], True)
async def test_whatever_is_held_is_what_a_naive_model_says(
    rigs: Rigs,
    monkeypatch: pytest.MonkeyPatch,
    windows: tuple[int, int],
    steps: list[list[Step] | str],
    in_bulk: bool,
) -> None:
    """With windows that are smaller than what is held; the first workflow works all the time, the second does not."""
    small_windows(monkeypatch, *windows)
    rig = await rigs(*[agent(name, *types) for name, types in JOINS.items()], agent("keep", "E"))
    model, seqs, hidden = Model(), dict[str, int](), list[tuple[int, str, str]]()
    flows = [new_id(), new_id()]
    await rig.publish("E", 0, flows[0])
    for step in steps:
        if step == "crash":
            await rig.crash()
            await rig.start()
        elif step == "finish":
            for call in [call for call in rig.working if call.agent != "keep" and not call.result.done()]:
                call.give()
                await call.ended.wait()
        elif step == "reveal":
            await rig.passed()
            rig.clock.advance(3600)
            await rig.board.reveal(rig.clock())
            for seq, type, flow in hidden:
                model.publish(type, seq, flow)
            hidden.clear()
        else:
            for type, which, seq in await published(rig, step, flows, in_bulk, seqs):
                if seq < 0:
                    hidden.append((-seq, type, flows[which]))
                else:
                    model.publish(type, seq, flows[which])
        await rig.passed()
        for flow in flows:
            await compare(rig, model, flow, seqs, windows[1])
    assert rig.verify() == []
    await rig.stop()


async def published(
    rig: Rig, step: Sequence[Any], flows: list[str], in_bulk: bool, seqs: dict[str, int]
) -> list[tuple[str, int, int]]:
    """Publish these in one transaction; answers (type, workflow, seq), less than 0 where it is hidden."""
    items = [
        publication(type, 0, flows[which], visibility=HOUR if is_hidden else PUBLIC)
        for type, which, is_hidden in step
    ]
    if in_bulk:
        results: Sequence[Any] = (await rig.board.publish_many(items, atomic=True)).results
    else:
        async with rig.one_group():
            tasks = [rig.soon(rig.board.publish(item)) for item in items]
        results = await asyncio.gather(*tasks)
    answer = []
    for (type, which, is_hidden), result in zip(step, results, strict=True):
        assert isinstance(result, Published)
        seqs[result.artifact_id] = result.seq
        answer.append((type, which, -result.seq if is_hidden else result.seq))
    return answer


async def compare(rig: Rig, model: Model, flow: str, seqs: dict[str, int], most: int) -> None:
    runs, _ = await rig.reads.runs(correlation_id=flow, limit=500)
    for name in JOINS:
        made = [tuple(seqs[one] for one in run.inputs) for run in reversed(runs) if run.agent == name]
        assert made == model.runs[flow, name]
    told = [await rig.reads.unjoined(flow)]
    found = await rig.reads.correlation(flow)
    if found is not None and found.state != "active":
        told.append(rig.data("correlation.completed", flow)[-1]["unjoined"])
    for lines in told:
        assert {
            line["agent"]: ([seqs[one] for one in line["artifacts"]], line.get("truncated", False))
            for line in lines
        } == model.unjoined(flow, most)


# -- one slot -----------------------------------------------------------------------------------------------------


def held(seq: int, type: str = "A", agent: str = "ab") -> Held:
    return Held(agent, seq, f"artifact {seq}", type, 1)


def seqs_of(slot: Slot) -> list[int]:
    return [one.seq for one in slot.held]


def test_what_comes_behind_what_is_not_loaded_is_out_of_sight() -> None:
    slot = Slot(is_whole=False)
    slot.extend([held(2), held(4)], is_whole=False)
    for seq in (9, 3, 7):
        slot.add(held(seq))
    assert seqs_of(slot) == [2, 3, 4]
    slot.extend([held(6), held(8)], is_whole=False)
    assert seqs_of(slot) == [2, 3, 4, 6, 7, 8]
    slot.extend([], is_whole=True)
    assert seqs_of(slot) == [2, 3, 4, 6, 7, 8, 9]
    slot.remove(held(3))
    assert seqs_of(slot) == [2, 4, 6, 7, 8, 9]
    with pytest.raises(AssertionError, match="only what is held"):
        slot.remove(held(3))


def test_of_much_a_window_is_remembered() -> None:
    slots = Slots()
    for seq in range(1, 2 * WINDOW + 2):
        slots.add(held(seq))
    slots.add(held(1, "B"))
    slots.shorten()
    many, one = slots["ab", "A"], slots["ab", "B"]
    assert (seqs_of(many), many.is_whole, many.last) == (list(range(1, WINDOW + 1)), False, WINDOW)
    assert (seqs_of(one), one.is_whole) == ([1], True)


def test_of_each_agent_the_oldest_are_listed_in_the_order_of_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_windows(monkeypatch, 1, 2)
    assert unjoined([held(5), held(3), held(4, "B"), held(2, agent="x"), held(9, agent="x")]) == [
        {"agent": "x", "artifacts": ["artifact 2", "artifact 9"]},
        {"agent": "ab", "artifacts": ["artifact 3", "artifact 4"], "truncated": True},
    ]
    assert unjoined([]) == []
