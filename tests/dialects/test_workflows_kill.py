"""Flows and workflows under SIGKILL: ids stay valid, progress never falls, nothing is twice on the board."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.process.client import Client, Json
from tests.process.daemon import Daemon

COUNT = 16
"""Sessions, and executions, that are under way at once."""
KILLS_AT = (3, 8)
"""Sessions that have completed when the process is killed."""


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setattr("tests.process.daemon.FLOCK", "tests.dialects.killable:flock")
    daemon = Daemon(tmp_path)
    yield daemon
    await daemon.close()
    print(daemon.output)


class Watched:
    """Sessions as a client sees them who asks again and again."""

    def __init__(self, client: Client, ids: list[str]) -> None:
        self._client = client
        self._seen: dict[str, list[Json]] = {one: [] for one in ids}

    async def look(self) -> int:
        """Ask for each of them; answers how many have completed."""
        for session_id, seen in self._seen.items():
            seen.append(await self._client.get(f"/workflow-status/{session_id}"))
            self._check(seen)
        return sum(seen[-1]["status"] == "completed" for seen in self._seen.values())

    def _check(self, seen: list[Json]) -> None:
        now, before = seen[-1], seen[max(0, len(seen) - 2)]
        assert now["progress"] >= before["progress"]
        assert now["phases_completed"][: len(before["phases_completed"])] == before["phases_completed"]
        assert now["created_at"] == before["created_at"]
        assert now["started_at"] == before["started_at"] or before["started_at"] is None
        assert now["status"] in ("queued", "running", "completed")
        if before["status"] != "queued":
            assert now["status"] != "queued"
        if before["status"] == "completed":
            assert now == before

    async def until_completed(self, count: int) -> None:
        async with asyncio.timeout(120):
            while await self.look() < count:
                pass


async def follow(daemon: Daemon, session_id: str) -> list[Json]:
    """What a socket tells of a session to one who comes back after each interruption."""
    heard: list[Json] = []
    async with aiohttp.ClientSession() as session:
        while not heard or heard[-1]["type"] != "final_result":
            await daemon.up.wait()
            after = heard[-1]["seq"] if heard else 0
            url = f"{daemon.url}/ws/{session_id}?close=true&after={after}"
            new: list[Json] = []
            try:
                async with session.ws_connect(url) as socket:
                    async for message in socket:
                        new.append(orjson.loads(message.data))
            except aiohttp.ClientError:
                pass  # it is no longer up
            # Several messages may have one seq: a part of them would be told again.
            whole = [one for one in new if one["seq"] < new[-1]["seq"]] if new else []
            heard += new if new and new[-1]["type"] == "final_result" else whole
    return heard


@pytest.mark.timeout(240)
async def test_kills_in_the_middle(daemon: Daemon) -> None:
    await daemon.start()
    async with Client(daemon) as client:
        sessions = [await start_session(client, n) for n in range(COUNT)]
        executions = [await start_execution(client, n) for n in range(COUNT)]
        watched = Watched(client, sessions)
        follower = asyncio.create_task(follow(daemon, sessions[-1]))
        for at in KILLS_AT:
            await watched.until_completed(at)
            await daemon.kill()
            await daemon.start()
        await watched.until_completed(COUNT)
        async with asyncio.timeout(60):
            heard = await follower
        check_heard(heard, await client.get(f"/workflow-status/{sessions[-1]}"))
        for n, execution_id in enumerate(executions):
            await until_over(client, execution_id, n)
        listed = await client.get("/api/v1/executions", flow_name="count-flow", status="completed")
        assert [one["execution_id"] for one in listed["executions"]] == executions[::-1]
        await check_board(client, sessions, executions)
        await daemon.verify()


async def start_session(client: Client, n: int) -> str:
    body = {"requirements": f"order {n}", "configuration": {"n": n}}
    return str((await client.request("POST", "/execute-workflow", body)).accepted()["session_id"])


async def start_execution(client: Client, n: int) -> str:
    answer = await client.request("POST", "/api/v1/count-flow/execute", {"n": n})
    return str(answer.accepted()["execution_id"])


async def until_over(client: Client, execution_id: str, n: int) -> None:
    async with asyncio.timeout(60):
        while True:
            execution = await client.get(f"/api/v1/count_flow/execution/{execution_id}")
            if execution["status"] == "completed":
                assert execution["result"] == {"n": n, "counted": n}
                return
            assert execution["status"] in ("pending", "running")


def check_heard(heard: list[Json], session: Json) -> None:
    """Each message once, in order, and in the end what a GET says."""
    assert [one["seq"] for one in heard] == sorted(one["seq"] for one in heard)
    values = [one["value"] for one in heard if one["type"] == "progress"]
    assert values == sorted(values)
    phases = [one["phase"] for one in heard if one["type"] == "phase_complete"]
    assert phases == session["phases_completed"] == ["draft", "copy", "print"]
    assert heard[-1]["results"] == session["results"]
    assert Counter(one["type"] for one in heard)["final_result"] == 1


async def check_board(client: Client, sessions: list[str], executions: list[str]) -> None:
    """Each result is there once."""
    expected: Any = Counter((session, kind) for session in sessions for kind in ("Draft", "Fair", "Printed"))
    made = [one for kind in ("Draft", "Fair", "Printed") for one in await client.artifacts(type=kind)]
    assert Counter((one["correlation_id"], one["type"]) for one in made) == expected
    counted = await client.artifacts(type="CountState", produced_by="count_flow")
    assert Counter(one["correlation_id"] for one in counted) == Counter(executions)
