"""Agents that think with a language model, in a daemon: their text live, cancelled, tried again, bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.app import make_app
from flockd.config import Config
from flockd.domain.budget import Budget
from flockd.routing import NDJSON

from ..api.conftest import Api
from .fake_openai import LIMIT_SECONDS, Breaks, FakeOpenAI, Hangs, Says
from .verdicts import GOOD, Verdict

TOKENS = ('{"sentiment":"gut 🙂', '","key', 'words":["a"]}')


class Text(BaseModel):
    text: str


class Daemon:
    """One agent, `reader`, in a daemon, and its client."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def read(self, text: str = "fun") -> Any:
        return await self.api.publish("Text", {"text": text})

    async def run_of(self, published: Any) -> Any:
        (run_id,) = published["woke"] if "woke" in published else [await self._woken(published)]
        return (await self.api.get(f"/api/v1/runs/{run_id}")).ok()

    async def _woken(self, published: Any) -> str:
        found = (await self.api.get(f"/api/v1/runs?correlation_id={published['correlation_id']}")).ok()
        (run,) = found["runs"]
        return str(run["id"])

    @asynccontextmanager
    async def outputs(self, published: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """The `run.output` events of a workflow, from the beginning of its text."""
        path = f"/api/v1/correlations/{published['correlation_id']}/events?kind=run.output"
        async with self.api.client.get(path, headers={"Accept": NDJSON}) as response:

            async def events() -> AsyncIterator[Any]:
                async for line in response.content:
                    event = orjson.loads(line)
                    if event.get("kind") == "run.output":
                        yield event["data"]

            yield events()


@pytest.fixture
def options() -> dict[str, Any]:
    """Of the agent; a test changes them before it asks for the daemon."""
    return {}


@pytest.fixture
async def daemon(
    aiohttp_client: AiohttpClient, provider: FakeOpenAI, tmp_path: Path, options: dict[str, Any]
) -> Daemon:
    flock = Flock("openai:tiny")
    flock.llm_agent("reader", consumes=Text, publishes=Verdict, base_url=provider.url, **options)
    config = Config.model_validate(
        {
            "store": {"data_dir": tmp_path / "data"},
            "shutdown": {"grace_seconds": 0.1},
            "supervisor": {"retry_base_seconds": 0.01},
        }
    )
    return Daemon(Api(await aiohttp_client(make_app(config, flock))))


async def test_an_answer_is_an_artifact(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(GOOD)
    answer = await daemon.api.sync("Text", {"text": "fun"})
    assert answer["artifacts"][-1]["type"] == "Verdict"
    assert answer["artifacts"][-1]["payload"] == {"sentiment": "good", "keywords": ["agents"]}


async def test_its_text_is_live_and_kept(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(Says(tokens=TOKENS, hold_after=2))
    published = await daemon.read()
    asked = await provider.request(1)
    said: list[Any] = []
    async with asyncio.timeout(LIMIT_SECONDS), daemon.outputs(published) as outputs:
        async for output in outputs:
            said.append(output)
            if "".join(one["text"] for one in said) == "".join(TOKENS[:2]):
                assert asked.holding.is_set()
                asked.go_on()
            if "".join(one["text"] for one in said) == "".join(TOKENS):
                break
    at = 0
    for output in said:
        assert (output["offset"], output["attempt"]) == (at, 1)
        at += len(output["text"])
    await daemon.api.event(published["correlation_id"], "correlation.completed")
    run = await daemon.run_of(published)
    assert (run["state"], run["output_text"]) == ("completed", "".join(TOKENS))


async def test_cancelling_closes_the_connection_and_keeps_what_was_said(
    daemon: Daemon, provider: FakeOpenAI
) -> None:
    provider.script(Says(tokens=TOKENS, hold_after=1))
    published = await daemon.read()
    asked = await provider.request(1)
    async with asyncio.timeout(LIMIT_SECONDS), daemon.outputs(published) as outputs:
        async for output in outputs:
            assert output["text"] == TOKENS[0]
            break
    run = await daemon.run_of(published)
    (await daemon.api.post(f"/api/v1/runs/{run['id']}/cancel")).ok()
    async with asyncio.timeout(1):
        await asked.closed.wait()
    await daemon.api.event(published["correlation_id"], "run.cancelled")
    run = await daemon.run_of(published)
    assert (run["state"], run["output_text"]) == ("cancelled", TOKENS[0])


@pytest.mark.parametrize("options", [{"timeout": "300ms"}])
async def test_a_run_that_takes_too_long_leaves_its_model(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(Hangs())
    published = await daemon.read()
    asked = await provider.request(1)
    failed = await daemon.api.event(published["correlation_id"], "run.failed")
    assert failed["data"]["error"]["code"] == "TIMEOUT"
    async with asyncio.timeout(1):
        await asked.closed.wait()


@pytest.mark.parametrize("options", [{"retries": 1}])
async def test_a_new_attempt_begins_its_text_anew(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(Breaks(["{"]), Says(GOOD, hold_after=1))
    published = await daemon.read()
    asked = await provider.request(2)
    async with asyncio.timeout(LIMIT_SECONDS), daemon.outputs(published) as outputs:
        async for output in outputs:
            if output["attempt"] == 2:
                assert output["offset"] == 0
                break
    asked.go_on()
    await daemon.api.event(published["correlation_id"], "correlation.completed")
    run = await daemon.run_of(published)
    assert (run["state"], run["attempt"], run["output_text"]) == ("completed", 2, GOOD)


async def test_a_run_that_fails_says_why(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script("{}", "{}")
    published = await daemon.read()
    failed = await daemon.api.event(published["correlation_id"], "run.failed")
    assert failed["data"]["error"] == {
        "code": "AGENT_FAILED",
        "message": "agent reader: the answer of openai:tiny is no Verdict, asked twice: sentiment: Field required; "
        "keywords: Field required. It said: {}",
    }


@pytest.mark.parametrize("options", [{"budget": Budget(requests=2)}])
async def test_a_budget_that_is_spent_ends_a_run_at_once(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(GOOD, "{}", GOOD)
    first = await daemon.read()
    await daemon.api.event(first["correlation_id"], "correlation.completed")
    second = await daemon.read("other")
    failed = await daemon.api.event(second["correlation_id"], "run.failed")
    assert failed["data"]["error"]["code"] == "BUDGET_EXCEEDED"
    assert len(provider.asked) == 2, "it was asked once more, and not for the second time"


async def test_what_was_taken_is_told_of_the_run(daemon: Daemon, provider: FakeOpenAI) -> None:
    provider.script(Says("{}", usage=(10, 2)), Says(GOOD, usage=(30, 4)))
    published = await daemon.read()
    await daemon.api.event(published["correlation_id"], "correlation.completed")
    usage = (await daemon.run_of(published))["usage"]
    assert (usage["requests"], usage["input_tokens"], usage["output_tokens"]) == (2, 40, 6)
