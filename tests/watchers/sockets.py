"""Watchers over WebSocket: several of them on one socket, each with its own filter and cursor."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import aiohttp

from tests.process.daemon import Daemon

from .filters import Json, by_field
from .publishers import Progress
from .transports import from_json
from .watch import Start, Watch
from .watchers import choose_start

_PATIENCE = (20, 100, 500, 3000)
"""After how many messages the socket is closed. Once everything is published it stays."""
_MISCHIEF = 0.02
"""How often a message is answered by some message of the client's own."""


class SocketWatcher:
    """Some watches over one socket at a time, for as long as `run` is not cancelled.

    Between messages it at times gives a subscription up and takes it up again at its cursor, under a new id; pings;
    or says something that makes no sense, which must cost it an error and nothing else.
    """

    def __init__(
        self,
        name: str,
        watches: Sequence[Watch],
        daemon: Daemon,
        progress: Progress,
        chance: random.Random,
    ) -> None:
        self.name = name
        self.watches = watches
        self.faults: list[str] = []
        self._daemon = daemon
        self._progress = progress
        self._chance = chance
        self._open: dict[str, Watch] = {}
        self._ending: set[str] = set()
        """Subscriptions that were given up and not confirmed yet: until then they may still be served."""
        self._expected: list[str] = []
        """Answers that are due, in order: "ack ID", "error ID", "pong"."""
        self._last_id = 0

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Come at a random moment; then watch, leave and come back."""
        await self._progress.until(
            self._chance.choice((0, self._chance.randrange(self._progress.publications)))
        )
        for watch in self.watches:
            watch.start = self._choose_start()
        while True:
            await self._daemon.up.wait()
            try:
                async with session.ws_connect(f"{self._daemon.url}/api/v1/ws", max_msg_size=0) as socket:
                    await self._talk(socket)
            except (aiohttp.ClientError, ConnectionError) as error:
                self._tell(f"is cut ({type(error).__name__})")
            self._open.clear()
            self._ending.clear()
            self._expected.clear()

    def _choose_start(self) -> Start:
        """There is no header here, so no cursor from the future: that one would be refused."""
        start = choose_start(self._chance, self._progress.head, self._progress.lookback)
        return (
            start
            if start.how in {"now", "start", "after"}
            else Start("after", min(start.seq, self._progress.head))
        )

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        patience = self._chance.choice(_PATIENCE)
        for watch in self.watches:
            await self._subscribe(socket, watch)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            given_up = self._take(message.data if message.data == "pong" else message.json())
            if given_up is not None:
                await self._subscribe(socket, given_up)
            if self._chance.random() < _MISCHIEF:
                await self._act(socket)
            patience -= 1
            if patience <= 0 and not self._progress.is_over:
                self._tell("leaves")
                return
        self._tell("ends")

    def _take(self, said: Json | str) -> Watch | None:
        """One message. The watch whose subscription it ends, if it does that."""
        if isinstance(said, str):
            self._expect("the text pong")
            return None
        match said["type"]:
            case "event" | "position":
                self._serve(said)
            case "pong":
                self._expect("pong")
            case kind:
                self._expect(f"{kind} {said['id']}", said)
                if said["id"] in self._ending and kind == "ack":
                    self._ending.discard(said["id"])
                    return self._open.pop(said["id"])
        return None

    def _serve(self, said: Json) -> None:
        id = said.get("subscription")
        if id is None and said["type"] == "event" and said["event"]["kind"] == "goodbye":
            return
        watch = self._open.get(id or "")
        if watch is None:
            self.faults.append(f"{self.name} got {said} for a subscription that it does not have")
        elif said["type"] == "position":
            watch.take(from_json({"type": "position", "seq": said["seq"]}))
        else:
            watch.take(from_json(said["event"]))

    def _expect(self, answer: str, said: Json | None = None) -> None:
        if answer in self._expected:
            self._expected.remove(answer)
        else:
            self.faults.append(f"{self.name} got {said or answer}, and waits for {self._expected}")

    async def _act(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        match self._chance.choice(("unsubscribe", "ping", "text", "nonsense")):
            case "unsubscribe":
                if live := sorted(id for id in self._open if f"ack {id}" not in self._expected):
                    id = self._chance.choice(live)
                    self._ending.add(id)
                    self._expected.append(f"ack {id}")
                    await socket.send_json({"action": "unsubscribe", "id": id})
            case "ping":
                self._expected.append("pong")
                await socket.send_json({"action": "ping"})
            case "text":
                self._expected.append("the text pong")
                await socket.send_str("ping")
            case _:
                id = self._new_id("bad")
                self._expected.append(f"error {id}")
                await socket.send_json({"action": "subscribe", "id": id, "filter": {"king": "run.started"}})

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, watch: Watch) -> None:
        id = self._new_id(watch.name)
        message: Json = {"action": "subscribe", "id": id, "filter": by_field(watch.wanted)}
        if watch.begin is not None:
            message["after"] = watch.cursor
        elif watch.start.how != "now":
            message["after"] = watch.start.seq
        else:
            watch.start = Start("now", self._progress.head)
        self._open[id] = watch
        self._expected.append(f"ack {id}")
        watch.connected()
        await socket.send_json(message)

    def _new_id(self, name: str) -> str:
        self._last_id += 1
        return f"{name}#{self._last_id}"

    def _tell(self, what: str) -> None:
        for watch in self.watches:
            watch.tell(f"{what} at {watch.cursor}")


async def run_all(watchers: Sequence[SocketWatcher]) -> None:
    """All of them at once, until cancelled."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as group,
    ):
        for watcher in watchers:
            group.create_task(watcher.run(session), name=watcher.name)
