"""Streams of one workflow: from its beginning to the end of a round, whatever the other workflows do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flockd.domain.event import Event, EventKind

from .world import Reader, World, serving, turns

IN_RING, ON_DISK = 1 << 20, 1
SOURCES = pytest.mark.parametrize("ring_bytes", [IN_RING, ON_DISK], ids=["ring", "disk"])


@pytest.fixture(params=[IN_RING, ON_DISK], ids=["ring", "disk"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with serving(World(ring_bytes=request.param, page_events=2)) as world:
        yield world


def work(world: World, count: int = 3) -> None:
    """Of the workflow, between events of another."""
    for _ in range(count):
        world.happen(2, correlation="other")
        world.happen(1, correlation="c1")


def end(world: World, round: int, kind: EventKind = EventKind.correlation_completed) -> Event:
    (event,) = world.happen(1, kind=kind, correlation="c1", data=b'{"round":%d}' % round)
    return event


def follow(world: World, until: int, **query: Any) -> Reader:
    return Reader(world, **{"correlation": "c1", "until": until, "from": "start", **query})


def own(world: World) -> list[int]:
    return [event.seq for event in world.log.committed if event.correlation_id == "c1"]


@pytest.mark.parametrize(
    "kind", [EventKind.correlation_completed, EventKind.correlation_failed, EventKind.correlation_cancelled]
)
async def test_one_that_is_over_is_told_and_ends(world: World, kind: EventKind) -> None:
    work(world)
    last = end(world, 1, kind)
    world.happen(5, correlation="other")
    async with follow(world, 1) as reader:
        await reader.end()
        assert reader.seqs == own(world)
        assert reader.last_id == str(last.seq)
        assert reader.of("goodbye") == []


async def test_one_that_goes_on_is_followed_to_its_end(world: World) -> None:
    work(world)
    async with follow(world, 1) as reader:
        work(world)
        last = end(world, 1)
        work(world)  # of its next round
        await reader.end()
        assert reader.seqs == [seq for seq in own(world) if seq <= last.seq]


async def test_ends_of_earlier_rounds_do_not_end_it(world: World) -> None:
    work(world)
    end(world, 1)
    work(world)
    end(world, 2)
    work(world)
    async with follow(world, 3) as reader:
        last = end(world, 3)
        await reader.at(last.seq)
        await reader.end()
        assert reader.seqs == own(world)


async def test_a_later_end_is_an_end_too(world: World) -> None:
    """Its round ended and the next one began before it was opened, and its cursor is past that."""
    work(world)
    first = end(world, 1)
    work(world)
    last = end(world, 2)
    async with follow(world, 1, after=first.seq) as reader:
        await reader.end()
        assert reader.seqs == [seq for seq in own(world) if first.seq < seq <= last.seq]


async def test_a_filter_that_lets_no_end_through_moves_the_cursor_to_it(world: World) -> None:
    work(world)
    last = end(world, 1)
    async with follow(world, 1, kind="run.failed") as reader:
        await reader.end()
        assert reader.seqs == []
        assert reader.last_id == str(last.seq)


async def test_an_end_in_the_middle_of_a_commit_ends_it_there(world: World) -> None:
    async with follow(world, 1) as reader:
        events = [
            world.make(correlation="c1"),
            world.make(EventKind.correlation_completed, correlation="c1", data=b'{"round":1}'),
            world.make(EventKind.correlation_started, correlation="c1", data=b'{"round":2}'),
        ]
        world.tell(*events)
        await reader.end()
        assert reader.seqs == [1, 2]


async def test_one_that_is_not_there_yet_is_waited_for(world: World) -> None:
    world.happen(20, correlation="other")
    async with follow(world, 1) as reader:
        await turns()
        assert not reader.ended
        work(world)
        end(world, 1)
        await reader.end()
        assert reader.seqs == own(world)


async def test_of_a_long_log_only_its_own_events_are_read() -> None:
    async with serving(World(ring_bytes=ON_DISK, page_events=2)) as world:
        world.happen(200, correlation="other")
        work(world, 1)
        async with follow(world, 1) as reader:
            await reader.at(203)
            end(world, 1)
            await reader.end()
        assert world.log.reads < 10


@pytest.mark.parametrize("position", [0, 2])
async def test_an_emptied_board_ends_it_with_a_gap(world: World, position: int) -> None:
    """Also one that has seen all there was: what it waits for will never come."""
    world.happen(2, correlation="c1")
    async with follow(world, 1, after=position) as reader:
        await reader.until(lambda: len(reader.seqs) == 2 - position)
        world.empty()
        await reader.end()
        assert [gap["data"]["position"] for gap in reader.of("gap")] == [2]


async def test_a_reset_that_nobody_was_told_of_is_no_silence() -> None:
    """The log of the workflow is read when it is already empty, and the hub does not know it."""
    async with serving(World(ring_bytes=ON_DISK)) as world:
        world.happen(5, correlation="c1")
        world.happen(1, correlation="other")
        world.log.gate.clear()
        async with Reader(world, correlation="c1", after=1) as reader:
            await world.log.reached.wait()
            world.empty_log()
            world.log.gate.set()
            await turns()
            assert reader.seqs == []
            world.hub.emptied(7)
            world.happen(1, correlation="c1")
            await reader.at(7)
            assert [gap["data"]["position"] for gap in reader.of("gap")] == [6]


@pytest.mark.parametrize("query", [{}, {"correlation": "c1"}])
async def test_an_emptying_that_is_told_while_the_log_is_read_needs_no_further_news(
    query: dict[str, str],
) -> None:
    async with serving(World(ring_bytes=ON_DISK)) as world:
        world.happen(5, correlation="c1")
        world.log.gate.clear()
        async with Reader(world, after=1, **query) as reader:
            await world.log.reached.wait()
            world.empty()
            world.log.gate.set()
            await reader.until(lambda: bool(reader.of("gap")))
            assert reader.seqs == []


@SOURCES
async def test_a_goodbye_comes_before_its_end(ring_bytes: int) -> None:
    async with serving(World(ring_bytes=ring_bytes)) as world:
        work(world, 1)
        async with follow(world, 1) as reader:
            await reader.at(3)
            await world.streams.goodbye("shutdown")
            await reader.end()
            assert len(reader.of("goodbye")) == 1
