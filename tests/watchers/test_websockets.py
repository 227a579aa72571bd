"""The `websockets` package against the WebSocket protocol: everything that a client may say, and a restart."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
import websockets

from tests.process.client import Client
from tests.process.daemon import Daemon

from .board import log, restart, work
from .filters import Json

pytestmark = pytest.mark.timeout(120)

LIMIT_SECONDS = 30.0


class Socket:
    """One socket of the `websockets` client: what it was told, sorted by what it is about."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection
        self.events: dict[str, list[Json]] = {}
        """The events of each subscription, those about the stream itself among them."""

    async def say(self, **message: object) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def hear(self) -> Json | str:
        """The next message; what belongs to a subscription is kept, too."""
        async with asyncio.timeout(LIMIT_SECONDS):
            text = await self.connection.recv()
        if text == "pong":
            return text
        message: Json = orjson.loads(text)
        if message["type"] == "event" and "subscription" in message:
            self.events.setdefault(message["subscription"], []).append(message["event"])
        return message

    async def answer(self, id: str) -> Json:
        """The ack or error of a message, whatever comes before it."""
        while True:
            message = await self.hear()
            if isinstance(message, dict) and message["type"] in {"ack", "error"} and message["id"] == id:
                return message

    async def ask(self, action: str, id: str, **fields: object) -> Json:
        """Say something and wait for its answer."""
        await self.say(action=action, id=id, **fields)
        return await self.answer(id)

    async def until(self, subscription: str, seq: int) -> list[Json]:
        """The events of the log that a subscription got, once it has been given this one."""
        while not any(event.get("seq") == seq for event in self.events.get(subscription, ())):
            await self.hear()
        return self.logged(subscription)

    def logged(self, subscription: str) -> list[Json]:
        return [event for event in self.events.get(subscription, ()) if event.get("seq") is not None]


@asynccontextmanager
async def connected(daemon: Daemon) -> AsyncIterator[Socket]:
    url = daemon.url.replace("http://", "ws://") + "/api/v1/ws"
    async with websockets.connect(url, proxy=None) as connection:
        yield Socket(connection)


async def test_subscriptions_of_one_socket_get_what_each_wants(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    await work(client, 2)
    async with connected(daemon) as socket:
        assert (await socket.ask("subscribe", "all", filter={}, after=0))["type"] == "ack"
        completed = {"kind": "run.completed", "agent": ["first", "second"]}
        assert (await socket.ask("subscribe", "some", filter=completed, after=0))["type"] == "ack"
        assert (await socket.ask("subscribe", "new", filter={"type": "D"}))["type"] == "ack"
        before = log(daemon)[-1]["seq"]
        head = await work(client, 2)
        assert await socket.until("all", head) == log(daemon)
        wanted = (("kind", "run.completed"), ("agent", "first"), ("agent", "second"))
        some = log(daemon, wanted=wanted)
        assert await socket.until("some", some[-1]["seq"]) == some
        new = log(daemon, after=before, wanted=(("type", "D"),))
        assert await socket.until("new", new[-1]["seq"]) == new
        assert [events[0]["kind"] for events in socket.events.values()] == ["hello"] * 3

        assert (await socket.ask("unsubscribe", "all"))["type"] == "ack"
        seen = len(socket.events["all"])
        head = await work(client, 1)
        await socket.until("new", log(daemon, wanted=(("type", "D"),))[-1]["seq"])
        assert len(socket.events["all"]) == seen


async def test_publish_and_cancel(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    async with connected(daemon) as socket:
        await socket.ask("subscribe", "log", filter={}, after=0)
        accepted = await socket.ask(
            "publish", "p1", artifact={"type": "Slow", "payload": {"n": 1, "seconds": 300}}
        )
        assert accepted["type"] == "ack", accepted
        stored = await client.get(f"/api/v1/artifacts/{accepted['artifact_id']}")
        assert (stored["seq"], stored["correlation_id"]) == (accepted["seq"], accepted["correlation_id"])
        refused = await socket.ask("publish", "p2", artifact={"type": "Slow", "payload": {"n": "many"}})
        assert (refused["type"], refused["error"]) == ("error", "INVALID_INPUT")

        cancelled = await socket.ask("cancel", "c1", correlation_id=accepted["correlation_id"])
        assert cancelled["type"] == "ack", cancelled
        unknown = await socket.ask("cancel", "c2", correlation_id=str(uuid.uuid4()))
        assert (unknown["type"], unknown["error"]) == ("error", "NOT_FOUND")
        events = await socket.until("log", log(daemon)[-1]["seq"])
        assert events == log(daemon)
        assert events[-1]["kind"] == "correlation.cancelled"


async def test_both_pings_and_the_keepalive_of_the_library(daemon: Daemon) -> None:
    await daemon.start()
    async with connected(daemon) as socket:
        await socket.say(action="ping")
        answer = await socket.hear()
        assert isinstance(answer, dict)
        assert answer["type"] == "pong"
        await socket.connection.send("ping")
        assert await socket.hear() == "pong"
        async with asyncio.timeout(LIMIT_SECONDS):
            await (await socket.connection.ping())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"action":"dance","id":"x"}',
        '{"action":"subscribe","id":"x","filter":{"kind":"no.such"}}',
    ],
)
async def test_what_makes_no_sense_is_answered_with_an_error_and_costs_nothing(
    daemon: Daemon, text: str
) -> None:
    await daemon.start()
    async with connected(daemon) as socket:
        await socket.connection.send(text)
        answer = await socket.hear()
        assert isinstance(answer, dict)
        assert answer["type"] == "error"
        assert answer["message"]
        await socket.connection.send("ping")
        assert await socket.hear() == "pong"


@pytest.mark.parametrize("killed", [False, True], ids=["SIGTERM", "SIGKILL"])
async def test_it_goes_on_after_a_restart(daemon: Daemon, client: Client, killed: bool) -> None:
    await daemon.start()
    async with connected(daemon) as socket:
        await socket.ask("subscribe", "log", filter={}, after=0)
        head = await work(client, 2)
        events = await socket.until("log", head)
        await restart(daemon, killed=killed)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await socket.hear()
        kinds = [event["kind"] for event in socket.events["log"]]
        assert ("goodbye" in kinds, isinstance(closed.value, websockets.ConnectionClosedOK)) == (
            (False, False) if killed else (True, True)
        )
    async with connected(daemon) as socket:
        await socket.ask("subscribe", "log", filter={}, after=events[-1]["seq"])
        head = await work(client, 2)
        events += await socket.until("log", head)
    assert events == log(daemon)
