"""The log over HTTP as the client asks for it: NDJSON beside Server-Sent Events."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from flockd.domain import filter as filters
from flockd.streams.http import medium

from .world import LIMIT_SECONDS, LOG_ID, Reader, World, serving

NDJSON = {"Accept": "application/x-ndjson"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "sse"),
        ("", "sse"),
        ("*/*", "sse"),
        ("text/event-stream", "sse"),
        ("application/x-ndjson", "ndjson"),
        ("Application/X-NDJSON", "ndjson"),
        ("application/*", "ndjson"),
        ("text/*", "sse"),
        ("application/x-ndjson, */*", "ndjson"),
        ("application/x-ndjson;q=0.1, */*;q=0.9", "sse"),
        ("application/x-ndjson, text/event-stream", "sse"),
        ("application/x-ndjson;q=0.9, text/event-stream;q=0.8", "ndjson"),
        ("application/x-ndjson;q=0.8, text/event-stream;q=0.9", "sse"),
        ("application/x-ndjson; charset=utf-8; q=1.0", "ndjson"),
        ("application/x-ndjson;q=0", "sse"),
        ("application/x-ndjson;q=much", "sse"),
        ("text/event-stream;q=0, */*", "ndjson"),
        ("application/json", "sse"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "sse"),
    ],
)
def test_the_client_says_what_it_wants(accept: str | None, expected: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert medium(make_mocked_request("GET", "/", headers=headers)) == expected


@pytest.mark.parametrize("ring_bytes", [1, 1 << 20])
async def test_lines_are_what_the_blocks_of_sse_carry(ring_bytes: int) -> None:
    async with serving(World(ring_bytes=ring_bytes, heartbeat_seconds=0.01)) as world:
        world.happen(5)
        async with (
            aiohttp.ClientSession() as session,
            session.get(world.url, headers=NDJSON, params={"from": "start"}) as response,
            asyncio.timeout(LIMIT_SECONDS),
        ):
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-ndjson"
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["Connection"] == "close", "it closes, so nobody should ask again on it"

            async def line() -> Any:
                return orjson.loads(await response.content.readline())

            assert await line() == {
                "kind": "hello",
                "data": {"log_id": LOG_ID, "head": 5, "complete_from": 1, "position": 0},
            }
            world.happen(2, type="T")
            got = []
            while len(got) < 7:
                one = await line()
                if one.get("type") == "position":
                    assert one["seq"] <= 7
                else:
                    got.append(one)
            assert got == [orjson.loads(event.encode(1 << 16)) for event in world.log.committed]
            while (position := await line()) != {"type": "position", "seq": 7}:
                assert position["type"] == "position"
            world.write("r1", "text", 0)
            while (one := await line()).get("type") == "position":
                pass
            assert (one["kind"], one["data"]["text"]) == ("run.output", "text")
            await world.streams.goodbye("shutdown")
            rest = [orjson.loads(one) async for one in response.content]
            assert rest[-1] == {"kind": "goodbye", "data": {"reason": "shutdown"}}


async def test_a_gap_looks_the_same() -> None:
    async with serving(World()) as world:
        world.happen(3)
        world.empty()
        async with (
            aiohttp.ClientSession() as session,
            session.get(world.url, headers=NDJSON, params={"after": "1"}) as response,
            asyncio.timeout(LIMIT_SECONDS),
        ):
            lines = [orjson.loads(await response.content.readline()) for _ in range(2)]
            assert [one["kind"] for one in lines] == ["hello", "gap"]
            assert lines[1]["data"] == {"log_id": LOG_ID, "head": 3, "complete_from": 4, "position": 3}


async def test_readers_of_both_media_share_one_body_and_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    holds = filters._holds

    def counted(expression: str, artifact: Any, payload: Any) -> bool:
        looked.append(artifact.id)
        return holds(expression, artifact, payload)

    monkeypatch.setattr(filters, "_holds", counted)
    query = {"where": "n > `1`"}
    async with (
        serving(World()) as world,
        Reader(world, **query) as one,
        Reader(world, **query) as other,
        aiohttp.ClientSession() as session,
        session.get(world.url, headers=NDJSON, params=query) as response,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        await response.content.readline()
        world.happen(3, type="T")
        await one.at(3)
        await other.at(3)
        lines = [orjson.loads(await response.content.readline()) for _ in range(2)]
        assert [line["seq"] for line in lines] == one.seqs == other.seqs == [2, 3]
        assert looked == ["a1", "a2", "a3"]


@pytest.mark.parametrize("limit", ["subscribers", "subscribers_per_address"])
async def test_past_a_limit_a_stream_is_refused_until_one_leaves(limit: str) -> None:
    async with serving(World(**{limit: 1})) as world:
        async with Reader(world) as first, aiohttp.ClientSession() as session:
            assert first.status == 200
            async with session.get(world.url) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
                assert f"streams.{limit})" in await response.text()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(world.socket_url)
            assert refused.value.status == 503
        async with asyncio.timeout(LIMIT_SECONDS):
            while world.streams.count:  # noqa: ASYNC110 - what it waits for has no signal of its own
                await asyncio.sleep(0)
        async with Reader(world) as second:
            assert second.status == 200
    assert not world.streams._addresses
