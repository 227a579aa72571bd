"""The streams of a whole daemon: its real log on disk, its agents, its restarts; and sockets that are read oddly."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, web
from pydantic import BaseModel

from flockd import Context, Flock
from flockd.api.keys import HUB, STREAMS
from flockd.app import make_app
from flockd.cli.sse import BlockParser
from flockd.config import Config
from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EVERYTHING, EventFilter

from .test_sse import raw, texts
from .world import LIMIT_SECONDS, Reader, World, serving, until


class Order(BaseModel):
    """What is published."""

    n: int = 0


class Receipt(BaseModel):
    """What an order comes to."""

    n: int


class Speech(BaseModel):
    """Wants to be told at length."""


class Refused(Exception):
    """A request that should not have been."""


class Daemon:
    """One life of a daemon over a folder. `told` is every event that its streams were told of, by seq."""

    def __init__(self, app: web.Application, url: str, session: ClientSession) -> None:
        self.app = app
        self.url = f"{url}/api/v1/events"
        self.told: dict[int, Event] = {}
        self.emptied_at: set[int] = set()
        self._base = f"{url}/api/v1"
        self._session = session
        hub = app[HUB]
        tell, emptied = hub.tell, hub.emptied

        def told(events: list[Event]) -> None:
            self.told |= {event.seq: event for event in events}
            tell(events)

        def emptied_at(complete_from: int) -> None:
            self.emptied_at.add(complete_from)
            emptied(complete_from)

        hub.tell, hub.emptied = told, emptied_at  # type: ignore[method-assign, assignment]

    @property
    def head(self) -> int:
        return self.app[HUB].head

    async def post(self, path: str, document: Mapping[str, Any]) -> Any:
        async with self._session.post(f"{self._base}{path}", json=document) as response:
            if response.status != 200:
                raise Refused(await response.text())
            return await response.json()

    async def publish(self, type: str, **fields: Any) -> Any:
        return await self.post("/artifacts", {"type": type, "payload": {}, **fields})

    async def sync(self, type: str, **fields: Any) -> Any:
        return await self.post("/artifacts/sync", {"type": type, "payload": {}, **fields})


class Speaker:
    """Lets an agent say its second half when the test wants it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()


def make_flock(speaker: Speaker) -> Flock:
    flock = Flock(name="streams")

    @flock.agent
    async def clerk(order: Order) -> Receipt:
        return Receipt(n=order.n)

    @flock.agent
    async def auditor(receipt: Receipt) -> None:
        """Looks at receipts."""

    @flock.agent
    async def orator(speech: Speech, ctx: Context) -> None:
        ctx.write("Friends, ")
        ctx.write("Romans, ")
        await speaker.go_on.wait()
        ctx.write("countrymen.")

    return flock


