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

from flockd.domain.event import Event, EventKind
from flockd.domain.filter import EVERYTHING, EventFilter
from flockd.streams.encode import SSE
from flockd.streams.subscriber import Subscriber

from .fake_socket import FakeSocket
from .world import World

BUFFER_BYTES = 3000
PAGE_EVENTS = 4
RUNS = ["r0", "r1"]
FILTERS = [
    EVERYTHING,
    EventFilter(correlation_ids=frozenset({"c0"})),
    EventFilter(kinds=frozenset({EventKind.run_completed, EventKind.run_output})),
]


class Watcher:
    """One reader, and the rule that it must see kept."""

    def __init__(self, play: Play, position: int, wanted: EventFilter) -> None:
        self.socket = FakeSocket()
        self.wanted = wanted
        self._play = play
        self._position = position
        self.subscriber = Subscriber(
            self.socket,
            self.socket.writer,
            wanted,
            SSE,
            position=position,
            chunked=False,
            buffer_bytes=BUFFER_BYTES,
        )
        streams = play.world.streams
        self.task = asyncio.create_task(streams.serve(self.subscriber, gap=False))

    def check(self) -> None:
        """All that it got is what it had to get, in order; and so is what it did not get."""
        for block in self.socket.blocks:
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
        for block in self.socket.blocks:
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

    def make(self, count: int, what: int) -> list[Event]:
        events = []
        for number in range(count):
            kind = EventKind.run_completed if (what + number) % 3 == 0 else EventKind.run_started
            event = self.world.make(kind, correlation=f"c{(what + number) % 2}", run="other")
            events.append(event)
        self.ever += events
        return events

    def commit(self, count: int, what: int) -> None:
        """On disk now, told later."""
        events = self.make(count, what)
        self.world.commit(events)
        self._untold.append(events)

    def empty(self) -> None:
        self.world.log.committed.clear()
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

    def join(self, back: int, wanted: EventFilter) -> None:
        hub = self.world.hub
        self.watchers.append(Watcher(self, max(hub.head - back, hub.complete_from - 1), wanted))

    def take(self, number: int, size: int) -> None:
        if self.watchers:
            self.watchers[number % len(self.watchers)].socket.take(size)

    def leave(self, number: int) -> None:
        if self.watchers:
            watcher = self.watchers.pop(number % len(self.watchers))
            watcher.socket.abort()
            watcher.task.cancel()

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
            waiting = any(watcher.socket.get_write_buffer_size() for watcher in self.watchers)
            behind = any(watcher.subscriber.is_behind for watcher in self.watchers)
            quiet = 0 if waiting or behind else quiet + 1
            for watcher in self.watchers:
                watcher.socket.take(1 << 20)

    async def end(self) -> None:
        for watcher in self.watchers:
            watcher.task.cancel()
            with suppress(asyncio.CancelledError):
                await watcher.task


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
        st.tuples(st.just("join"), st.integers(0, 40), st.sampled_from(FILTERS)),
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
                assert watcher.socket.most <= 3 * BUFFER_BYTES
                for run, text in played.texts.items():
                    if text and watcher.wanted.admits(Event(0, EventKind.run_output, 1, "c0")):
                        assert watcher.text(run) == text
            await played.end()

    with asyncio.Runner() as runner:
        runner.run(play())
