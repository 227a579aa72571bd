"""The end of all streams: served, told, closed, in time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from flockd.streams.encode import RETRY_MILLISECONDS

from .test_slow import LARGE, silent_reader
from .test_sse import raw
from .world import Reader, World, serving, until


async def test_everyone_gets_what_was_committed_and_then_goodbye() -> None:
    async with serving(World()) as world, AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(Reader(world)) for _ in range(20)]
        world.write("r1", "the last words", 0)
        world.happen(3)
        await world.streams.goodbye("shutdown")
        assert world.streams.count == 0
        for reader in readers:
            await reader.end()
            assert [block.event for block in reader.blocks if block.data] == [
                "hello",
                "run.output",
                *["run.started"] * 3,
                "goodbye",
            ]
            assert reader.of("goodbye") == [{"kind": "goodbye", "data": {"reason": "shutdown"}}]
            assert reader.last_id == "3"


async def test_the_body_ends_as_http_wants_it_and_says_when_to_come_back() -> None:
    async with serving(World()) as world, raw(world) as (reader, _):
        await reader.readuntil(b"event: hello")
        await world.streams.goodbye("shutdown")
        rest = await reader.read()
        assert f"event: goodbye\nretry: {RETRY_MILLISECONDS}\n".encode() in rest
        assert rest.endswith(b"\r\n0\r\n\r\n")


async def test_hundreds_of_streams_end_at_once() -> None:
    async with serving(World()) as world, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw(world)) for _ in range(300)]
        for reader, _ in connections:
            await reader.readuntil(b"event: hello")
        assert world.streams.count == 300
        await world.streams.goodbye("shutdown")
        assert world.streams.count == 0
        for reader, _ in connections:
            assert (await reader.read()).endswith(b"0\r\n\r\n")


async def test_one_that_does_not_read_is_cut() -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(500, data=LARGE)
        with silent_reader(world, "?from=start"):
            await until(lambda: world.log.reads > 0)
            await world.streams.goodbye("shutdown")
            await until(lambda: world.streams.count == 0)


async def test_afterwards_no_stream_opens() -> None:
    async with serving(World()) as world:
        await world.streams.goodbye("shutdown")
        async with aiohttp.ClientSession() as session, session.get(world.url) as response:
            assert response.status == 503
            assert "shutting down" in await response.text()


async def test_saying_it_twice_is_saying_it_once() -> None:
    async with serving(World()) as world, Reader(world) as reader:
        await asyncio.gather(world.streams.goodbye("one"), world.streams.goodbye("two"))
        await reader.end()
        assert [notice["data"]["reason"] for notice in reader.of("goodbye")] == ["one"]


async def test_no_task_is_left_and_each_has_a_name() -> None:
    world = World()
    async with world.streams:
        assert [task.get_name() for task in world.streams.tasks] == [
            "streams: pump",
            "streams: heartbeat",
            "streams: stalled",
        ]
    assert all(task.done() for task in world.streams.tasks)
