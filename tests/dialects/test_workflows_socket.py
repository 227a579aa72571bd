"""Document 004 over WebSocket: a session from its beginning, and then live."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from flockd.api.keys import STREAMS
from flockd.domain.identity import new_id

from .conftest import LIMIT_SECONDS, Serve, Served
from .workflow_flock import Stage, make_flock

CODE = {"requirements": "Create a calculator"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def api(serve: Serve, stage: Stage) -> AsyncIterator[Served]:
    yield await serve(make_flock(stage))
    stage.open()


async def start(api: Served, **fields: Any) -> str:
    answer = (await api.post("/execute-workflow", {**CODE, **fields})).ok()
    return str(answer["session_id"])


class Follower:
    """A client of a session's socket."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(LIMIT_SECONDS):
            message: dict[str, Any] = orjson.loads(await self.socket.receive_str())
        self.heard.append(message)
        return message

    async def until(self, type: str) -> dict[str, Any]:
        """The next message of this type."""
        while (message := await self.hear())["type"] != type:
            pass
        return message

    async def pong(self) -> None:
        """Returns with the next pong; what came before is heard."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while (text := await self.socket.receive_str()) != "pong":
                self.heard.append(orjson.loads(text))

    async def closed(self) -> int | None:
        """The code with which the server closes it; what came before is heard."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while (message := await self.socket.receive()).type is WSMsgType.TEXT:
                self.heard.append(orjson.loads(message.data))
        return self.socket.close_code

    def told(self, *fields: str) -> list[tuple[Any, ...]]:
        return [tuple(message.get(name) for name in fields) for message in self.heard]


@asynccontextmanager
async def follow(api: Served, session_id: str, query: str = "", **options: Any) -> AsyncIterator[Follower]:
    async with api.client.ws_connect(f"/ws/{session_id}{query}", **options) as opened:
        yield Follower(opened)


async def test_a_session_live(api: Served, stage: Stage) -> None:
    session_id = await start(api)
    async with follow(api, session_id) as follower:
        await follower.until("progress")
        stage.open("planner")
        done = await follower.until("phase_complete")
        assert done == {
            "type": "phase_complete",
            "phase": "plan",
            "seq": done["seq"],
            "session_id": session_id,
        }
        stage.open()
        final = await follower.until("final_result")
        results = final["results"]
        assert (results["generated_code"], results["summary"]) == ("Create a calculator", "passed")
        phases = [phase for type, phase in follower.told("type", "phase") if type == "phase_complete"]
        assert phases == ["plan", "code", "test"]
        values = [value for type, value in follower.told("type", "value") if type == "progress"]
        assert values == sorted(values)
        assert values[-1] == 100.0
        seqs = [seq for (seq,) in follower.told("seq")]
        assert seqs == sorted(seqs)
        assert {one for (one,) in follower.told("session_id")} == {session_id}
        shapes = {type: set(one) for one in follower.heard for type in [one["type"]]}
        assert shapes == {
            "progress": {"type", "value", "phase", "seq", "session_id"},
            "phase_complete": {"type", "phase", "seq", "session_id"},
            "final_result": {"type", "results", "seq", "session_id"},
        }
        await follower.socket.send_str("ping")  # it stays open
        await follower.pong()


async def test_late_early_and_resumed_followers_hear_the_same(api: Served, stage: Stage) -> None:
    session_id = await start(api)
    async with follow(api, session_id) as early:
        stage.open()
        await early.until("final_result")
    async with follow(api, session_id, "?close=true") as late:
        assert await late.closed() == 1000
    assert late.heard == early.heard
    for cut in {message["seq"] for message in early.heard}:
        async with follow(api, session_id, f"?after={cut}&close=true") as resumed:
            assert await resumed.closed() == 1000
        assert resumed.heard == [message for message in early.heard if message["seq"] > cut]


async def test_what_is_told_is_what_a_get_says(api: Served, stage: Stage) -> None:
    stage.failing.add("tester")
    stage.open()
    session_id = await start(api)
    async with follow(api, session_id, "?close=true") as follower:
        assert await follower.closed() == 1000
    status = (await api.get(f"/workflow-status/{session_id}")).ok()
    assert status["status"] == "failed"
    last = [one for one in follower.heard if one["type"] == "progress"][-1]
    assert (last["value"], last["phase"]) == (status["progress"], status["current_phase"])
    errors = [error for type, error in follower.told("type", "error") if type == "error"]
    assert errors == [
        "RuntimeError: tester has no idea",
        "The workflow failed: RuntimeError: tester has no idea",
    ]


async def test_a_failed_session_is_followed_into_its_next_round(api: Served, stage: Stage) -> None:
    stage.failing.add("tester")
    stage.open()
    session_id = await start(api)
    async with follow(api, session_id) as follower:
        await follower.until("error")
        await follower.until("error")
        stage.failing.clear()
        runs = (await api.get(f"/api/v1/runs?correlation_id={session_id}&state=dead")).ok()["runs"]
        (await api.post(f"/api/v1/runs/{runs[0]['id']}/retry")).ok()
        await follower.until("final_result")


