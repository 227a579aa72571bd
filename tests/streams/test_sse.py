"""Server-Sent Events over real sockets: history meets live, cursors, filters, heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import orjson
import pytest

from flockd.domain.event import Event, EventKind

from .world import LIMIT_SECONDS, LOG_ID, Reader, World, serving, turns, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World()) as world:
        yield world


async def test_a_stream_begins_with_hello_and_then_tells_what_happens(world: World) -> None:
    world.happen(3)
    async with Reader(world) as reader:
        assert reader.status == 200
        assert reader.headers["Content-Type"] == "text/event-stream"
        assert reader.headers["X-Accel-Buffering"] == "no"
        assert reader.headers["Connection"] == "close", "it closes, so nobody should ask again on it"
        assert reader.blocks[0].id is None
        assert reader.of("hello") == [
            {"kind": "hello", "data": {"log_id": LOG_ID, "head": 3, "complete_from": 1, "position": 3}}
        ]
        (event,) = world.happen(1, kind=EventKind.artifact_published, type="T", agent="a")
        await reader.at(4)
        (block,) = reader.blocks[1:]
        assert (block.id, block.event) == ("4", "artifact.published")
        assert block.data is not None
        assert block.data.encode() == event.encode(1 << 16)


async def test_a_large_payload_is_left_out() -> None:
    async with serving(World(inline_bytes=5)) as world, Reader(world) as reader:
        world.happen(1, type="T")
        await reader.at(1)
        artifact = orjson.loads(reader.blocks[-1].data or "")["artifact"]
        assert (artifact["payload"], artifact["payload_size"]) == (None, 7)


@pytest.mark.parametrize("in_ring", [True, False])
@pytest.mark.parametrize("before", range(4))
async def test_history_meets_live_wherever_a_reader_joins(before: int, in_ring: bool) -> None:
    """Commits before it asks, between asking and the first read, while it reads, and after."""
    async with serving(World(ring_bytes=1 << 20 if in_ring else 1, page_events=2)) as world:
        world.happen(before)
        world.log.gate.clear()
        async with Reader(world, **{"from": "start"}) as reader:
            world.happen(2)
            if not in_ring:
                await world.log.reached.wait()
            world.commit([(event := world.make())])  # on disk, and not told yet
            world.log.gate.set()
            world.hub.tell([event])
            world.happen(2)
            await reader.at(world.hub.head)
            assert reader.seqs == world.after(0)
            assert (world.log.reads > 0) is not in_ring


async def test_a_reader_goes_on_where_it_was_cut_off(world: World) -> None:
    async with Reader(world) as reader:
        world.happen(3)
        await reader.at(3)
        last = reader.last_id
    world.happen(2)
    async with Reader(world, after=0, headers={"Last-Event-ID": last}) as reader:
        world.happen(1)
        await reader.at(6)
        assert reader.seqs == [4, 5, 6]


async def test_after_names_the_last_one_seen(world: World) -> None:
    world.happen(5)
    async with Reader(world, after=3) as reader:
        await reader.at(5)
        assert reader.seqs == [4, 5]


async def test_a_filter_lets_through_what_fits_all_of_it(world: World) -> None:
    query = {"kind": "run.completed", "correlation": "c2", "from": "start"}
    world.happen(1, kind=EventKind.run_completed, correlation="c2")
    async with Reader(world, **query) as reader:
        world.happen(1, kind=EventKind.run_completed)
        world.happen(1, correlation="c2")
        world.happen(1, kind=EventKind.run_completed, correlation="c2")
        await reader.at(4)
        assert reader.seqs == [1, 4]


async def test_heartbeats_move_the_cursor_of_a_rare_filter() -> None:
    async with (
        serving(World(heartbeat_seconds=0.01)) as world,
        Reader(world, kind="run.failed") as reader,
    ):
        world.happen(7)
        await reader.until(lambda: reader.blocks[-1].id == "7")
        assert reader.blocks[-1].data is None
        assert reader.seqs == []
        positions = [int(block.id or 0) for block in reader.blocks[1:]]
        assert positions == sorted(positions)


async def test_readers_share_the_encoded_event(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    original = Event.encode

    def counting(self: Event, inline_bytes: int) -> bytes:
        encoded.append(self.seq)
        return original(self, inline_bytes)

    monkeypatch.setattr(Event, "encode", counting)
    async with serving(World()) as world, Reader(world) as one, Reader(world, correlation="c1") as two:
        world.happen(3)
        await one.at(3)
        await two.at(3)
        assert encoded == [1, 2, 3]
        assert one.seqs == two.seqs == [1, 2, 3]


async def test_many_events_of_one_tick_are_one_write(world: World) -> None:
    async with raw(world) as (reader, _):
        await reader.readuntil(b"\n\n\r\n")
        world.happen(5)
        size = int((await reader.readline()).strip(), 16)
        text = await reader.readexactly(size)
        assert text.count(b"\nevent: ") == 5


# -- cursors that name nothing --------------------------------------------------------------------------------------


async def test_a_cursor_of_another_log_gets_a_gap_with_the_head(world: World) -> None:
    world.happen(2)
    async with Reader(world, headers={"Last-Event-ID": "99"}) as reader:
        world.happen(1)
        await reader.at(3)
        assert [gap["data"]["position"] for gap in reader.of("gap")] == [2]
        assert reader.of("gap")[0]["data"]["head"] == 2
        assert reader.seqs == [3]


async def test_readers_of_an_emptied_board_get_a_gap_and_go_on(world: World) -> None:
    world.happen(3)
    async with Reader(world, **{"from": "start"}) as old, Reader(world) as current:
        await old.at(3)
        world.empty()
        world.happen(1)
        await current.at(4)
        assert old.seqs[:3] == [1, 2, 3]
        assert current.of("gap") == []  # it has seen all there was
        async with Reader(world, after=1) as late:
            await late.at(4)
            (gap,) = late.of("gap")
            assert gap["data"] == {"log_id": LOG_ID, "head": 4, "complete_from": 4, "position": 3}
            assert late.seqs == [4]


async def test_a_reader_from_disk_gets_the_gap_of_a_board_emptied_meanwhile() -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(5)
        world.log.gate.clear()
        async with Reader(world, after=1) as reader:
            await world.log.reached.wait()
            world.empty_log()  # committed, and the hub is told only after the page was read
            world.commit([(event := world.make())])
            world.log.gate.set()
            await turns()
            world.hub.emptied(6)
            world.hub.tell([event])
            await reader.at(6)
            assert [gap["data"]["position"] for gap in reader.of("gap")] == [5]
            assert reader.seqs == [6]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({"after": "4"}, {}, 400),
        ({}, {"Last-Event-ID": "four"}, 400),
    ],
)
async def test_a_cursor_that_cannot_be_is_refused(
    world: World, query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    world.happen(3)
    async with (
        aiohttp.ClientSession() as session,
        session.get(world.url, params=query, headers=headers) as response,
    ):
        assert response.status == status
    assert world.streams.count == 0


# -- who comes and goes ---------------------------------------------------------------------------------------------


async def test_past_the_limit_a_stream_is_refused_until_one_leaves() -> None:
    async with serving(World(subscribers=1)) as world:
        async with Reader(world) as first, aiohttp.ClientSession() as session:
            assert first.status == 200
            async with session.get(world.url) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
                assert "streams.subscribers" in await response.text()
        await until(lambda: world.streams.count == 0)
        async with Reader(world) as second:
            assert second.status == 200


@pytest.mark.parametrize("handler_cancellation", [True, False])
async def test_a_client_that_vanishes_leaves_no_subscriber(handler_cancellation: bool) -> None:
    world = World(heartbeat_seconds=0.01)
    async with serving(world, handler_cancellation=handler_cancellation):
        async with raw(world) as (reader, writer):
            await reader.readuntil(b"\n\n")
            assert world.streams.count == 1
            writer.transport.abort()
        await until(lambda: world.streams.count == 0)


async def test_http_1_0_gets_the_bare_text_until_the_connection_closes(world: World) -> None:
    world.happen(1)
    async with raw(world, version="1.0", query="?from=start") as (reader, _):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert (await reader.readuntil(b"\n\n")).startswith(b"event: hello\n")
        assert (await reader.readuntil(b"\n\n")).startswith(b"id: 1\nevent: run.started\n")
        await world.streams.goodbye("shutdown")
        assert (await reader.read()).startswith(b"id: 1\n\nevent: goodbye\n")


# -- live text ------------------------------------------------------------------------------------------------------


def texts(reader: Reader) -> list[tuple[int, str]]:
    return [(event["data"]["offset"], event["data"]["text"]) for event in reader.of("run.output")]


async def test_live_text_keeps_its_place_between_events(world: World) -> None:
    async with Reader(world) as reader:
        world.happen(1, run="r1")
        world.write("r1", "one ", 0)
        world.write("r1", "two", 4)
        world.happen(1, kind=EventKind.run_completed, run="r1")
        await reader.at(2)
        kinds = [block.event for block in reader.blocks[1:]]
        assert kinds == ["run.started", "run.output", "run.output", "run.completed"]
        assert texts(reader) == [(0, "one "), (4, "two")]
        assert all(block.id is None for block in reader.blocks if block.event == "run.output")


async def test_who_joins_late_gets_the_text_so_far_first(world: World) -> None:
    async with Reader(world) as early:
        world.write("r1", "one ", 0)
        world.write("r2", "other", 0, correlation="c2")
        world.write("r1", "two ", 4)
        await early.until(lambda: len(early.of("run.output")) == 3)
        async with Reader(world, correlation="c1") as late:
            await late.until(lambda: bool(late.of("run.output")))
            world.write("r1", "three", 8)
            await late.until(lambda: len(late.of("run.output")) == 2)
            assert texts(late) == [(0, "one two "), (8, "three")]


async def test_a_text_is_whole_whenever_a_reader_joins(world: World) -> None:
    """Before, in and after the tick in which a chunk is written."""
    async with AsyncExitStack() as stack:
        readers = []
        for number in range(5):
            world.write("r1", f"{number} ", 2 * number)
            readers.append(await stack.enter_async_context(Reader(world)))
            world.write("r2", f"{number} ", 2 * number)
        for reader in readers:
            for run in ("r1", "r2"):
                await reader.until(lambda reader=reader, run=run: whole(reader, run) == "0 1 2 3 4 ")


def whole(reader: Reader, run: str) -> str:
    """The text of a run as a client puts it together: a chunk at offset 0 replaces all before it."""
    text = ""
    for event in reader.of("run.output"):
        if event["run_id"] == run:
            data = event["data"]
            text = text if data["offset"] else ""
            assert data["offset"] == len(text)
            text += data["text"]
    return text


async def test_the_text_of_a_run_that_has_ended_is_not_told_again(world: World) -> None:
    async with Reader(world) as reader:
        world.write("r1", "text", 0)
        world.happen(1, kind=EventKind.run_completed, run="r1")
        await reader.at(1)
    async with Reader(world) as late:
        world.happen(1)
        await late.at(2)
        assert late.of("run.output") == []


async def test_an_emptied_board_forgets_the_text(world: World) -> None:
    async with Reader(world) as reader:
        world.write("r1", "text", 0)
        await reader.until(lambda: bool(reader.of("run.output")))
        world.write("r1", " and more", 4)
        world.empty()
    async with Reader(world) as late:
        world.happen(1)
        await late.at(1)
        assert late.of("run.output") == []


# -- raw sockets ----------------------------------------------------------------------------------------------------


class raw:
    """A connection without a client library: its reader and writer, the request sent."""

    def __init__(self, world: World, *, version: str = "1.1", query: str = "") -> None:
        self._host, _, rest = world.url.removeprefix("http://").partition(":")
        port, _, path = rest.partition("/")
        self._port = int(port)
        self._request = f"GET /{path}{query} HTTP/{version}\r\nHost: test\r\n\r\n".encode()

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(LIMIT_SECONDS):
            reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(self._request)
        return reader, self._writer

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)
