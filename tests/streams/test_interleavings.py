"""Whatever the order in which things happen, each reader gets the log after its cursor, filtered: no gap, no repeat.

The pump is the real one; sockets are taken from when the test says so, and the disk is ahead of the hub at times.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.cli.sse import Block
from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EVERYTHING, EventFilter
from flockd.streams.connection import Connection, Medium
from flockd.streams.encode import SSE, WebSocketMessages
from flockd.streams.subscription import Subscription

from .fake_socket import FakeSocket, MessageParser
from .world import World

BUFFER_BYTES = 3000
PAGE_EVENTS = 4
RUNS = ["r0", "r1"]
FILTERS = [
    EVERYTHING,
    EventFilter(correlation_ids=frozenset({"c0"})),
    EventFilter(kinds=frozenset({EventKind.run_completed, EventKind.run_output})),
    EventFilter(where=frozenset({"n > `20`"}), types=frozenset({"T"})),
]


class Client:
    """A socket, with one subscription over SSE or any number over WebSocket."""

    def __init__(self, play: Play, *, websocket: bool) -> None:
        self.websocket = websocket
        self.socket = FakeSocket(MessageParser() if websocket else None)
        self.connection = Connection(
            self.socket,
            self.socket.writer,
            medium=Medium.websocket if websocket else Medium.sse,
            chunked=False,
            buffer_bytes=BUFFER_BYTES,
        )
        self._streams = play.world.streams
        self.task: asyncio.Task[None] | None = None

    def subscribe(self, name: str, position: int, wanted: EventFilter) -> Subscription:
        encoder = WebSocketMessages(name) if self.websocket else SSE
        subscription = Subscription(self.connection, wanted, encoder, position=position)
        if not self.websocket:
            self.task = asyncio.create_task(self._streams.serve(subscription, gap=False))
        elif self.task is None:
            self.task = asyncio.create_task(self._converse(subscription))
        else:
            self._streams.open(subscription, gap=False)
        return subscription

    async def _converse(self, first: Subscription) -> None:
        with self._streams.connected(self.connection):
            self._streams.open(first, gap=False)
            await self.connection.ended

    async def leave(self) -> None:
        self.socket.abort()
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


class Watcher:
    """One reader, and the rule that it must see kept."""

    def __init__(self, play: Play, client: Client, name: str, position: int, wanted: EventFilter) -> None:
        self.client = client
        self.wanted = wanted
        self._name = name
        self._play = play
        self._position = position
        self.subscription = client.subscribe(name, position, wanted)

    @property
    def blocks(self) -> list[Block]:
        messages = self.client.socket.messages
        return self.client.socket.blocks if messages is None else messages.blocks[self._name]

    def check(self) -> None:
        """All that it got is what it had to get, in order; and so is what it did not get."""
        for block in self.blocks:
            if block.event == "gap":
                position = orjson.loads(block.data or "")["data"]["position"]
                assert position + 1 in self._play.emptied_at
                assert position > self._position
                self._position = position
            elif block.id is not None:
                assert self._owed(int(block.id)) == ([int(block.id)] if block.data is not None else [])
                self._position = int(block.id)
        assert self._owed(self._play.world.hub.head) == []

    def _owed(self, seq: int) -> list[int]:
        """What lies between where it stands and this seq."""
        events = self._play.ever[self._position : seq]
        return [event.seq for event in events if self.wanted.admits(event)]

    def text(self, run: str) -> str:
        """The text of a run as a client puts it together: a chunk at offset 0 replaces all before it."""
        text = ""
        for block in self.blocks:
            if block.event == "run.output":
                event = orjson.loads(block.data or "")
                if event["run_id"] == run:
                    offset = event["data"]["offset"]
                    text = text if offset else ""
                    assert offset == len(text)
                    text += event["data"]["text"]
        return text


class Play:
    """A world in which one thing after the other happens."""

    def __init__(self, ring_bytes: int) -> None:
        self.world = World(ring_bytes=ring_bytes, buffer_bytes=BUFFER_BYTES, page_events=PAGE_EVENTS)
        self.ever: list[Event] = []
        """Every event that was ever committed, also where it was emptied away: the one at index n has seq n + 1."""
        self.emptied_at: set[int] = set()
        self.watchers: list[Watcher] = []
        self.texts = dict.fromkeys(RUNS, "")
        self._untold: list[list[Event] | int] = []
        self._joined = 0

    def make(self, count: int, what: int) -> list[Event]:
        events = []
        for number in range(count):
            kind = EventKind.run_completed if (what + number) % 3 == 0 else EventKind.run_started
            artifact_type = "T" if (what + number) % 4 == 0 else None
            turn = what if what > 4 else what + number  # all of one workflow, or in turn
            event = self.world.make(kind, correlation=f"c{turn % 2}", run="other", type=artifact_type)
            events.append(event)
        self.ever += events
        return events

    def commit(self, count: int, what: int) -> None:
        """On disk now, told later."""
        events = self.make(count, what)
        self.world.commit(events)
        self._untold.append(events)

    def empty(self) -> None:
        self.world.empty_log()
        self.emptied_at.add(self.world.next_seq)
        self._untold.append(self.world.next_seq)

    def tell(self) -> None:
        for told in self._untold:
            if isinstance(told, int):
                self.world.hub.emptied(told)
                self.texts = dict.fromkeys(RUNS, "")
            else:
                self.world.hub.tell(told)
        self._untold.clear()

    def write(self, number: int) -> None:
        run = RUNS[number % len(RUNS)]
        text = "text " * (1 + number % 7)
        self.world.write(run, text, len(self.texts[run]), correlation="c0")
        self.texts[run] += text

    def end_run(self, number: int) -> None:
        self.tell()
        run = RUNS[number % len(RUNS)]
        event = self.world.make(EventKind.run_completed, correlation="c0", run=run)
        self.ever.append(event)
        self.world.tell(event)
        self.texts[run] = ""

    async def join(self, back: int, wanted: EventFilter, websocket: bool) -> None:
        """Over SSE, or over the WebSocket that was opened last, if there is one."""
        open_ones = [watcher.client for watcher in self.watchers if watcher.client.websocket]
        client = open_ones[-1] if websocket and open_ones else Client(self, websocket=websocket)
        hub = self.world.hub
        self._joined += 1
        position = max(hub.head - back, hub.complete_from - 1)
        self.watchers.append(Watcher(self, client, f"s{self._joined}", position, wanted))
        await asyncio.sleep(0)  # its handler begins

    def take(self, number: int, size: int) -> None:
        if self.watchers:
            self.watchers[number % len(self.watchers)].client.socket.take(size)

    async def leave(self, number: int) -> None:
        """The whole client."""
        if self.watchers:
            client = self.watchers[number % len(self.watchers)].client
            self.watchers = [watcher for watcher in self.watchers if watcher.client is not client]
            await client.leave()

    def unsubscribe(self, number: int) -> None:
        """One of its subscriptions, while others stay."""
        of_sockets = [watcher for watcher in self.watchers if watcher.client.websocket]
        if len(of_sockets) > 1:
            watcher = of_sockets[number % len(of_sockets)]
            self.watchers.remove(watcher)
            self.world.streams.close(watcher.subscription)

    async def tick(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    def gate(self, is_open: bool) -> None:
        """Reads of the log wait from now on, or no longer."""
        if is_open:
            self.world.log.gate.set()
        else:
            self.world.log.gate.clear()

    async def settle(self) -> None:
        """Everything is told, and every reader takes all it is given."""
        self.gate(True)
        self.tell()
        quiet = 0
        while quiet < 10:
            await self.tick(3)
            waiting = any(watcher.client.socket.get_write_buffer_size() for watcher in self.watchers)
            behind = any(watcher.subscription.is_behind for watcher in self.watchers)
            quiet = 0 if waiting or behind else quiet + 1
            for watcher in self.watchers:
                watcher.client.socket.take(1 << 20)

    async def end(self) -> None:
        for watcher in self.watchers:
            await watcher.client.leave()
        await self.tick(20)
        streams = self.world.streams
        assert not streams._connections and not streams._pump.subscriptions and not streams._pump._catch_ups


SMALL = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 12), SMALL),
        st.tuples(st.just("commit"), st.integers(1, 12), SMALL),
        st.tuples(st.just("tell")),
        st.tuples(st.just("tell")),
        st.tuples(st.just("empty")),
        st.tuples(st.just("write"), SMALL),
        st.tuples(st.just("write"), SMALL),
        st.tuples(st.just("end_run"), SMALL),
        st.tuples(st.just("join"), st.integers(0, 40), st.sampled_from(FILTERS), st.booleans()),
        st.tuples(st.just("join"), st.integers(0, 40), st.sampled_from(FILTERS), st.booleans()),
        st.tuples(st.just("unsubscribe"), SMALL),
        st.tuples(st.just("take"), SMALL, st.sampled_from([1, 100, 1000, 1 << 20])),
        st.tuples(st.just("leave"), SMALL),
        st.tuples(st.just("tick"), st.integers(1, 6)),
        st.tuples(st.just("gate"), st.booleans()),
    ),
    min_size=10,
    max_size=100,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, ring_bytes=st.sampled_from([1, 8_000, 30_000, 1 << 20]))
def test_each_reader_gets_the_log_after_its_cursor(steps: list[tuple[Any, ...]], ring_bytes: int) -> None:
    async def play() -> None:
        played = Play(ring_bytes)
        async with asyncio.timeout(30), played.world.streams:
            for name, *arguments in steps:
                done = getattr(played, name)(*arguments)
                if asyncio.iscoroutine(done):
                    await done
            await played.settle()
            for watcher in played.watchers:
                watcher.check()
                assert watcher.client.socket.most <= 3 * BUFFER_BYTES
                for run, text in played.texts.items():
                    if text and watcher.wanted.admits(Event(0, EventKind.run_output, 1, "c0")):
                        assert watcher.text(run) == text
            await played.end()

    with asyncio.Runner() as runner:
        runner.run(play())
