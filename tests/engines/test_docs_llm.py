"""The examples of docs/llm.md: what is declared there loads, is asked as it says, and fails with its sentence."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.app import make_app
from flockd.config import Config
from flockd.engines.llm.choice import Choice, canonical
from flockd.engines.llm.engine import LlmEngine
from flockd.errors import AgentFailed
from flockd.loading import outside_of, with_tables

from ..api.conftest import Api
from .attempts import Attempt, Kept, artifact
from .fake_openai import FakeOpenAI
from .verdicts import work

PAGE = Path(__file__).parents[2] / "docs" / "llm.md"
TEXT = PAGE.read_text(encoding="utf-8")


class Number(BaseModel):
    n: int


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def tables() -> dict[str, list[dict[str, str]]]:
    """The tables of the page by their first heading, each row by its cells."""
    found: dict[str, list[dict[str, str]]] = {}
    for table in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        heading, _, *rows = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()
        ]
        found["|".join(heading)] = [dict(zip(heading, row, strict=True)) for row in rows]
    return found


async def test_the_four_lines_answer_the_request(
    aiohttp_client: AiohttpClient, provider: FakeOpenAI, tmp_path: Path
) -> None:
    first = blocks("toml")[0]
    assert len(first.partition("[[agents]]\n")[2].splitlines()) == 4
    declared = tomllib.loads(first)
    declared["llm"]["base_url"] = provider.url
    config = Config.model_validate({**declared, "store": {"data_dir": tmp_path}})
    api = Api(await aiohttp_client(make_app(config, with_tables(config, Flock()))))
    provider.script('{"sentiment":"good","keywords":["agents"]}')
    (request,) = blocks("sh")
    path = re.search(r"localhost:8344(\S+)\"", request)
    body = re.search(r"-d '(.*)'", request)
    assert path is not None and body is not None
    sent = await api.request(
        "POST", path[1], data=body[1].encode(), headers={"Content-Type": "application/json"}
    )
    assert sent.ok()["result"] == {"sentiment": "good", "keywords": ["agents"]}


async def test_a_failure_has_the_sentence(provider: FakeOpenAI) -> None:
    declared = tomllib.loads(blocks("toml")[0])
    declared["llm"]["base_url"] = provider.url
    config = Config.model_validate(declared)
    flock = with_tables(config, Flock())
    (engine,) = flock.llm_engines()
    provider.script("no", '{"sentiment":"good"}')
    async with outside_of(config) as outside:
        with pytest.raises(AgentFailed) as failed:
            await work(engine, Attempt(outside, artifact("TextAnalyzerInput", {"text": "fun"})))
    assert [str(failed.value)] == re.findall(r"^agent text_analyzer: .*$", TEXT, re.MULTILINE)


def test_the_flock_in_python_is_right() -> None:
    program: dict[str, object] = {"__name__": "example"}
    for code in blocks("python"):
        exec(compile(code, str(PAGE), "exec"), program)
    flock = program["flock"]
    assert isinstance(flock, Flock)
    flock.validate()
    (engine,) = flock.llm_engines()
    assert isinstance(engine, LlmEngine)


def test_the_providers_are_asked_as_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "PROXY_KEY"):
        monkeypatch.setenv(name, "sk-1")
    rows = tables()["|`model`|also"]
    assert {row[""] for row in rows} >= {"OpenAI", "Anthropic", "Ollama", "vLLM", "llama.cpp"}
    sent = {}
    for row in rows:
        also = dict(re.findall(r"`(\w+) = \"([^\"]+)\"`", row["also"]))
        base_url = also.get("base_url")
        choice = Choice(canonical(row["`model`"].strip('`"'), base_url), base_url, also.get("api_key_env"))
        assert choice.problem is None, row
        sent[row[""]] = choice.served_name if base_url else choice.name
    assert sent["OpenAI"] == "openai:gpt-4.1"
    assert sent["Ollama"] == "llama3.2"
    assert sent["vLLM"] == "Qwen/Qwen3-8B"
    assert sent["llama.cpp"] == "local"
    assert sent["a proxy"] == "gpt-4.1"


def test_the_modes_are_those_there_are() -> None:
    modes = {row["`output_mode`"].strip('`"') for row in tables()["`output_mode`|"]}
    assert modes == {"native", "tool", "prompted"}


async def test_the_limits_and_prices_of_models_hold(provider: FakeOpenAI) -> None:
    limits, prices = (tomllib.loads(block) for block in blocks("toml")[1:])
    config = Config.model_validate({"models": [*limits["models"], *prices["models"]]})
    async with outside_of(config) as outside:
        assert outside.limits["openai:gpt-4.1"].max_concurrency == 8
        assert outside.limits["openai:gpt-4.1"].rate == (60, 60_000)
        kept = Kept()
        flock = Flock("Qwen/Qwen3-8B")
        flock.llm_agent("reader", consumes=Number, publishes=Number, base_url=provider.url)
        (engine,) = flock.llm_engines()
        provider.script('{"n":1}')
        await work(engine, Attempt(outside, artifact("Number", {"n": 1}), kept=kept))
        (settled,) = kept.settled
        assert settled is not None
        assert settled.cost == 11 * 50 + 7 * 200
