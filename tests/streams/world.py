"""A board as the streams see it: a log that can be read in pages, a hub that is told of it, and readers on sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

from flockd.cli.sse import Block, BlockParser
from flockd.domain.artifact import Artifact
from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EventFilter
from flockd.errors import FlockdError
from flockd.store.reads import LogPosition
from flockd.streams import http
from flockd.streams.cursor import start
from flockd.streams.encode import WebSocketMessages
from flockd.streams.follow import End
from flockd.streams.hub import Hub
from flockd.streams.streams import StreamLimits, Streams
from flockd.streams.subscription import Subscription
from flockd.streams.websocket import Socket, websocket

LOG_ID = "0198a000-0000-7000-8000-000000000000"
LIMIT_SECONDS = 20.0
"""How long a test waits for a signal: only a failure comes near it."""
NEVER_SECONDS = 3600.0
LIMITS = StreamLimits(
    subscribers=1000,
    subscribers_per_address=1000,
    subscriptions_per_socket=10,
    message_bytes=4096,
    filter_values=10,
    filter_chars=100,
)


class Log:
    """Committed events, readable in pages. `reached` is set by each read; reads wait while `gate` is closed."""

    def __init__(self) -> None:
        self.committed: list[Event] = []
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()

        self.complete_from = 1

    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]:
        return await self._page(after, limit, max_bytes, None)

    async def correlation_events(
        self, correlation_id: str, after: int, limit: int, max_bytes: int
    ) -> list[Event]:
        return await self._page(after, limit, max_bytes, correlation_id)

    async def log_position(self) -> LogPosition:
        return LogPosition(LOG_ID, 0, self.complete_from)

    async def _page(self, after: int, limit: int, max_bytes: int, correlation_id: str | None) -> list[Event]:
        self.reads += 1
        self.reached.set()
        await self.gate.wait()
        page: list[Event] = []
        size = 0
        for event in self.committed:
            if correlation_id is not None and event.correlation_id != correlation_id:
                continue
            if event.seq > after and len(page) < limit and size < max_bytes:
                page.append(event)
                size += len(event.data) + (len(event.artifact.payload) if event.artifact else 0)
        return page


class World:
    """A log, its hub, and the streams on it. What is committed is told at once, unless `commit` is called itself."""

    def __init__(self, *, ring_bytes: int = 1 << 24, inline_bytes: int = 1 << 16, **settings: Any) -> None:
        self.log = Log()
        self.next_seq = 1
        self.hub = Hub(
            ring_bytes=ring_bytes, inline_bytes=inline_bytes, head=0, log_id=LOG_ID, complete_from=1
        )
        limits = LIMITS._replace(
            **{name: settings.pop(name) for name in list(settings) if name in LIMITS._fields}
        )
        self.streams = Streams(
            self.hub,
            self.log,
            limits=limits,
            **{
                "heartbeat_seconds": NEVER_SECONDS,
                "stall_seconds": NEVER_SECONDS,
                "buffer_bytes": 1 << 16,
                "page_events": 10,
                "page_bytes": 1 << 16,
            }
            | settings,
        )
        self.url = self.socket_url = ""
        self.failures: list[Exception] = []
        """What went wrong in a handler that no client is to blame for."""

    def make(
        self,
        kind: EventKind = EventKind.run_started,
        *,
        agent: str | None = None,
        correlation: str = "c1",
        run: str | None = None,
        type: str | None = None,
        data: bytes = b"{}",
    ) -> Event:
        """The next event; with a type it is one with an artifact."""
        seq = self.next_seq
        self.next_seq += 1
        artifact = None
        if type is not None:
            artifact = Artifact(
                seq, f"a{seq}", type, b'{"n":%d}' % seq, agent or "external", correlation, seq
            )
        return Event(seq, kind, seq, correlation, agent, run, data, artifact)

    def commit(self, events: Sequence[Event]) -> None:
        self.log.committed += events

    def tell(self, *events: Event) -> None:
        """Commit, then tell."""
        self.commit(events)
        self.hub.tell(events)

    def happen(self, count: int = 1, **fields: Any) -> list[Event]:
        """So many events, each a commit of its own."""
        events = [self.make(**fields) for _ in range(count)]
        for event in events:
            self.tell(event)
        return events

    def write(self, run: str, text: str, offset: int, fence: int = 1, correlation: str = "c1") -> None:
        """Live text of a run."""
        data = orjson.dumps({"text": text, "offset": offset, "attempt": 1, "fence": fence})
        self.hub.tell_live(Event(0, EventKind.run_output, 1, correlation, "writer", run, data))

    def empty(self) -> None:
        """The board is emptied: committed and told."""
        self.empty_log()
        self.hub.emptied(self.next_seq)

    def empty_log(self) -> None:
        """The board is emptied on disk, and nobody is told yet."""
        self.log.committed.clear()
        self.log.complete_from = self.next_seq

    def after(self, position: int, wanted: EventFilter | None = None) -> list[int]:
        """What a reader from this position on must get."""
        return [
            event.seq
            for event in self.log.committed
            if event.seq > position and (wanted is None or wanted.admits(event))
        ]


@asynccontextmanager
async def serving(world: World, *, handler_cancellation: bool = True) -> AsyncIterator[World]:
    """The streams of a world at GET /events, with some filters, and `until` a round of its correlation."""

    async def events(request: web.Request) -> web.StreamResponse:
        query = request.query
        wanted = EventFilter(
            kinds=frozenset(query.getall("kind", ())),
            correlation_ids=frozenset(query.getall("correlation", ())),
            types=frozenset(query.getall("type", ())),
            where=frozenset(query.getall("where", ())),
        )
        end = None
        if "until" in query:
            end = End(query["correlation"], int(query["until"]), world.hub.emptied_times)
        with world.streams.place(request.remote):
            begin = start(
                world.hub,
                after=int(query["after"]) if "after" in query else None,
                from_start=query.get("from") == "start",
                last_event_id=request.headers.get("Last-Event-ID"),
            )
            return await http.stream(request, world.streams, wanted, begin, end=end)

    @web.middleware
    async def problems(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except FlockdError as error:
            return web.Response(status=error.status, text=error.message, headers=error.headers)
        except Exception as error:
            world.failures.append(error)
            raise

    app = web.Application(middlewares=[problems])

    async def socket(request: web.Request) -> web.StreamResponse:
        """Opens so many subscriptions; then it answers what it is told, and fails at "fail"."""

        async def converse(socket: Socket) -> None:
            for number in range(int(request.query.get("subscriptions", 0))):
                position = 0 if request.query.get("from") == "start" else world.hub.head
                wanted = EventFilter(agents=frozenset(request.query.getall(f"agent{number}", ())))
                encoder = WebSocketMessages(f"s{number}")
                subscription = Subscription(socket.connection, wanted, encoder, position=position)
                world.streams.open(subscription, gap=False)
            while (message := await socket.receive()) is not None:
                assert message != "fail", "as the test wants it"
                socket.send(orjson.dumps({"type": "ack", "id": None, "said": str(message)[:1000]}))

        return await websocket(request, world.streams, converse)

    app.router.add_get("/events", events)
    app.router.add_get("/ws", socket)
    runner = web.AppRunner(app, handler_cancellation=handler_cancellation, shutdown_timeout=LIMIT_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        world.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        world.socket_url = f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
        async with asyncio.timeout(3 * LIMIT_SECONDS), world.streams:
            yield world
    finally:
        await runner.cleanup()
    assert world.failures == []


class Reader:
    """A client of one stream, which reads by itself: `blocks` is what it got, and `until` waits for more."""

    def __init__(self, world: World, *, headers: Mapping[str, str] | None = None, **query: Any) -> None:
        self.blocks: list[Block] = []
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.ended = False
        self._url = world.url
        self._sent = dict(headers or {})
        self._query = {name: str(value) for name, value in query.items()}
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Returns when it was greeted."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        self._task = asyncio.create_task(self._read(), name="reader")
        await self.until(lambda: bool(self.blocks) or self.ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._session.close()

    @property
    def seqs(self) -> list[int]:
        """The events of the log that it got."""
        return [int(block.id) for block in self.blocks if block.id is not None and block.data is not None]

    @property
    def last_id(self) -> str:
        """What a browser would send as Last-Event-ID."""
        return next(block.id for block in reversed(self.blocks) if block.id is not None)

    def of(self, kind: str) -> list[Any]:
        """The parsed data of the blocks of one kind."""
        return [orjson.loads(block.data) for block in self.blocks if block.event == kind and block.data]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def at(self, seq: int) -> None:
        """Until it got this event."""
        await self.until(lambda: bool(self.seqs) and self.seqs[-1] >= seq)

    async def end(self) -> None:
        await self.until(lambda: self.ended)

    async def _read(self) -> None:
        parser = BlockParser()
        try:
            async with self._session.get(self._url, headers=self._sent, params=self._query) as response:
                self.status, self.headers = response.status, response.headers
                async for data in response.content.iter_any():
                    async with self._changed:
                        self.blocks += parser.feed(data)
                        self._changed.notify_all()
        finally:
            async with self._changed:
                self.ended = True
                self._changed.notify_all()


async def until(condition: Any) -> None:
    """Wait, tick by tick of the loop, for something that has no signal of its own."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what it waits for has no signal of its own
            await asyncio.sleep(0)


async def turns(count: int = 100) -> None:
    """So many turns of the loop, in which whoever can go on does: for what must not happen."""
    for _ in range(count):
        await asyncio.sleep(0)
