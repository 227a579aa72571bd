"""Readers that are behind share what they read, and one of them reads at a time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from flockd.streams.shared_log import SharedLog

from .world import Reader, World, serving, turns

PAGE_EVENTS = 10


async def seqs(log: SharedLog, after: int) -> list[int]:
    return [event.seq for event in await log.events(after, PAGE_EVENTS, 1 << 20)]


async def test_a_page_is_read_once_for_all_who_stand_in_it() -> None:
    world = World()
    world.happen(25)
    log = SharedLog(world.log)
    assert await seqs(log, 0) == list(range(1, 11))
    assert [await seqs(log, after) for after in (0, 4, 9)] == [
        list(range(1, 11)),
        list(range(5, 11)),
        [10],
    ]
    assert world.log.reads == 1
    assert await seqs(log, 10) == list(range(11, 21))
    assert world.log.reads == 2


async def test_what_is_at_the_end_of_the_log_is_read_again() -> None:
    world = World()
    world.happen(3)
    log = SharedLog(world.log)
    assert await seqs(log, 0) == [1, 2, 3]
    assert await seqs(log, 3) == []
    world.happen(1)
    assert await seqs(log, 3) == [4]


async def test_one_reads_at_a_time_and_who_leaves_gives_its_turn_back() -> None:
    world = World()
    world.happen(100)
    log = SharedLog(world.log)
    world.log.gate.clear()
    readers = [asyncio.create_task(seqs(log, after)) for after in range(0, 100, 10)]
    await turns()
    assert world.log.reads == 1
    readers[0].cancel()
    readers[5].cancel()
    await turns()
    assert world.log.reads == 2
    world.log.gate.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    for number, result in enumerate(results):
        if number in (0, 5):
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == list(range(number * 10 + 1, number * 10 + 11))


async def test_pages_end_where_those_of_others_end() -> None:
    world = World()
    world.happen(25)
    log = SharedLog(world.log)
    assert await seqs(log, 7) == [8, 9, 10]
    assert await seqs(log, 3) == [4, 5, 6, 7, 8, 9, 10]
    assert await seqs(log, 10) == list(range(11, 21))
    assert await seqs(log, 15) == list(range(16, 21))
    assert world.log.reads == 3


async def test_a_crowd_that_comes_back_reads_the_log_about_once() -> None:
    async with serving(World(ring_bytes=1, page_events=PAGE_EVENTS)) as world, AsyncExitStack() as stack:
        world.happen(500)
        world.log.gate.clear()
        readers = [Reader(world, after=number) for number in range(40)]
        await asyncio.gather(*(stack.enter_async_context(reader) for reader in readers))
        world.log.gate.set()
        for number, reader in enumerate(readers):
            await reader.at(500)
            assert reader.seqs == world.after(number)
        assert world.log.reads < 150  # 2,000 pages were served
