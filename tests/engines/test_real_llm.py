"""The agent of document 001, declared in TOML, on a real small language model."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd.app import make_app
from flockd.config import Config
from flockd.flock import Flock
from flockd.loading import with_tables
from flockd.routing import NDJSON

from ..api.conftest import Api
from .small_model import INSTALL, SmallModel, is_installed

pytestmark = [
    pytest.mark.real_llm,
    pytest.mark.skipif(not is_installed(), reason=f"needs a real small model: {INSTALL}"),
    pytest.mark.timeout(300),
]

CONFIGURATION = """
[llm]
model = "openai:smollm2"
base_url = "{url}"
max_tokens = 200  # an unbounded list makes so small a model ramble: this ends it

[supervisor]
retry_base_seconds = 0.01

[[agents]]
name = "text_analyzer"
engine = "llm"
input = "text: str"
output = "sentiment: str, keywords: list[str]"
instructions = '''Answer with one word for the sentiment of the text and its two main keywords.
Example: {{"sentiment": "positive", "keywords": ["sun", "park"]}}'''
retries = 5
max_concurrency = 2
"""

TEXTS = (
    "Flock makes building agents easy and fun!",
    "The train was late again and it rained.",
    "I love this bakery.",
    "The meeting is on Monday.",
    "My laptop broke and support did not answer.",
    "What a wonderful concert in the park!",
    "The soup was cold.",
    "Prices rise again this winter.",
    "Our team won the final.",
    "The book is long, but worth it.",
)


@pytest.fixture
async def small_model() -> AsyncIterator[SmallModel]:
    async with SmallModel() as model:
        yield model


@pytest.fixture
async def api(aiohttp_client: AiohttpClient, small_model: SmallModel, tmp_path: Path) -> Api:
    tables = tomllib.loads(CONFIGURATION.format(url=small_model.url))
    config = Config.model_validate({**tables, "store": {"data_dir": tmp_path / "data"}})
    return Api(await aiohttp_client(make_app(config, with_tables(config, Flock()))))


async def follow(api: Api, correlation_id: str) -> tuple[list[Any], Any]:
    """The live text of a workflow as it came, and its run when all is over."""
    outputs: list[Any] = []
    path = f"/api/v1/correlations/{correlation_id}/events"
    async with api.client.get(path, headers={"Accept": NDJSON}) as response:
        async for line in response.content:
            event = orjson.loads(line)
            if event.get("kind") == "run.output":
                outputs.append(event["data"])
            if event.get("kind") in ("correlation.completed", "correlation.failed"):
                break
    found = (await api.get(f"/api/v1/runs?correlation_id={correlation_id}")).ok()
    (run,) = found["runs"]
    return outputs, (await api.get(f"/api/v1/runs/{run['id']}")).ok()


async def test_ten_texts_are_analysed_live_two_at_a_time(api: Api, small_model: SmallModel) -> None:
    published = [await api.publish("TextAnalyzerInput", {"text": text}) for text in TEXTS]
    followed = await asyncio.gather(*(follow(api, one["correlation_id"]) for one in published))
    assert [run["state"] for _, run in followed] == ["completed"] * len(TEXTS)
    assert small_model.at_once == 2

    results = (await api.get("/api/v1/artifacts?type=TextAnalyzerOutput")).ok()["items"]
    assert len(results) == len(TEXTS)
    for result in results:
        payload = result["payload"]
        assert payload.keys() == {"sentiment", "keywords"}
        assert isinstance(payload["sentiment"], str)
        assert all(isinstance(keyword, str) for keyword in payload["keywords"])

    for outputs, run in followed:
        assert len(outputs) > 3, "the text comes over time, not at the end"
        offsets: dict[int, int] = {}
        for output in outputs:
            assert output["offset"] == offsets.get(output["attempt"], 0)
            offsets[output["attempt"]] = output["offset"] + len(output["text"])
        said = "".join(output["text"] for output in outputs if output["attempt"] == run["attempt"])
        assert run["output_text"] == said
        assert orjson.loads(said).keys() == {"sentiment", "keywords"}

    usage = [run["usage"] for _, run in followed]
    assert sum(one["requests"] for one in usage) == len(small_model.told) >= len(TEXTS)
    assert sum(one["input_tokens"] for one in usage) == sum(prompt for prompt, _ in small_model.told)
    assert sum(one["output_tokens"] for one in usage) == sum(completion for _, completion in small_model.told)


async def test_it_answers_in_the_form_of_document_001(api: Api) -> None:
    body = {"agent_name": "text_analyzer", "inputs": {"text": TEXTS[0]}, "async_run": False}
    answer = (await api.post("/run/flock", body)).ok()
    assert (answer["status"], answer["error"]) == ("completed", None)
    assert answer["result"].keys() == {"sentiment", "keywords"}
