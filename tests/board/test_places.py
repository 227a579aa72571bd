"""Limits of starting: so many at once of each key, and so many in each period."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from flockd.board import Publication
from flockd.board.pause import PauseAgent
from flockd.domain.agent import Agent
from flockd.domain.gathering import BatchSpec
from flockd.domain.predicate import compile_path
from flockd.domain.rate import Rate, parse_rate
from flockd.domain.subscription import Subscription
from flockd.store.command import Needs
from flockd.store.occupancy import Limits
from flockd.store.state import State

from ..rig import LIMIT_SECONDS, Rig, Rigs, agent, publication


def working(rig: Rig) -> list[int]:
    return sorted(call.inputs[0] for call in rig.working)


def keyed(**fields: Any) -> Agent:
    """An agent that works on one artifact of each `n` at a time."""
    return agent("a", "A", max_concurrency=1, concurrency_key=compile_path("n"), **fields)


class Meanwhile:
    """A command that changes nothing, and in the middle of whose transaction something happens on the loop."""

    inside = False

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        asyncio.run_coroutine_threadsafe(self._work(), self._loop).result(LIMIT_SECONDS)


async def turns() -> None:
    """Let whoever was woken do what he can do without waiting for the writer."""
    for _ in range(20):
        await asyncio.sleep(0)


# -- keys -----------------------------------------------------------------------------------------------------


async def test_each_key_has_places_of_its_own(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1, concurrency_key=compile_path("n")))
    for n in (1, 1, 1, 2, 2, 3):
        await rig.publish("A", n)
    await rig.until(lambda: working(rig) == [1, 2, 3])
    (await rig.call("a", 2)).give()
    await rig.until(lambda: rig.kinds().count("run.completed") == 1)
    await rig.until(lambda: working(rig) == [1, 2, 3])
    (await rig.call("a", 2)).give()
    (await rig.call("a", 3)).give()
    await rig.until(lambda: working(rig) == [1])


async def test_ten_thousand_of_one_key_hide_no_other(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1, concurrency_key=compile_path("n")), lane_window=16)
    for _ in range(20):
        await rig.board.publish_many([publication("A", 1) for _ in range(500)])
    await rig.publish("A", 2)
    await rig.until(lambda: working(rig) == [1, 2])


async def test_a_key_outlives_a_crash(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1, concurrency_key=compile_path("n")))
    for n in (1, 1, 2):
        await rig.publish("A", n)
    await rig.until(lambda: working(rig) == [1, 2])
    await rig.crash()
    await rig.start()
    await rig.until(lambda: working(rig) == [1, 2])
    for _ in range(3):
        call = await rig.call("a")
        call.give()
        await call.ended.wait()
    await rig.until(lambda: rig.kinds().count("run.completed") == 3)
    assert [rig.busy(place) for place in ("a", "a\0001", "a\0002")] == [0, 0, 0]


async def test_what_has_no_key_shares_the_agents_own_places(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", max_concurrency=1, concurrency_key=compile_path("none.such")))
    await rig.publish("A", 1)
    await rig.publish("A", 2)
    await rig.call("a", 1)
    await rig.passed()
    assert working(rig) == [1]


async def test_a_direct_run_counts_at_its_key(rigs: Rigs) -> None:
    rig = await rigs(keyed())
    await rig.publish("A", 1)
    first = await rig.call("a", 1)
    for n in (1, 2):
        await rig.board.run_agent(rig.board.agents["a"], [publication("A", n)])
    await rig.call("a", 2)
    assert working(rig) == [1, 2]
    first.give()
    await first.ended.wait()
    await rig.call("a", 1)


async def test_an_item_of_a_batch_counts_at_its_key(rigs: Rigs) -> None:
    rig = await rigs(keyed())
    items = [[publication("A", n)] for n in (1, 1, 2)]
    await rig.board.start_batch(rig.board.agents["a"], items, width=3)
    await rig.call("a", 2)
    assert working(rig) == [1, 2]


@pytest.mark.parametrize("full", [True, False])
async def test_a_gathered_run_counts_at_its_key(rigs: Rigs, full: bool) -> None:
    """Also where its time made it, and no artifact."""
    gathering = Subscription(("A",), "any", gathering=BatchSpec(2, "1h", by="n"))
    key = compile_path("n")
    rig = await rigs(Agent("a", gathering, ("B",), max_concurrency=1, concurrency_key=key))
    for _ in range(4 if full else 3):
        await rig.publish("A", 1)
    call = await rig.call("a", 1)
    rig.clock.advance(3600)
    while await rig.board.wake(rig.clock()):
        pass
    assert await rig.states() == ["running", "ready"]
    assert rig.busy("a\0001") == 1
    call.give()
    await call.ended.wait()
    await rig.call("a", 1)


async def test_a_number_of_any_size_is_a_key(rigs: Rigs) -> None:
    rig = await rigs(keyed())
    for _ in range(2):
        await rig.board.publish(Publication("A", b'{"n":%d}' % 10**30))
    await rig.call("a", 10**30)
    assert await rig.states() == ["running", "ready"]


async def test_what_was_chosen_and_may_not_start_keeps_its_turn(rigs: Rigs) -> None:
    """Its agent is paused between the choice of the next run and its claim."""
    rig = await rigs(agent("a", "A", max_concurrency=1))
    for n in range(5):
        await rig.publish("A", n)
    first = await rig.call("a", 0)

    async def chosen() -> None:
        await rig.event("run.completed")
        await turns()

    async def pause_next() -> None:
        rig.writer.submit(Meanwhile(chosen))
        rig.writer.submit(PauseAgent("a", True))

    async with rig.one_group():
        first.give()
        await first.ended.wait()
        await turns()
        rig.writer.submit(Meanwhile(pause_next))
    await rig.event("agent.paused")
    await rig.passed()
    assert working(rig) == []
    await rig.board.pause_agent(rig.board.agents["a"], False)
    assert (await rig.call("a")).inputs == (1,)


# -- rates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/1m", Rate(10, 60_000)),
        ("5/s", Rate(5, 1000)),
        ("1/PT1H", Rate(1, 3_600_000)),
        ("2/2h", Rate(2, 7_200_000)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["10", "x/1m", "0/1m", "10001/1m", "1/", "1/soon", "/1m"])
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


async def test_no_period_has_more_starts_than_the_rate(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", rate=Rate(2, 60_000)))
    for n in range(5):
        await rig.publish("A", n)
    await rig.until(lambda: working(rig) == [0, 1])
    for call in list(rig.working):
        call.give()
    await rig.until(lambda: rig.kinds().count("run.completed") == 2)
    await rig.passed()
    assert working(rig) == []
    rig.clock.advance(59.9)
    await rig.board.wake(rig.clock())
    assert working(rig) == []
    rig.clock.advance(0.1)
    rig.supervisor._alarm.set()
    await rig.until(lambda: working(rig) == [2, 3])


async def test_a_rate_outlives_a_restart(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", rate=Rate(1, 60_000)))
    await rig.publish("A", 1)
    (await rig.call("a", 1)).give()
    await rig.event("run.completed")
    await rig.crash()
    await rig.start()
    await rig.publish("A", 2)
    await rig.passed()
    assert working(rig) == []
    rig.clock.advance(60)
    rig.supervisor._alarm.set()
    await rig.call("a", 2)


async def test_a_rate_holds_over_keys_and_a_full_queue(rigs: Rigs) -> None:
    rig = await rigs(
        agent("a", "A", rate=Rate(3, 60_000), max_concurrency=1, concurrency_key=compile_path("n")),
        agent("b", "B"),
        limits=Limits(running=10),
    )
    async with rig.one_group():
        for n in range(6):
            rig.soon(rig.publish("A", n))
    await rig.until(lambda: len(rig.working) == 3)
    await rig.publish("B", 9)
    await rig.call("b", 9)
    assert len(rig.working) == 4


async def test_a_rate_keeps_the_order_of_each_key(rigs: Rigs) -> None:
    """More keys than may start: whoever is refused a start is not overtaken by the next of his key."""
    rig = await rigs(keyed(rate=Rate(1, 60_000)))
    made, began = defaultdict[int, list[str]](list), defaultdict[int, list[str]](list)
    a = rig.board.agents["a"]
    await rig.board.pause_agent(a, True)
    numbers = (1, 2, 3) * 3
    for n in numbers:
        made[n] += rig.woke(await rig.publish("A", n))
    await rig.board.pause_agent(a, False)
    for _ in numbers:
        call = await rig.call("a")
        began[call.inputs[0]].append(call.run_id)
        call.give()
        await call.ended.wait()
        await rig.passed()
        rig.clock.advance(60)
        rig.supervisor._alarm.set()
    assert began == made


async def test_no_more_claims_are_asked_for_than_a_rate_allows_at_all_keys_together(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that is refused costs a verb, and a page that is read again."""
    rig = await rigs(keyed(rate=Rate(2, 60_000)))
    asked: list[tuple[int, int]] = []
    claim = rig.board.claim

    async def counted(run_ids: Sequence[str]) -> list[str]:
        claimed = await claim(run_ids)
        asked.append((len(run_ids), len(claimed)))
        return claimed

    monkeypatch.setattr(rig.board, "claim", counted)
    await rig.board.pause_agent(rig.board.agents["a"], True)
    for n in range(20):
        await rig.publish("A", n)
    await rig.board.pause_agent(rig.board.agents["a"], False)
    for done in (2, 4, 6):
        await rig.until(lambda: len(rig.working) == 2)
        for call in list(rig.working):
            call.give()
        await rig.until(lambda done=done: rig.kinds().count("run.completed") == done)  # type: ignore[misc]
        rig.clock.advance(60)
        rig.supervisor._alarm.set()
    await rig.until(lambda: len(rig.working) == 2)
    assert [both for both in asked if both != (0, 0)] == [(2, 2)] * 4


