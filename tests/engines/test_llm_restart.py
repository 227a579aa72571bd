"""A daemon that is killed while a model answers asks only for what it has no answer to."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from flockd.routing import NDJSON

from ..process.client import Client
from ..process.daemon import Daemon
from .fake_openai import LIMIT_SECONDS, Calls, FakeOpenAI, Hangs
from .served import LOOKUPS, PROVIDER
from .verdicts import GOOD


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.flock = "tests.engines.served:flock"
    yield daemon
    await daemon.close()
    print(daemon.output)


async def ended(url: str) -> None:
    """Wait for the first event of a stream."""
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": NDJSON}) as response,
    ):
        async for line in response.content:
            if b"correlation.completed" in line:
                return
    raise AssertionError("it did not complete")


async def test_recorded_answers_and_calls_of_tools_survive_the_process(
    daemon: Daemon, provider: FakeOpenAI, tmp_path: Path
) -> None:
    lookups = tmp_path / "lookups"
    settings = {PROVIDER: provider.url, LOOKUPS: str(lookups)}
    provider.script(Calls([("lookup", '{"word":"fun"}')]), Hangs())
    await daemon.start(settings=settings)
    async with Client(daemon) as client:
        published = await client.request(
            "POST", "/api/v1/artifacts", {"type": "Text", "payload": {"text": "fun"}}
        )
        correlation = published.accepted()["correlation_id"]
        await provider.request(2)  # the first one is answered, and the tool was called
        await daemon.kill()
        provider.script(GOOD)
        await daemon.start(settings=settings)
        await provider.request(3)
        await ended(f"{daemon.url}/api/v1/correlations/{correlation}/events?kind=correlation.completed")
        found = await client.get("/api/v1/artifacts", type="Verdict")
    assert found["items"][0]["payload"] == {"sentiment": "good", "keywords": ["agents"]}
    assert len(provider.asked) == 3
    assert provider.asked[2].body["messages"] == provider.asked[1].body["messages"]
    assert lookups.read_text() == "fun\n"
