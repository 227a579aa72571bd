"""The ring of the hub, and those who wait for an end."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from flockd.domain.event import Event, EventKind
from flockd.errors import NotFound, Unavailable
from flockd.streams.hub import EndWatch, Frame, Hub

from .world import World


def seqs(frames: list[Frame] | None) -> list[int] | None:
    return None if frames is None else [frame.event.seq for frame in frames]


async def test_the_ring_gives_what_follows_a_seq() -> None:
    world = World()
    world.happen(5)
    hub = world.hub
    assert seqs(hub.frames_after(0, 10)) == [1, 2, 3, 4, 5]
    assert seqs(hub.frames_after(3, 10)) == [4, 5]
    assert seqs(hub.frames_after(1, 2)) == [2, 3]
    assert seqs(hub.frames_after(5, 10)) == []
    assert seqs(hub.frames_after(9, 10)) == []


async def test_the_ring_is_bounded_in_bytes_and_keeps_the_newest() -> None:
    world = World(ring_bytes=10_000)
    world.happen(100, data=b'"' + b"x" * 500 + b'"')
    hub = world.hub
    assert sum(frame.weight for frame in hub.ring) <= 10_000
    assert hub.ring[-1].event.seq == hub.head == 100
    oldest = hub.ring[0].event.seq
    assert hub.reaches(oldest - 1)
    assert not hub.reaches(oldest - 2)
    assert hub.frames_after(oldest - 2, 10) is None


async def test_one_event_larger_than_the_ring_is_kept() -> None:
    world = World(ring_bytes=100)
    world.happen(2, data=b'"' + b"x" * 500 + b'"')
    assert seqs(world.hub.frames_after(1, 10)) == [2]


async def test_a_frame_is_encoded_once() -> None:
    world = World()
    world.happen()
    (frame,) = world.hub.ring
    assert frame.body(100) is frame.body(100)


async def test_an_emptied_log_begins_again_without_reusing_a_seq() -> None:
    world = World()
    world.happen(3)
    world.empty()
    assert (world.hub.head, world.hub.complete_from) == (3, 4)
    assert not world.hub.ring
    assert seqs(world.hub.frames_after(3, 10)) == []
    world.happen()
    assert seqs(world.hub.frames_after(3, 10)) == [4]


def ended(world: World, round: int, correlation: str = "c1") -> Event:
    data = orjson.dumps({"round": round})
    return world.make(EventKind.correlation_completed, correlation=correlation, data=data)


async def test_a_watch_waits_for_the_end_of_its_round() -> None:
    world = World()
    with world.hub.watch_end("c1") as watch:
        waiting = asyncio.create_task(watch.ended(2, None))
        world.tell(ended(world, 2, "other"))
        world.tell(ended(world, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        end = ended(world, 2)
        world.tell(end)
        reached = await waiting
        assert reached is not None and reached.event is end


async def test_a_later_round_ends_an_earlier_one_too() -> None:
    world = World()
    with world.hub.watch_end("c1") as watch:
        end = ended(world, 3)
        world.tell(end)
        reached = await watch.ended(1, None)
        assert reached is not None and reached.event is end


async def test_a_watch_times_out() -> None:
    with World().hub.watch_end("c1") as watch:
        assert await watch.ended(1, 0) is None


@pytest.mark.parametrize("before", [True, False])
async def test_a_draining_hub_tells_those_who_wait(before: bool) -> None:
    hub = World().hub
    if before:
        hub.drain()
    with hub.watch_end("c1") as watch:
        waiting = asyncio.create_task(watch.ended(1, None))
        await asyncio.sleep(0)
        hub.drain()
        with pytest.raises(Unavailable) as raised:
            await waiting
    assert raised.value.details == {"correlation_id": "c1"}


async def test_an_end_that_is_known_wins_over_draining() -> None:
    world = World()
    with world.hub.watch_end("c1") as watch:
        end = ended(world, 1)
        world.tell(end)
        world.hub.drain()
        reached = await watch.ended(1, None)
        assert reached is not None and reached.event is end


async def test_an_emptied_board_has_no_end_to_wait_for() -> None:
    world = World()
    with world.hub.watch_end("c1") as watch:
        waiting = asyncio.create_task(watch.ended(1, None))
        await asyncio.sleep(0)
        world.hub.emptied(8)
        with pytest.raises(NotFound):
            await waiting


def produced(world: World, run: str | None) -> Event:
    event = world.make(EventKind.artifact_published, type="T", run=run)
    assert event.artifact is not None
    return event._replace(artifact=event.artifact._replace(run_id=run))


async def test_a_watch_collects_what_agents_produced_and_how_they_failed() -> None:
    world = World()
    with world.hub.watch_end("c1") as watch:
        given, made = produced(world, None), produced(world, "r1")
        died = world.make(EventKind.run_failed, agent="a", run="r2", data=b'{"error":{}}')
        world.tell(given, made, died, ended(world, 1))
        # the next round begins before the waiter wakes: the end of the first keeps what belongs to it
        world.tell(world.make(EventKind.correlation_started), ended(world, 2))
        first, second = await watch.ended(1, None), await watch.ended(2, None)
        assert first is not None and second is not None
        assert (first.artifacts, first.errors) == ([made.artifact], [("a", b'{"error":{}}')])
        assert (second.artifacts, second.errors) == ([], [])


async def test_a_watch_does_not_hold_more_than_it_may() -> None:
    world = World()
    watch = EndWatch("c1")
    for _ in range(1001):
        watch.take(produced(world, "r1"))
    watch.take(ended(world, 1))
    end = await watch.ended(1, None)
    assert end is not None and end.artifacts is None


async def test_nobody_is_told_after_leaving() -> None:
    world = World()
    with world.hub.watch_end("c1") as one:
        with world.hub.watch_end("c1") as two:
            pass
        world.tell(ended(world, 1))
    world.tell(ended(world, 2))
    assert [(await watch.ended(1, 0)) is not None for watch in (one, two)] == [True, False]
    assert await one.ended(2, 0) is None


def test_a_hub_without_streams_is_told_all_the_same() -> None:
    hub = Hub(ring_bytes=1000, inline_bytes=10, head=7, log_id="l", complete_from=1)
    hub.tell([])
    hub.tell([Event(8, EventKind.run_started, 1, "c1")])
    hub.tell_live(Event(0, EventKind.run_output, 1, "c1"))
    assert hub.position(5) == {"log_id": "l", "head": 8, "complete_from": 1, "position": 5}
