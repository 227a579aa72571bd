"""`live`: the log for watchers inside the process, history first and then for ever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest

from flockd.domain.filter import EVERYTHING, EventFilter
from flockd.streams.follow import live

from .world import LIMIT_SECONDS, World, turns, until


class Watcher:
    """Takes pages in a task of its own."""

    def __init__(self, world: World, after: int, wanted: EventFilter = EVERYTHING) -> None:
        self.seqs: list[int] = []
        self.position = after
        self._pages = live(world.hub, world.log, wanted, after)
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async with aclosing(self._pages) as pages:  # type: ignore[type-var]
            async for page in pages:
                self.seqs += [event.seq for event in page.events]
                assert page.position >= self.position
                self.position = page.position

    async def at(self, seq: int) -> None:
        await until(lambda: self.position >= seq or self.task.done())
        assert not self.task.done()

    async def leave(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


OTHERS = EventFilter(correlation_ids=frozenset({"c2"}))


@pytest.mark.parametrize("wanted", [EVERYTHING, OTHERS])
@pytest.mark.parametrize("ring_bytes", [1, 20_000, 1 << 20])
async def test_history_and_then_what_happens(ring_bytes: int, wanted: EventFilter) -> None:
    world = World(ring_bytes=ring_bytes)
    for number in range(1200):
        world.happen(1, correlation=f"c{number % 3}")
    watcher = Watcher(world, 5, wanted)
    for number in range(30):
        world.happen(1, correlation=f"c{number % 3}")
        await turns(number % 3)
    await watcher.at(1230)
    assert watcher.seqs == world.after(5, wanted)
    await watcher.leave()


async def test_what_is_on_disk_and_not_told_yet_is_waited_for() -> None:
    world = World(ring_bytes=1)
    world.happen(3)
    world.log.gate.clear()
    watcher = Watcher(world, 0)
    async with asyncio.timeout(LIMIT_SECONDS):
        await world.log.reached.wait()
    world.commit([event := world.make()])
    world.log.gate.set()
    await turns()
    assert watcher.seqs == []
    world.hub.tell([event])
    await watcher.at(4)
    assert watcher.seqs == [1, 2, 3, 4]
    await watcher.leave()


@pytest.mark.parametrize("wanted", [EVERYTHING, OTHERS])
async def test_an_emptied_log_is_gone_on_from(wanted: EventFilter) -> None:
    world = World(ring_bytes=1)
    world.happen(3, correlation="c2")
    watcher = Watcher(world, 0, wanted)
    await watcher.at(3)
    world.happen(2, correlation="c2")
    world.empty()
    world.happen(2, correlation="c2")
    await watcher.at(7)
    assert watcher.seqs[:3] == [1, 2, 3]
    assert watcher.seqs[-2:] == [6, 7]
    await watcher.leave()


async def test_one_that_is_cancelled_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    world = World()
    watcher = Watcher(world, 0)
    await turns()
    await watcher.leave()
    assert asyncio.all_tasks() == before
    world.happen(1)  # tells nobody, and harms nobody
