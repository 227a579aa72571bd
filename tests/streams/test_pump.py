"""Single rounds of the pump, on sockets whose clients take bytes when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import orjson
import pytest

from flockd.domain.event import EventKind
from flockd.domain.filter import EVERYTHING
from flockd.streams import pump
from flockd.streams.connection import Connection, Medium
from flockd.streams.encode import SSE
from flockd.streams.subscription import Subscription

from .fake_socket import FakeSocket
from .world import World, turns

BUFFER_BYTES = 4000
ALL = 1 << 30

Join = Callable[[], FakeSocket]


def subscribed(socket: FakeSocket, position: int) -> Subscription:
    """To everything, over SSE."""
    connection = Connection(
        socket, socket.writer, medium=Medium.sse, chunked=False, buffer_bytes=BUFFER_BYTES
    )
    return Subscription(connection, EVERYTHING, SSE, position=position)


@pytest.fixture
def world() -> World:
    return World(buffer_bytes=BUFFER_BYTES, page_events=5)


@pytest.fixture
async def join(world: World) -> AsyncIterator[Join]:
    """Opens a stream from now on."""
    tasks: list[asyncio.Task[None]] = []

    def joined() -> FakeSocket:
        socket = FakeSocket()
        subscription = subscribed(socket, world.hub.head)
        tasks.append(asyncio.create_task(world.streams.serve(subscription, gap=False)))
        return socket

    async with world.streams:
        yield joined
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def take_all(socket: FakeSocket) -> None:
    """The client reads until nothing more comes."""
    await turns(20)
    while socket.get_write_buffer_size():
        socket.take(ALL)
        await turns(20)


def seqs(socket: FakeSocket) -> list[int]:
    return [int(block.id) for block in socket.blocks if block.id and block.data]


def texts(socket: FakeSocket) -> list[tuple[int, str]]:
    events = [orjson.loads(block.data or "") for block in socket.blocks if block.event == "run.output"]
    return [(event["data"]["offset"], event["data"]["text"]) for event in events]


async def test_one_that_does_not_read_is_given_no_more_than_it_has_room_for(world: World, join: Join) -> None:
    socket = join()
    await turns()
    for _ in range(300):
        world.happen(1)
        await asyncio.sleep(0)
    assert socket.most <= 2 * BUFFER_BYTES
    await take_all(socket)
    assert seqs(socket) == world.after(0)


async def test_one_without_room_gets_the_whole_text_when_it_has_room_again(world: World, join: Join) -> None:
    socket = join()
    await turns()
    world.write("r1", "one ", 0)
    await turns()
    while socket.get_write_buffer_size() <= BUFFER_BYTES:
        world.happen(1)
        await turns()
    world.write("r1", "two ", 4)
    await turns()
    world.write("r1", "three", 8)
    await take_all(socket)
    assert texts(socket) == [(0, "one "), (0, "one two three")]


async def test_what_is_kept_for_one_that_does_not_read_does_not_grow_with_the_runs_that_write(
    world: World,
) -> None:
    socket = FakeSocket()
    subscription = subscribed(socket, 0)
    async with world.streams:
        task = asyncio.create_task(world.streams.serve(subscription, gap=False))
        world.happen(100)
        await turns()
        assert subscription.is_behind
        for number in range(50):
            world.write(f"r{number}", "text", 0)
            await turns(5)
            world.happen(1, kind=EventKind.run_completed, run=f"r{number}")
            await turns(5)
        world.write("r50", "text", 0)
        await turns(5)
        assert subscription.missed == {"r50"}
        await take_all(socket)
        assert texts(socket) == [(0, "text")]
        assert seqs(socket) == world.after(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_text_behind_more_events_than_one_write_carries_is_told_after_them(
    world: World, join: Join
) -> None:
    socket = join()
    await turns()
    world.write("r1", "one ", 0)
    await take_all(socket)
    world.happen(100)
    world.write("r1", "two", 4)
    await take_all(socket)
    assert seqs(socket) == world.after(0)
    assert socket.blocks[-1].event == "run.output"
    assert texts(socket) == [(0, "one "), (0, "one two")]


async def test_readers_of_one_round_who_lack_different_things_are_not_served_alike(
    world: World, join: Join
) -> None:
    """Chunks of the tick in which some join: those get them inside the text so far, the others as they are."""
    old = [join() for _ in range(5)]
    world.write("r1", "one ", 0)
    for socket in old:
        await take_all(socket)
    new = [join() for _ in range(5)]
    await asyncio.sleep(0)
    world.write("r1", "two", 4)
    for socket in [*old, *new]:
        await take_all(socket)
    assert [texts(socket) for socket in old] == [[(0, "one "), (4, "two")]] * 5
    assert [texts(socket) for socket in new] == [[(0, "one two")]] * 5


async def test_the_texts_of_many_runs_wait_for_room_too(world: World, join: Join) -> None:
    for number in range(50):
        world.write(f"r{number}", "x" * 500, 0)
    await turns()
    socket = join()
    await turns()
    assert socket.most <= 2 * BUFFER_BYTES
    await take_all(socket)
    assert texts(socket) == [(0, "x" * 500)] * 50


async def test_the_loop_goes_on_between_readers_who_take_long_to_serve(
    world: World, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "_HOLD_SECONDS", 0.0)
    sockets = [join() for _ in range(5)]
    await turns()
    writes: list[int] = []
    turn = 0
    for socket in sockets:
        monkeypatch.setattr(socket, "write", lambda _data: writes.append(turn))
    world.happen(1)
    for turn in range(20):  # noqa: B007 - what the writes note
        await asyncio.sleep(0)
    assert len(set(writes)) == len(sockets)


async def test_an_emptied_log_is_not_read_over_and_over_until_the_hub_is_told() -> None:
    world = World(ring_bytes=1, buffer_bytes=BUFFER_BYTES)
    world.happen(10)
    socket = FakeSocket()
    subscription = subscribed(socket, 0)
    async with world.streams:
        world.empty_log()
        task = asyncio.create_task(world.streams.serve(subscription, gap=False))
        await turns()
        assert world.log.reads == 1
        world.hub.emptied(11)
        await take_all(socket)
        assert [block.event for block in socket.blocks] == ["hello", "gap"]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
