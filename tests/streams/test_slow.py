"""Readers that are slow, far behind, or do not read at all: they get everything or are cut, and delay nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import uvloop

from flockd.domain.event import EventKind

from .world import LIMIT_SECONDS, Reader, World, serving, turns, until

LARGE = b'"' + b"x" * 60_000 + b'"'


@contextmanager
def silent_reader(world: World, query: str = "") -> Iterator[socket.socket]:
    """A client that asks and never reads."""
    host, _, port = world.url.removeprefix("http://").removesuffix("/events").partition(":")
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(f"GET /events{query} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        yield client


async def one_stalls_and_others_go_on() -> None:
    async with serving(World(stall_seconds=0.2, page_events=20)) as world, Reader(world) as reader:
        with silent_reader(world):
            await until(lambda: world.streams.count == 2)
            while world.streams.cut_readers == 0:
                (event,) = world.happen(1, data=LARGE)
                await reader.at(event.seq)
            await until(lambda: world.streams.count == 1)
        assert reader.seqs == world.after(0)


async def test_one_that_stalls_is_cut_and_others_go_on() -> None:
    await one_stalls_and_others_go_on()


async def one_vanishes() -> None:
    world = World(heartbeat_seconds=0.01)
    async with serving(world, handler_cancellation=False), Reader(world) as reader:
        with silent_reader(world):
            await until(lambda: world.streams.count == 2)
        await until(lambda: world.streams.count == 1)
        world.happen(1)
        await reader.at(1)


async def test_one_that_vanishes_is_found_out() -> None:
    await one_vanishes()


@pytest.mark.parametrize("play", [one_stalls_and_others_go_on, one_vanishes])
def test_the_same_on_uvloop(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


async def test_one_that_does_not_take_the_end_of_its_stream_is_cut() -> None:
    """Nothing more is written to it; what was waits for a client that reads nothing."""
    async with serving(World(ring_bytes=1, buffer_bytes=1 << 26, stall_seconds=0.3)) as world:
        world.happen(300, data=LARGE)
        world.happen(1, kind=EventKind.correlation_completed, data=b'{"round":1}')
        with silent_reader(world, "?from=start&correlation=c1&until=1"):
            await until(lambda: world.streams.count == 1)
            async with asyncio.timeout(LIMIT_SECONDS):
                while world.streams.cut_readers == 0:  # noqa: ASYNC110 - only the clock brings it about
                    await asyncio.sleep(0.02)
            await until(lambda: world.streams.count == 0)


async def test_what_waits_for_a_silent_reader_is_bounded() -> None:
    """A log of many times the buffer: no more of it is read from disk than there is room for."""
    async with serving(World(ring_bytes=1, buffer_bytes=1 << 16, page_events=2)) as world:
        world.happen(2000, data=LARGE)
        with silent_reader(world, "?from=start"):
            await until(lambda: world.log.reads > 0)
            async with Reader(world) as reader:  # its events are served while the other one waits
                (event,) = world.happen(1)
                await reader.at(event.seq)
            while True:
                reads = world.log.reads
                await turns()
                if world.log.reads == reads:
                    break
            assert 0 < world.log.reads < 500


async def test_a_reader_that_falls_off_the_ring_reads_from_disk_and_goes_live_again() -> None:
    async with serving(World(ring_bytes=20_000, page_events=3)) as world:
        world.happen(100)
        async with Reader(world, after=10) as reader:
            await reader.at(100)
            reads = world.log.reads
            assert reads > 0
            world.happen(3)
            await reader.at(103)
            assert world.log.reads == reads
            assert reader.seqs == world.after(10)


async def test_commits_faster_than_the_ring_lose_nothing() -> None:
    async with (
        serving(World(ring_bytes=5000)) as world,
        Reader(world) as one,
        Reader(world, kind="run.failed") as other,
    ):
        world.happen(50)  # in one tick: the ring holds a few of them
        world.happen(1, kind="run.failed")
        await one.at(51)
        await other.at(51)
        assert one.seqs == world.after(0)
        assert other.seqs == [51]


async def test_a_reader_whose_log_cannot_be_read_is_cut_and_may_resume(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(5)

        async def broken(*_: Any) -> Any:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patched:
            patched.setattr(world.log, "events", broken)
            async with Reader(world, after=1) as reader:
                await reader.end()
        assert "it is cut and may resume" in caplog.text
        async with Reader(world, after=1) as reader:
            await reader.at(5)
            assert reader.seqs == [2, 3, 4, 5]
