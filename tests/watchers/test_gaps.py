"""Cursors that the log can no longer serve: a board that was emptied, and one that was restored from a backup."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from tests.process.client import Client
from tests.process.daemon import Daemon

from .board import log, work
from .filters import Json
from .transports import NDJSON, SSE, from_json, items
from .watch import Item

pytestmark = pytest.mark.timeout(120)

Cursor = dict[str, str]
"""A query or a header of one field."""
Reader = Callable[[Daemon, int], AsyncGenerator[Item, None]]


async def over_http(
    daemon: Daemon, accept: str, query: Cursor, headers: Cursor | None = None
) -> AsyncGenerator[Item, None]:
    """What a stream says, heartbeats left out."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.get(
            f"{daemon.url}/api/v1/events", params=query, headers={"Accept": accept, **(headers or {})}
        ) as response,
    ):
        assert response.status == 200, await response.text()
        async for item in items(response):
            if item.kind != "position":
                yield item


def sse(daemon: Daemon, after: int) -> AsyncGenerator[Item, None]:
    return over_http(daemon, SSE, {"after": str(after)})


def ndjson(daemon: Daemon, after: int) -> AsyncGenerator[Item, None]:
    return over_http(daemon, NDJSON, {"after": str(after)})


async def websocket(daemon: Daemon, after: int) -> AsyncGenerator[Item, None]:
    """The same of one subscription on a socket of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{daemon.url}/api/v1/ws") as socket,
    ):
        await socket.send_json({"action": "subscribe", "id": "s", "after": after})
        async for message in socket:
            said: Json = message.json()
            assert said["type"] in {"ack", "event", "position"}, said
            if said["type"] == "event":
                yield from_json(said["event"])


async def until(reader: AsyncGenerator[Item, None], seq: int) -> list[Item]:
    """What comes next, to the event of this seq."""
    seen: list[Item] = []
    async for item in reader:
        seen.append(item)
        if item.seq == seq:
            return seen
    raise AssertionError(f"the stream ended before {seq}: {seen}")


def bodies(seen: list[Item]) -> list[Json | None]:
    return [item.body for item in seen]


@pytest.mark.parametrize("read", [sse, ndjson, websocket])
async def test_an_emptied_board_is_one_gap_for_who_comes_back_and_lacks_something(
    daemon: Daemon, client: Client, read: Reader
) -> None:
    await daemon.start()
    head = await work(client, 2)
    old = log(daemon)
    async with aclosing(read(daemon, 0)) as live:
        assert bodies(await until(live, head))[1:] == old
        (await client.request("POST", "/api/v1/admin/reset", {"confirm": True})).accepted()
        new_head = await work(client, 2)
        new = log(daemon)
        earliest = new[0]["seq"]
        assert earliest > head
        assert bodies(await until(live, new_head)) == new, "it lacks nothing: for it there is no gap"

    for cursor in (0, 1, head - 1):
        async with aclosing(read(daemon, cursor)) as late:
            seen = await until(late, new_head)
        assert [item.kind for item in seen[:2]] == ["hello", "gap"], f"after {cursor}"
        told(seen[1], complete_from=earliest, position=earliest - 1, head=new_head)
        assert bodies(seen)[2:] == new
    async with aclosing(read(daemon, earliest - 1)) as just:
        seen = await until(just, new_head)
    assert seen[0].kind == "hello"
    assert bodies(seen)[1:] == new


def told(item: Item, **expected: int) -> None:
    """A gap says where the log is, and where its reader goes on."""
    assert item.body is not None
    assert (item.kind, item.seq) == ("gap", None)
    assert item.body["data"].items() >= expected.items()


async def test_a_restored_board_is_another_log(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    """A cursor from its future gets a gap with the head, or a refusal where the client made it up itself."""
    await daemon.start()
    await work(client, 1)
    backup = tmp_path / "restored" / "flockd.db"
    backup.parent.mkdir()
    code, output = await daemon.command("backup", str(backup), "--url", daemon.url)
    assert code == 0, output
    cursor = await work(client, 2)
    async with aclosing(sse(daemon, cursor)) as reader:
        original = (await anext(reader)).body
    assert original is not None
    await daemon.kill()

    restored = Daemon(backup.parent)
    try:
        await restored.start()
        head = log(restored)[-1]["seq"]
        assert head < cursor
        for accept in (SSE, NDJSON):
            async with aclosing(over_http(restored, accept, {}, {"Last-Event-ID": str(cursor)})) as reader:
                hello, gap = (await anext(reader)).body, (await anext(reader)).body
                async with Client(restored) as other:
                    new_head = await work(other, 1)
                assert bodies(await until(reader, new_head)) == log(restored, after=head)
            assert hello is not None
            assert gap is not None
            assert (hello["kind"], gap["kind"]) == ("hello", "gap")
            assert gap["data"]["position"] == gap["data"]["head"] == head
            assert hello["data"]["log_id"] == gap["data"]["log_id"] != original["data"]["log_id"]
            head = new_head
            cursor = head + 1000
        async with Client(restored) as other:
            refused = await other.request("GET", "/api/v1/events", query={"after": str(cursor)})
        assert (refused.status, refused.body["error"]) == (400, "INVALID_INPUT")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{restored.url}/api/v1/ws") as socket,
        ):
            await socket.send_json({"action": "subscribe", "id": "s", "after": cursor})
            error = await socket.receive_json(timeout=30)
            assert (error["type"], error["id"], error["error"]) == ("error", "s", "INVALID_INPUT")
            await socket.send_json({"action": "subscribe", "id": "s", "after": head})
            assert (await socket.receive_json(timeout=30))["type"] == "ack"
    finally:
        await restored.close()
        print(restored.output)
