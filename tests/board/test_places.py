"""Limits of starting: so many at once of each key, and so many in each period."""

from __future__ import annotations

import pytest

from flockd.domain.predicate import compile_path
from flockd.domain.rate import Rate, parse_rate
from flockd.store.occupancy import Limits

from ..rig import Rig, Rigs, agent, publication


def working(rig: Rig) -> list[int]:
    return sorted(call.inputs[0] for call in rig.working)


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
