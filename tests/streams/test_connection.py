"""One client's socket: who waits for room, and what counts as taking nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from flockd.streams.connection import Connection, Medium

from .fake_socket import FakeSocket
from .world import LIMIT_SECONDS, turns

BUFFER_BYTES = 1000


def connected(fake: FakeSocket, *, ping: bytes = b"") -> Connection:
    return Connection(
        fake, fake.writer, medium=Medium.websocket, chunked=False, buffer_bytes=BUFFER_BYTES, ping=ping
    )


class Clock:
    """The time of the running loop, moved by hand, while nobody waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)


# -- room -----------------------------------------------------------------------------------------------------------


async def test_all_who_wait_for_room_go_on_when_there_is_some() -> None:
    fake = FakeSocket()
    connection = connected(fake)
    connection.write(b"x" * 2000)
    assert not connection.has_room
    waiting = [asyncio.create_task(connection.drained()) for _ in range(3)]
    await turns()
    assert not any(task.done() for task in waiting)
    fake.take(2000)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*waiting)


async def test_one_who_waits_no_longer_does_not_harm_the_others() -> None:
    fake = FakeSocket()
    connection = connected(fake)
    connection.write(b"x" * 2000)
    leaving, staying = (asyncio.create_task(connection.drained()) for _ in range(2))
    await turns()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    late = asyncio.create_task(connection.drained())
    await turns()
    fake.take(2000)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(staying, late)


async def test_room_that_another_has_used_is_waited_for_again() -> None:
    fake = FakeSocket()
    connection = connected(fake)
    connection.write(b"x" * 2000)
    order = []

    async def write(name: str) -> None:
        await connection.drained()
        order.append(name)
        connection.write(b"x" * 2000)

    tasks = [asyncio.create_task(write(name)) for name in "ab"]
    await turns()
    fake.take(2000)
    await turns()
    assert order == ["a"]
    fake.take(2000)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*tasks)
    assert order == ["a", "b"]


async def test_who_waits_for_a_client_that_leaves_is_told() -> None:
    fake = FakeSocket()
    connection = connected(fake)
    connection.write(b"x" * 2000)
    waiting = asyncio.create_task(connection.drained())
    await turns()
    connection.cut()
    with pytest.raises(ConnectionError):
        await waiting
    assert not connection.is_open and connection.was_cut


async def test_what_is_written_after_the_end_goes_nowhere() -> None:
    fake = FakeSocket()
    connection = connected(fake)
    connection.end()
    connection.write(b"late")
    assert fake.get_write_buffer_size() == 0


# -- progress -------------------------------------------------------------------------------------------------------


async def test_one_that_takes_nothing_stalls_and_one_that_takes_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    connection = connected(fake)
    connection.write(b"x" * 500)
    clock.now += 10
    assert connection.stalled_seconds() == 10
    fake.take(1)
    clock.now += 10
    assert connection.stalled_seconds() == 0
    clock.now += 7
    assert connection.stalled_seconds() == 7
    fake.take(499)
    assert connection.stalled_seconds() == 0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection whose server end sends without waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    server.setblocking(False)
    with client, server:
        yield server, client


async def test_bytes_that_the_kernel_holds_are_not_taken_until_the_client_takes_them(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Nothing moves between our buffer and the kernel's, and still the client is seen to take something."""
    server, client = pair
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    monkeypatch.setattr(
        fake, "get_extra_info", lambda name, default=None: server if name == "socket" else default
    )
    connection = connected(fake)
    data = b"x" * (1 << 16)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            connection.write(data)
            taken = server.send(data)
            fake.take(taken)
            sent += taken
    connection.write(data)
    connection.stalled_seconds()
    clock.now += 10
    assert connection.stalled_seconds() == 10
    while sent > 0:
        sent -= len(client.recv(1 << 16))
    clock.now += 10
    assert connection.stalled_seconds() == 0


async def test_what_the_kernel_holds_of_one_that_takes_nothing_is_missed(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Heartbeats that nobody acknowledges fit into the kernel for a long time; here the client's system is full."""
    server, _client = pair
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    monkeypatch.setattr(
        fake, "get_extra_info", lambda name, default=None: server if name == "socket" else default
    )
    connection = connected(fake)
    with suppress(BlockingIOError):
        while True:
            data = b"x" * (1 << 16)
            connection.write(data)
            fake.take(server.send(data))
    fake.take(1 << 20)
    connection.stalled_seconds()
    for _ in range(2):
        clock.now += 5
        assert fake.get_write_buffer_size() == 0
        stalled = connection.stalled_seconds()
    assert stalled == 10


async def test_one_that_was_idle_for_long_is_not_stalled_by_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    connection = connected(fake, ping=b"PING")
    for _ in range(10):
        connection.beat(b"position")
        fake.take(100)
        clock.now += 5
        assert connection.stalled_seconds() == 0
    connection.write(b"an event")
    clock.now += 1
    assert connection.stalled_seconds() == 1


# -- answers --------------------------------------------------------------------------------------------------------


async def test_one_that_answers_nothing_and_takes_only_heartbeats_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    connection = connected(fake, ping=b"PING")

    def silent() -> float:
        connection.stalled_seconds()
        return connection.silent_seconds()

    with connection.listening():
        clock.now += 100
        assert silent() == 0  # nothing was asked of it
        for _ in range(3):
            connection.beat(b"position")
            fake.take(100)
            clock.now += 5
        assert silent() == 15
        connection.write(b"an event")
        fake.take(100)
        clock.now += 5
        assert silent() == 0  # it has taken that
        clock.now += 5
        assert silent() == 5
    assert silent() == 0  # it has said something


async def test_one_that_nobody_listens_to_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is being worked on, however long that takes."""
    clock = Clock(monkeypatch)
    connection = connected(FakeSocket(), ping=b"PING")
    connection.beat(b"")
    clock.now += 100
    assert connection.silent_seconds() == 0


async def test_a_client_that_has_to_answer_nothing_is_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    fake = FakeSocket()
    connection = connected(fake)
    connection.beat(b"position")
    fake.take(100)
    clock.now += 100
    assert (connection.stalled_seconds(), connection.silent_seconds()) == (0, 0)


def test_the_media_have_the_names_of_the_metric() -> None:
    names: list[Any] = list(Medium)
    assert names == ["sse", "ndjson", "websocket"]
