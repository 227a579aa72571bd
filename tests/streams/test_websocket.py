"""WebSockets over real sockets: several subscriptions on one, clients that are slow, frozen or gone, and the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import uvloop

from flockd.domain.filter import EVERYTHING, EventFilter

from .talker import Talker
from .test_slow import LARGE
from .world import LIMIT_SECONDS, World, serving, turns, until

HANDSHAKE = (
    "GET /ws{query} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MASKED_TEXT = bytes([0x81, 0x80 | 126]) + (1000).to_bytes(2) + bytes(4) + b"x" * 1000


@asynccontextmanager
async def talking(world: World, query: str = "") -> AsyncIterator[Talker]:
    async with Talker(world.socket_url + query) as talker:
        yield talker


@contextmanager
def frozen(world: World, query: str = "", *, receive_bytes: int = 4096) -> Iterator[socket.socket]:
    """A client that shakes hands and then neither reads nor answers."""
    address = urlsplit(world.socket_url)
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.connect((address.hostname, address.port))
        client.sendall(HANDSHAKE.format(query=query).encode())
        yield client


# -- several subscriptions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring_bytes", [1, 20_000, 1 << 20])
async def test_each_subscription_gets_its_own(ring_bytes: int) -> None:
    async with serving(World(ring_bytes=ring_bytes, page_events=3)) as world:
        for number in range(60):
            world.happen(1, agent=f"a{number % 3}")
        query = "?subscriptions=4&from=start&agent1=a1&agent2=a2&agent2=a0"
        async with talking(world, query) as talker:
            for number in range(60):
                world.happen(1, agent=f"a{number % 3}")
                await turns(number % 2)
            wanted = [
                EVERYTHING,
                EventFilter(agents=frozenset({"a1"})),
                EventFilter(agents=frozenset({"a2", "a0"})),
                EVERYTHING,
            ]
            for number, one in enumerate(wanted):
                await talker.at(f"s{number}", world.after(0, one)[-1])
                assert talker.seqs(f"s{number}") == world.after(0, one)


async def test_sockets_whose_subscriptions_are_alike_are_handed_the_same_bytes() -> None:
    async with (
        serving(World()) as world,
        talking(world, "?subscriptions=2") as one,
        talking(world, "?subscriptions=2") as other,
    ):
        for talker in (one, other):
            await talker.until(lambda talker=talker: bool(talker.events("s1")))
        written: list[bytes] = []
        for connection in list(world.streams._connections):
            write = connection.write_framed

            def note(data: bytes, write: object = write) -> None:
                written.append(data)
                write(data)  # type: ignore[operator]

            connection.write_framed = note  # type: ignore[method-assign]
        world.happen(3)
        await one.at("s1", 3)
        await other.at("s1", 3)
        assert len(written) == 4
        assert len({id(piece) for piece in written}) == 2


async def test_heartbeats_tell_each_position() -> None:
    async with (
        serving(World(heartbeat_seconds=0.01)) as world,
        talking(world, "?subscriptions=2&agent1=nobody") as talker,
    ):
        await talker.until(lambda: bool(talker.events("s1")))
        world.happen(5)
        await talker.until(lambda: talker.positions("s1")[-1:] == [5])
        await talker.until(lambda: talker.positions("s0")[-1:] == [5])
        assert talker.seqs("s1") == []


# -- clients that are slow, frozen or gone --------------------------------------------------------------------------


async def test_one_that_neither_reads_nor_answers_is_cut_and_others_stay() -> None:
    async with (
        serving(World(heartbeat_seconds=0.02, stall_seconds=0.3)) as world,
        talking(world, "?subscriptions=1") as talker,
    ):
        with frozen(world, "?subscriptions=1"):
            await until(lambda: world.streams.count == 2)
            async with asyncio.timeout(LIMIT_SECONDS):
                while world.streams.cut_readers == 0:  # noqa: ASYNC110 - only the clock brings it about
                    await asyncio.sleep(0.02)
            await until(lambda: world.streams.count == 1)
        world.happen(1)
        await talker.at("s0", 1)
        assert world.streams.cut_readers == 1


async def test_a_stalled_socket_with_many_subscriptions_costs_its_buffer_and_is_cut() -> None:
    settings = {"ring_bytes": 1, "buffer_bytes": 1 << 14, "page_events": 2, "stall_seconds": 0.3}
    async with serving(World(**settings)) as world, talking(world, "?subscriptions=1") as talker:
        world.happen(300, data=LARGE)
        with frozen(world, "?subscriptions=5&from=start"):
            await until(lambda: world.streams.figures().disk_readers > 0)
            most = 0
            async with asyncio.timeout(LIMIT_SECONDS):
                while world.streams.cut_readers == 0:
                    for connection in world.streams._connections:
                        most = max(most, connection._transport.get_write_buffer_size())
                    await asyncio.sleep(0.02)
            await until(lambda: world.streams.count == 1)
        page = 2 * len(LARGE)
        assert 0 < most <= 2 * ((1 << 14) + page)
        await talker.at("s0", 300)  # which was behind too
        behind = {"streams: catch up", "streams: room"}
        await until(lambda: {task.get_name() for task in asyncio.all_tasks()}.isdisjoint(behind))
        world.happen(1)
        await talker.at("s0", 301)


async def test_one_that_sends_and_never_reads_is_not_read_either_and_cut() -> None:
    async with serving(World(buffer_bytes=1 << 12, stall_seconds=0.3)) as world:
        with frozen(world) as client:
            client.settimeout(LIMIT_SECONDS)

            def send() -> None:
                try:
                    while True:
                        client.sendall(MASKED_TEXT * 100)
                except OSError:
                    return  # it was cut

            async with asyncio.timeout(LIMIT_SECONDS):
                await asyncio.to_thread(send)
        await until(lambda: world.streams.count == 0)
        assert world.streams.cut_readers == 1


async def test_one_that_vanishes_leaves_nothing() -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(10)
        world.log.gate.clear()
        tasks = asyncio.all_tasks()
        with frozen(world, "?subscriptions=3&from=start"):
            await until(lambda: world.streams.figures().disk_readers == 3)
        await until(lambda: world.streams.count == 0)
        await turns()
        left = {task.get_name() for task in asyncio.all_tasks() - tasks}
        assert not {name for name in left if name.startswith("streams: ")}
        assert world.streams.figures().bytes_sent > 0


async def test_one_that_leaves_while_news_are_waited_for_leaves_no_task() -> None:
    """Its page is ahead of what the hub was told, and nothing is told."""
    async with serving(World(ring_bytes=1)) as world:
        world.happen(3)
        world.commit([world.make()])
        with frozen(world, "?subscriptions=1&from=start"):
            await until(lambda: world.log.reads > 0)
            await turns()
        await until(lambda: world.streams.count == 0)
        await turns()
        assert "streams: catch up" not in {task.get_name() for task in asyncio.all_tasks()}


# -- what is said ---------------------------------------------------------------------------------------------------


async def test_pings_of_the_protocol_come_back_with_what_they_carry() -> None:
    async with (
        serving(World()) as world,
        aiohttp.ClientSession() as session,
        session.ws_connect(world.socket_url, autoping=False) as client,
    ):
        await client.ping(b"are you there")
        message = await client.receive(LIMIT_SECONDS)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (bytes([0x83, 0x80, 0, 0, 0, 0]), 1002),  # an opcode that there is not
        (bytes([0xC1, 0x80, 0, 0, 0, 0]), 1002),  # a bit for an extension that nobody agreed on
        (bytes([0x09, 0x80, 0, 0, 0, 0]), 1002),  # a ping in parts
        (bytes([0x81, 0x81, 0, 0, 0, 0, 0xFF]), 1007),  # text that is not UTF-8
        (bytes([0x81, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), 1009),  # 4 GiB, announced
    ],
)
async def test_what_the_protocol_forbids_closes_the_socket_with_its_code(frame: bytes, code: int) -> None:
    async with serving(World()) as world:
        with frozen(world) as client:
            client.settimeout(LIMIT_SECONDS)
            client.sendall(frame)

            def received() -> bytes:
                data = b""
                while piece := client.recv(4096):
                    data += piece
                return data

            data = await asyncio.to_thread(received)
        header, size = data.partition(b"\r\n\r\n")[2][:2]
        assert header == 0x88
        assert int.from_bytes(data.partition(b"\r\n\r\n")[2][2:4]) == code
        assert size < 126
        await until(lambda: world.streams.count == 0)


async def test_a_conversation_that_fails_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(World()) as world, talking(world) as talker:
        await talker.say("fail")
        assert await talker.closed() == aiohttp.WSCloseCode.INTERNAL_ERROR
        assert "as the test wants it" in caplog.text
        await until(lambda: world.streams.count == 0)


# -- the end --------------------------------------------------------------------------------------------------------


async def test_a_goodbye_is_for_each_subscription_and_then_the_socket_closes() -> None:
    async with (
        serving(World()) as world,
        talking(world, "?subscriptions=2") as talker,
        talking(world) as idle,
    ):
        await talker.until(lambda: bool(talker.events("s1")))
        await idle.ask("hello")
        world.happen(2)
        async with asyncio.timeout(LIMIT_SECONDS):
            await world.streams.goodbye("shutdown")
        assert world.streams.count == 0
        assert await talker.closed() == await idle.closed() == aiohttp.WSCloseCode.GOING_AWAY
        for name in ("s0", "s1"):
            assert talker.seqs(name) == [1, 2]
            assert talker.events(name)[-1] == {"kind": "goodbye", "data": {"reason": "shutdown"}}


async def test_one_that_does_not_answer_the_close_is_cut() -> None:
    async with serving(World()) as world:
        with frozen(world, "?subscriptions=1"):
            await until(lambda: world.streams.figures().subscribers["websocket"] == 1)
            async with asyncio.timeout(LIMIT_SECONDS):
                await world.streams.goodbye("shutdown")
            await until(lambda: world.streams.count == 0)


@pytest.mark.parametrize(
    "play",
    [
        test_one_that_neither_reads_nor_answers_is_cut_and_others_stay,
        test_a_stalled_socket_with_many_subscriptions_costs_its_buffer_and_is_cut,
        test_one_that_sends_and_never_reads_is_not_read_either_and_cut,
        test_one_that_vanishes_leaves_nothing,
        test_a_goodbye_is_for_each_subscription_and_then_the_socket_closes,
    ],
)
def test_the_same_on_uvloop(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
