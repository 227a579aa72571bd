"""The ends of streams: the daemon that goes with hundreds of them open, and clients that go without a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from websockets.frames import CloseCode

from tests.process.client import Client
from tests.process.daemon import Daemon
from tests.process.test_shutdown import complaints

from .figures import descriptors, figure, until_descriptors, until_figure
from .raw_streams import TRANSPORTS, RawStream, Transport, open_streams

pytestmark = pytest.mark.timeout(180)

STREAMS = 500
OFTEN = {"FLOCKD_STREAMS__HEARTBEAT_SECONDS": "0.2", "FLOCKD_STREAMS__STALL_SECONDS": "1"}
SUBSCRIBERS = "flockd_stream_subscribers"
CUT = "flockd_stream_readers_cut_total"
STOP_SECONDS = 7.0 + 2.0 + 10.0
"""shutdown.grace_seconds and drain_seconds by default, and what a busy machine may take on top of them."""


def in_turn(count: int) -> list[Transport]:
    return [TRANSPORTS[index % len(TRANSPORTS)] for index in range(count)]


async def test_hundreds_of_streams_get_the_last_words_and_goodbye_when_it_stops(
    daemon: Daemon, client: Client
) -> None:
    await daemon.start()
    async with open_streams(daemon.url, in_turn(STREAMS)) as streams, asyncio.TaskGroup() as group:
        assert await figure(daemon, SUBSCRIBERS) == STREAMS
        ends = [group.create_task(stream.end()) for stream in streams]
        last = (await client.publish("A", {"n": 4711})).accepted()
        began = time.monotonic()
        daemon.terminate()
        assert await daemon.wait(limit=STOP_SECONDS) == 0
        print(f"{STREAMS} streams: stopped in {time.monotonic() - began:.2f} s")

    for stream, end in zip(streams, ends, strict=True):
        heard = end.result()
        words, goodbye, rest = heard.rpartition(b'"goodbye"')
        assert goodbye, stream.transport
        assert last["artifact_id"].encode() in words, stream.transport
        if stream.transport == "websocket":
            assert rest.endswith(b"\x88\x02" + CloseCode.GOING_AWAY.to_bytes(2)), rest
        else:
            assert rest.endswith(b"\r\n0\r\n\r\n"), rest
    assert complaints(daemon) == []
    await daemon.verify()


@pytest.mark.parametrize("how", [RawStream.leave, RawStream.reset], ids=["FIN", "RST"])
async def test_nothing_is_left_of_clients_that_go(
    daemon: Daemon, client: Client, how: Callable[[RawStream], None]
) -> None:
    await daemon.start(settings=OFTEN)
    async with asyncio.TaskGroup() as group:  # what the daemon opens for itself is open after this
        for n in range(8):
            group.create_task(client.publish_sync("A", {"n": n}))
    before = descriptors(daemon)
    async with open_streams(daemon.url, in_turn(61)) as streams:
        assert await figure(daemon, SUBSCRIBERS) == len(streams)
        for stream in streams[1:]:
            how(stream)
        await until_figure(daemon, SUBSCRIBERS, lambda count: count == 1)
    await until_figure(daemon, SUBSCRIBERS, lambda count: count == 0)
    await until_descriptors(daemon, before)
    assert await figure(daemon, CUT) == 0
    daemon.terminate()
    assert await daemon.wait() == 0
    assert complaints(daemon) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_one_that_acknowledges_nothing_is_cut(
    daemon: Daemon, client: Client, transport: Transport
) -> None:
    """Of a client whose packets no longer arrive the daemon sees only this: what it sends stays in its own system.

    Here the client's system takes no more, and all that waits fits into the kernel: nothing is left to flockd.
    """
    await daemon.start(settings=OFTEN)
    async with open_streams(daemon.url, [transport], receive_bytes=4096):
        for n in range(8):
            (await client.publish("A", {"n": n, "padding": "x" * 10_000})).accepted()
        await until_figure(daemon, CUT, lambda count: count == 1, limit=20)
        assert await figure(daemon, SUBSCRIBERS) == 0


async def test_a_socket_that_answers_no_ping_is_cut(daemon: Daemon) -> None:
    """A client that is frozen, or whose packets no longer arrive, does not say so."""
    await daemon.start(settings=OFTEN)
    async with open_streams(daemon.url, ["websocket", "sse"]):
        assert await figure(daemon, SUBSCRIBERS) == 2
        await until_figure(daemon, CUT, lambda count: count == 1)
        assert await figure(daemon, SUBSCRIBERS) == 1