@asynccontextmanager
async def daemon(folder: Path, speaker: Speaker | None = None, **streams: Any) -> AsyncIterator[Daemon]:
    config = Config.model_validate(
        {"store": {"data_dir": folder}, "shutdown": {"grace_seconds": 0.1}, "streams": streams}
    )
    runner = web.AppRunner(
        make_app(config, make_flock(speaker or Speaker())), handler_cancellation=True, shutdown_timeout=5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session, asyncio.timeout(3 * LIMIT_SECONDS):
            yield Daemon(runner.app, f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()


ON_DISK = {"ring_bytes": 1024, "page_events": 7, "page_bytes": 2048}
"""A ring of hardly one event, and small pages."""


# -- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [{}, ON_DISK], ids=["ring", "disk"])
async def test_each_filter_gives_what_fits_it_of_the_whole_log(
    tmp_path: Path, streams: dict[str, int]
) -> None:
    async with daemon(tmp_path, **streams) as served:
        first = await served.sync("Order")
        for number in range(3):
            await served.sync("Order", payload={"n": number})
        async with Reader(served, **{"from": "start"}) as reader:  # type: ignore[arg-type]  # it reads the url alone
            await reader.at(served.head)
            log = [orjson.loads(block.data or "") for block in reader.blocks[1:]]
        assert [event["seq"] for event in log] == list(range(1, served.head + 1))

        def fits(event: Any, **wanted: str) -> bool:
            artifact = event["artifact"] or {"type": None}
            return all(event.get(name, artifact.get(name)) == value for name, value in wanted.items())

        one = first["correlation_id"]
        for wanted in (
            {"kind": "run.completed"},
            {"agent": "clerk"},
            {"type": "Receipt"},
            {"correlation_id": one},
            {"kind": "run.started", "agent": "auditor"},
            {"type": "Order", "correlation_id": one, "kind": "artifact.published"},
        ):
            expected = [event for event in log if fits(event, **wanted)]
            assert expected
            async with Reader(served, **{"from": "start"}, **wanted) as reader:  # type: ignore[arg-type]
                await reader.at(expected[-1]["seq"])
                got = [orjson.loads(block.data or "") for block in reader.blocks[1:] if block.data]
                assert got == expected, wanted


async def test_several_values_of_one_filter_are_any_of_them(tmp_path: Path) -> None:
    async with daemon(tmp_path) as served:
        await served.sync("Order")
        kinds = ("run.started", "correlation.completed")
        query = "&".join(f"kind={kind}" for kind in kinds)
        async with raw_text(served, f"?from=start&{query}") as parsed:
            expected = [event.seq for event in served.told.values() if event.kind in kinds]
            assert len(expected) == 3
            assert [int((await anext(parsed)).id or 0) for _ in expected] == expected


# -- the same log, whatever happens ---------------------------------------------------------------------------------


class Follower:
    """A client that comes and goes with its cursor, and the rule that it must see kept."""

    def __init__(self, served: Daemon, wanted: dict[str, str]) -> None:
        self._served = served
        self._query = wanted
        self._filter = EventFilter(
            kinds=frozenset({wanted["kind"]} if "kind" in wanted else ()),
            types=frozenset({wanted["type"]} if "type" in wanted else ()),
        )
        self._at = 0
        self._reader: Reader | None = None
        self._checked = 0

    @property
    def is_connected(self) -> bool:
        return self._reader is not None

    async def connect(self) -> None:
        headers = {"Last-Event-ID": str(self._at)}
        self._reader = Reader(self._served, headers=headers, **self._query)  # type: ignore[arg-type]
        self._checked = 0
        await self._reader.__aenter__()

    async def leave(self) -> None:
        if self._reader is not None:
            await self._reader.__aexit__()
            self._check()
            self._reader = None

    async def caught_up(self) -> None:
        """Wait until it has been served, and been told so, to where the log ends now."""
        reader, head = self._reader, self._served.head
        assert reader is not None
        await reader.until(lambda: any(int(block.id or 0) >= head for block in reader.blocks))
        self._check()
        assert self._at >= head

    def _check(self) -> None:
        """Each block is what came next for it in the log, and no position is ahead of what it was given."""
        assert self._reader is not None
        for block in self._reader.blocks[self._checked :]:
            if block.event == "gap":
                position = orjson.loads(block.data or "")["data"]["position"]
                assert position > self._at
                assert position + 1 in self._served.emptied_at
                self._at = position
            elif block.id is not None:
                owed = [
                    seq
                    for seq in range(self._at + 1, int(block.id) + 1)
                    if self._filter.admits(self._served.told[seq])
                ]
                assert owed == ([int(block.id)] if block.data is not None else [])
                self._at = int(block.id)
        self._checked = len(self._reader.blocks)


@pytest.mark.parametrize("streams", [{}, {"ring_bytes": 20_000}, ON_DISK], ids=["ring", "both", "disk"])
@pytest.mark.parametrize("seed", range(3))
async def test_every_reader_gets_the_log_after_its_cursor_through_resets(
    tmp_path: Path, seed: int, streams: dict[str, int]
) -> None:
    """Random publications, readers that come and go, and a board that is emptied, on the real store."""
    chance = random.Random(seed)
    wants = ({}, {"kind": "run.completed"}, {"type": "Receipt"}, {"kind": "run.retrying"})
    async with daemon(tmp_path, heartbeat_seconds=0.02, **streams) as served, AsyncExitStack() as stack:
        followers = [Follower(served, want) for want in wants for _ in range(2)]
        for follower in followers:
            stack.push_async_callback(follower.leave)
        for step in range(80):
            match chance.choice(("publish", "publish", "burst", "connect", "connect", "leave", "reset")):
                case "publish":
                    await served.publish("Order")
                case "burst":
                    await asyncio.gather(*(served.publish("Order") for _ in range(8)))
                case "connect" if away := [one for one in followers if not one.is_connected]:
                    await chance.choice(away).connect()
                case "leave":
                    await chance.choice(followers).leave()
                case "reset" if step % 3 == 0:
                    await served.post("/admin/reset", {"confirm": True})
        await served.sync("Order")
        for follower in followers:
            if not follower.is_connected:
                await follower.connect()
            await follower.caught_up()


@pytest.mark.parametrize("streams", [{}, ON_DISK], ids=["ring", "disk"])
async def test_a_reader_resumes_across_a_restart(tmp_path: Path, streams: dict[str, int]) -> None:
    async with daemon(tmp_path, **streams) as served, Reader(served) as reader:  # type: ignore[arg-type]
        await served.sync("Order")
        await reader.at(served.head)
        log_id, last = reader.of("hello")[0]["data"]["log_id"], int(reader.last_id)
        await served.app[STREAMS].goodbye("shutdown")
        await reader.end()
    async with daemon(tmp_path, **streams) as served:
        await served.sync("Order")
        async with daemon_reader(served, str(last)) as reader:
            assert reader.of("hello")[0]["data"]["log_id"] == log_id
            await served.sync("Order")
            await reader.at(served.head)
            assert reader.of("gap") == []
            assert reader.seqs == list(range(last + 1, served.head + 1))


def daemon_reader(served: Daemon, last_event_id: str) -> Reader:
    return Reader(served, headers={"Last-Event-ID": last_event_id})  # type: ignore[arg-type]


# -- live text ------------------------------------------------------------------------------------------------------


async def test_who_joins_while_an_agent_writes_gets_its_text_from_the_beginning(tmp_path: Path) -> None:
    speaker = Speaker()
    async with daemon(tmp_path, speaker) as served, Reader(served) as early:  # type: ignore[arg-type]
        await served.publish("Speech")
        await early.until(lambda: len(early.of("run.output")) == 2)
        async with Reader(served, agent="orator") as late:  # type: ignore[arg-type]
            await late.until(lambda: bool(late.of("run.output")))
            speaker.go_on.set()
            await early.until(lambda: bool(early.of("correlation.completed")))
            await late.until(lambda: bool(late.of("run.completed")))
            assert texts(late) == [(0, "Friends, Romans, "), (17, "countrymen.")]
        assert texts(early) == [(0, "Friends, "), (9, "Romans, "), (17, "countrymen.")]
        kinds = [block.event for block in early.blocks]
        assert kinds.index("run.started") < kinds.index("run.output")
        assert kinds[::-1].index("run.completed") < kinds[::-1].index("run.output")
        outputs = [orjson.loads(block.data or "") for block in early.blocks if block.event == "run.output"]
        assert {(event["agent"], event["data"]["attempt"], event["data"]["fence"]) for event in outputs} == {
            ("orator", 1, 1)
        }


# -- sockets --------------------------------------------------------------------------------------------------------


class raw_text:
    """The blocks of one HTTP/1.0 stream after its hello, as an async iterator."""

    def __init__(self, served: Daemon, query: str) -> None:
        self._url = f"{served.url}{query}"

    async def __aenter__(self) -> AsyncIterator[Any]:
        address, _, path = self._url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        self._writer.write(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readuntil(b"\n\n")
        return self._blocks()

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def _blocks(self) -> AsyncIterator[Any]:
        parser = BlockParser()
        while True:
            async with asyncio.timeout(LIMIT_SECONDS):
                text = await self._reader.readuntil(b"\n\n")
            for block in parser.feed(text):
                yield block


@pytest.mark.parametrize("ring_bytes", [1 << 24, 1], ids=["ring", "disk"])
async def test_a_reader_that_takes_a_byte_at_a_time_gets_everything(ring_bytes: int) -> None:
    async with serving(World(ring_bytes=ring_bytes, buffer_bytes=2048, page_bytes=2048)) as world:
        world.happen(100, data=b'"' + b"x" * 100 + b'"')
        host, _, port = world.url.removeprefix("http://").removesuffix("/events").partition(":")
        with closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect((host, int(port)))
            client.sendall(b"GET /events?from=start HTTP/1.0\r\n\r\n")
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            taken = bytearray()
            while b"\nid: 100\n" not in taken or not taken.endswith(b"\n\n"):
                taken += await loop.sock_recv(client, 1)
        blocks = BlockParser().feed(bytes(taken).partition(b"\r\n\r\n")[2])
        assert [int(block.id) for block in blocks if block.id is not None] == list(range(1, 101))


async def test_clients_that_vanish_leave_no_socket_and_no_task() -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(200, data=b'"' + b"x" * 5000 + b'"')
        sockets, tasks = set(open_sockets()), len(asyncio.all_tasks())
        async with AsyncExitStack() as stack:
            for number in range(30):
                query = "?from=start" if number % 2 else ""
                reader, writer = await stack.enter_async_context(raw(world, query=query))
                await reader.readuntil(b"event: hello")
                if number % 3 == 0:
                    writer.transport.abort()
        world.happen(1)  # they are found out by what is written to them
        await until(lambda: world.streams.count == 0)
        await until(lambda: not set(open_sockets()) - sockets)
        await until(lambda: len(asyncio.all_tasks()) == tasks)


def open_sockets() -> Iterator[str]:
    """The sockets that this process holds, where /proc tells (Linux)."""
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            yield target


async def test_readers_alike_are_handed_the_same_bytes() -> None:
    """Readers who stand at the same place and want the same are handed one object, not one copy each."""
    async with serving(World()) as world, AsyncExitStack() as stack:
        for number in range(4):
            query = "?kind=run.started" if number % 2 else ""
            reader, _ = await stack.enter_async_context(raw(world, query=query))
            await reader.readuntil(b"event: hello")
        written: dict[EventFilter, list[bytes]] = {}
        for subscription in world.streams._pump.subscriptions:
            write = subscription.connection.write_framed

            def note(data: bytes, wanted: EventFilter = subscription.wanted, write: Any = write) -> None:
                written.setdefault(wanted, []).append(data)
                write(data)

            subscription.connection.write_framed = note  # type: ignore[method-assign]
        world.happen(3)
        await until(lambda: sum(map(len, written.values())) == 4)
        assert set(written) == {EVERYTHING, EventFilter(kinds=frozenset({EventKind.run_started}))}
        for pieces in written.values():
            assert len({id(piece) for piece in pieces}) == 1


# -- the disk is ahead of the hub -----------------------------------------------------------------------------------


async def test_a_page_read_after_a_reset_that_nobody_was_told_of_waits_for_its_gap() -> None:
    async with serving(World(ring_bytes=1)) as world:
        world.happen(5)
        world.log.gate.clear()
        async with Reader(world, after=1) as reader:
            async with asyncio.timeout(LIMIT_SECONDS):
                await world.log.reached.wait()
            world.empty_log()
            world.commit([event := world.make()])
            world.log.gate.set()
            for _ in range(50):  # turns of the loop, in which the page reaches the reader's task
                await asyncio.sleep(0)
            world.hub.emptied(6)
            world.hub.tell([event])
            await reader.at(6)
            assert [block.event for block in reader.blocks] == ["hello", "gap", "run.started"]
            assert reader.seqs == [6]