@pytest.mark.parametrize("over", [False, True])
async def test_a_board_that_is_emptied_ends_it_with_an_error(api: Served, stage: Stage, over: bool) -> None:
    session_id = await start(api)
    async with follow(api, session_id) as follower:
        await follower.until("progress")
        if over:
            stage.open()
            await follower.until("final_result")
        (await api.post("/api/v1/admin/reset", {"confirm": True})).ok()
        assert await follower.closed() == 1000
        last = follower.heard[-1]
        assert (last["type"], last["session_id"]) == ("error", session_id)
        assert "emptied" in last["error"]
        assert last["seq"] >= follower.heard[-2]["seq"]


async def test_other_work_is_not_told(api: Served, stage: Stage) -> None:
    session_id = await start(api, workflow_type="chore")
    async with follow(api, session_id, "?close=true") as follower:
        other = await start(api, workflow_type="full")
        stage.open()
        await api.ended(other)
        assert await follower.closed() == 1000
    assert {one for (one,) in follower.told("session_id")} == {session_id}


async def test_what_a_client_says_changes_nothing_but_ping(api: Served, stage: Stage) -> None:
    session_id = await start(api)
    async with follow(api, session_id) as follower:
        await follower.until("progress")
        await follower.socket.send_str("hello")
        await follower.socket.send_bytes(b"ping")
        await follower.socket.send_str("ping")
        await follower.socket.ping(b"x")
        await follower.pong()
        stage.open()
        await follower.until("final_result")


async def test_refusals_before_the_upgrade(api: Served) -> None:
    session_id = await start(api)
    native = (await api.publish("Requirements", CODE))["correlation_id"]
    for unknown in (new_id(), native, "no-id"):
        (await api.get(f"/ws/{unknown}", **UPGRADE)).problem(404, "NOT_FOUND")
    plain = await api.get(f"/ws/{session_id}")
    assert plain.problem(426, "UPGRADE_REQUIRED")
    assert plain.headers["Upgrade"] == "websocket"
    foreign = await api.get(f"/ws/{session_id}", **UPGRADE, Origin="https://elsewhere.example")
    foreign.problem(403, "FORBIDDEN")
    for query, field in (
        ("after=999999", "after"),
        ("after=-1", "after"),
        ("close=yes", "close"),
        ("from=start", "from"),
    ):
        problem = (await api.get(f"/ws/{session_id}?{query}", **UPGRADE)).problem(400, "INVALID_INPUT")
        assert problem["details"]["field"] == field
    assert api.app[STREAMS].count == 0


async def test_the_page_of_this_daemon_may_follow(api: Served) -> None:
    session_id = await start(api)
    origin = f"http://{api.client.host}:{api.client.port}"
    async with follow(api, session_id, origin=origin) as follower:
        await follower.until("progress")


class TestFew:
    """Where only one stream may be open."""

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"streams": {"subscribers": 1}}

    async def test_it_counts_as_a_stream(self, api: Served) -> None:
        session_id = await start(api)
        async with follow(api, session_id) as follower:
            await follower.until("progress")
            with pytest.raises(WSServerHandshakeError) as refused:
                async with follow(api, session_id):
                    pass
            assert refused.value.status == 503
        async with asyncio.timeout(LIMIT_SECONDS):
            while api.app[STREAMS].count:  # noqa: ASYNC110 - the server notices that the client has gone
                await asyncio.sleep(0)
        async with follow(api, session_id) as follower:
            await follower.until("progress")


class TestSlow:
    """Where a client that takes nothing is soon given up."""

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"streams": {"buffer_bytes": 4096, "stall_seconds": 1, "heartbeat_seconds": 0.2}}

    async def test_who_takes_nothing_is_cut_and_delays_nobody(self, api: Served, stage: Stage) -> None:
        session_id = await start(api, requirements="x" * 900_000)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(raw, (api.client.host, api.client.port))
            head = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
            request = f"GET /ws/{session_id} HTTP/1.1\r\nHost: {api.client.host}\r\n{head}\r\n"
            await loop.sock_sendall(raw, request.encode())
            assert (await loop.sock_recv(raw, 64)).startswith(b"HTTP/1.1 101")
            async with follow(api, session_id, max_msg_size=1 << 22) as follower:
                stage.open()
                await follower.until("final_result")
                async with asyncio.timeout(LIMIT_SECONDS):
                    while api.app[STREAMS].count > 1:  # meanwhile this one is served at once
                        await follower.socket.send_str("ping")
                        await follower.pong()
            assert api.app[STREAMS].cut_readers == 1
        finally:
            raw.close()


async def test_a_shutdown_closes_it_as_going_away(serve: Serve, stage: Stage) -> None:
    api = await serve(make_flock(stage))
    session_id = await start(api)
    async with follow(api, session_id) as follower:
        await follower.until("progress")
        assert api.client.server.runner is not None
        stopping = asyncio.create_task(api.client.server.runner.shutdown())
        assert await follower.closed() == 1001
        await stopping
    seen = max(seq for (seq,) in follower.told("seq"))
    await api.client.close()

    again = await serve(make_flock(stage))
    stage.open()
    async with follow(again, session_id, f"?after={seen}") as resumed:
        await resumed.until("final_result")
    assert min(seq for (seq,) in resumed.told("seq")) > seen