async def test_an_alarm_that_comes_first_does_not_make_a_rate_forgotten(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", rate=Rate(1, 3_600_000)), agent("b", "B", retries=1))
    for n in (1, 2):
        await rig.publish("A", n)
    (await rig.call("a", 1)).give()
    await rig.publish("B", 1)
    (await rig.call("b", 1)).fail()
    await rig.event("run.retrying")
    await rig.passed()
    rig.clock.advance(101)
    rig.supervisor._alarm.set()
    (await rig.call("b", 1)).give()
    await rig.until(lambda: rig.kinds().count("run.completed") == 2)
    rig.clock.advance(3600)
    rig.supervisor._alarm.set()
    await rig.call("a", 2)


async def test_a_clock_that_is_set_back_stops_no_rate(rigs: Rigs) -> None:
    rig = await rigs(agent("a", "A", rate=Rate(1, 60_000)))
    await rig.publish("A", 1)
    (await rig.call("a", 1)).give()
    await rig.event("run.completed")
    rig.clock.advance(-24 * 3600)
    await rig.publish("A", 2)
    await rig.call("a", 2)


async def test_only_as_many_starts_are_remembered_as_the_rate_allows(rigs: Rigs) -> None:
    """After a restart, too: what is asked at each choice does not grow with what has ever started."""
    rig = await rigs(agent("a", "A", rate=Rate(2, 1000)))
    for n in range(6):
        await rig.publish("A", n)
        call = await rig.call("a", n)
        call.give()
        await call.ended.wait()
        rig.clock.advance(2)
        if n == 1:
            await rig.crash()
            await rig.start()
    await rig.passed()
    assert len(rig.writer.occupancy.starts["a"]) <= 2


async def test_the_loop_may_ask_a_rate_while_a_start_is_written(rigs: Rigs) -> None:
    """It sees the start that is not committed yet, and who waits for the rate starts when it lets him."""
    rig = await rigs(keyed(rate=Rate(1, 1000)))
    await rig.publish("A", 1)
    await rig.call("a", 1)
    await rig.publish("A", 1)
    await rig.passed()
    rig.clock.advance(5)

    async def look() -> None:
        rig.supervisor._room.set()
        await turns()

    async with rig.one_group():
        rig.soon(rig.publish("A", 2))
        await turns()
        rig.writer.submit(Meanwhile(look))
    await rig.call("a", 2)
    assert [task.get_name() for task in rig.supervisor.tasks if task.done()] == []
    (await rig.call("a", 1)).give()
    await rig.event("run.completed")
    await rig.passed()
    assert working(rig) == [2]
    rig.clock.advance(1)
    rig.supervisor._alarm.set()
    await rig.call("a", 1)
