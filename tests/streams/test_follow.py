"""The log, pulled."""

from __future__ import annotations

from flockd.domain.filter import EVERYTHING, EventFilter
from flockd.streams.follow import follow

from .world import World


async def test_it_pages_to_the_end_of_the_log() -> None:
    world = World()
    world.happen(7)
    pages = [page async for page in follow(world.log, EVERYTHING, 2, page_events=2)]
    assert [[event.seq for event in page.events] for page in pages] == [[3, 4], [5, 6], [7]]
    assert [page.position for page in pages] == [4, 6, 7]


async def test_a_filter_leaves_events_out_and_the_position_moves_all_the_same() -> None:
    world = World()
    world.happen(4)
    world.happen(1, agent="rare")
    world.happen(1)
    pages = [
        page async for page in follow(world.log, EventFilter(agents=frozenset({"rare"})), 0, page_events=3)
    ]
    assert [([event.seq for event in page.events], page.position) for page in pages] == [([], 3), ([5], 6)]


async def test_pages_are_bounded_in_bytes() -> None:
    world = World()
    world.happen(3, data=b'"' + b"x" * 100 + b'"')
    pages = [page async for page in follow(world.log, EVERYTHING, 0, page_bytes=150)]
    assert [page.position for page in pages] == [2, 3]


async def test_what_is_committed_meanwhile_is_read_too() -> None:
    world = World()
    world.happen(2)
    seen = []
    async for page in follow(world.log, EVERYTHING, 0):
        seen.append(page.position)
        if page.position < 4:
            world.happen(1)
    assert seen == [2, 3, 4]
