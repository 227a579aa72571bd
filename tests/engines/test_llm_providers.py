"""Providers that pydantic-ai knows by name, asked without a base_url: OpenAI's two protocols."""

import pytest
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from flockd.domain.usage import Usage
from flockd.engines.llm.choice import Choice
from flockd.engines.outside import LlmDefaults, ModelLimits, Outside
from flockd.errors import AgentFailed

from .attempts import Kept
from .fake_openai import Breaks, FakeOpenAI, Refuses, Says
from .verdicts import GOOD, attempt_of, reader, verdict_of, work

MODELS = ["openai-chat:tiny", "openai:tiny", "openai/tiny", "openai-responses:tiny"]


@pytest.fixture(autouse=True)
def openai(provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """For pydantic-ai, OpenAI is where this variable says."""
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")


@pytest.fixture
def defaults() -> LlmDefaults:
    return LlmDefaults(retries=0)


@pytest.mark.parametrize("model", MODELS)
async def test_an_answer(provider: FakeOpenAI, outside: Outside, model: str) -> None:
    provider.script(Says(tokens=[GOOD[:9], GOOD[9:]], usage=(20, 5)))
    kept = Kept()
    attempt = attempt_of(outside, kept=kept)
    assert (await verdict_of(reader(model=model), attempt)).sentiment == "good"
    assert attempt.written == [GOOD[:9], GOOD[9:]]
    (settled,) = kept.settled
    assert settled is not None
    assert settled == Usage(1, 20, 5, 0, settled.ms)
    assert kept.calls[0].model == model.replace("/", ":")
    (asked,) = provider.asked
    assert asked.headers["Authorization"] == "Bearer sk-of-openai"
    assert asked.body["model"] == "tiny"


@pytest.mark.parametrize("model", MODELS)
async def test_its_sdk_sends_once(provider: FakeOpenAI, outside: Outside, model: str) -> None:
    provider.script(Refuses(500, "no"))
    with pytest.raises(AgentFailed, match=r"refused the request \(500\): no$"):
        await work(reader(model=model), attempt_of(outside))
    assert len(provider.asked) == 1


@pytest.mark.parametrize("model", MODELS)
async def test_the_key_that_is_named(
    provider: FakeOpenAI, outside: Outside, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-of-tiny")
    provider.script(GOOD)
    await work(reader(model=model, api_key_env="TINY_KEY"), attempt_of(outside))
    assert provider.asked[0].headers["Authorization"] == "Bearer sk-of-tiny"


async def test_an_answer_without_its_end_is_no_answer(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Breaks(['{"sentiment":']))
    kept = Kept()
    with pytest.raises(AgentFailed, match="openai:tiny broke off in the middle of its answer: "):
        await work(reader(model="openai:tiny"), attempt_of(outside, kept=kept))
    assert kept.settled == [None]


@pytest.mark.parametrize("base_url", [True, False])
async def test_its_connections_are_closed_with_the_daemon(provider: FakeOpenAI, base_url: bool) -> None:
    provider.script(GOOD, GOOD)
    url = provider.url if base_url else None
    async with Outside(LlmDefaults(model="openai:tiny", base_url=url)) as outside:
        for text in ("one", "two"):
            await work(reader(), attempt_of(outside, text))
        model = (await outside.models.served(Choice("openai:tiny", url))).model
        assert isinstance(model, OpenAIChatModel | OpenAIResponsesModel)
        assert not model.client.is_closed()
    assert model.client.is_closed()


async def test_what_it_costs(provider: FakeOpenAI) -> None:
    """Of a model that is known, cached tokens are cheaper; with a table, its prices hold."""
    provider.script(Says(GOOD, usage=(1000, 100), cached=400), Says(GOOD, usage=(1000, 100), cached=400))
    costs = []
    for limits in ([], [ModelLimits("openai/gpt-4o", input_usd=1.0, output_usd=1.0)]):
        kept = Kept()
        async with Outside(LlmDefaults(), limits) as outside:
            await work(reader(model="openai:gpt-4o"), attempt_of(outside, kept=kept))
        (settled,) = kept.settled
        assert settled is not None
        costs.append(settled.cost)
        assert kept.calls[0].most.cost is not None
    assert costs == [600 * 2500 + 400 * 1250 + 100 * 10_000, 1100 * 1000]
