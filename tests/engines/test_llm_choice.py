"""Which model an agent thinks with, where its key goes, and what is said where it cannot think."""

import pytest

from flockd.engines.llm.choice import Choice, canonical, chosen
from flockd.engines.llm.thinking import Thinking
from flockd.engines.outside import LlmDefaults, ModelLimits, Outside
from flockd.errors import AgentFailed

from .attempts import Attempt, artifact
from .verdicts import reader, work

LOCAL = "http://127.0.0.1:1/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "base_url", "form", "sent"),
    [
        ("openai:gpt-4o", None, "openai:gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", None, "openai:gpt-4o", "gpt-4o"),
        ("openrouter/meta-llama/llama-3", None, "openrouter:meta-llama/llama-3", None),
        ("gateway/openai:gpt-4o", None, "gateway/openai:gpt-4o", None),
        ("openai/gpt-4o", LOCAL, "openai:gpt-4o", "gpt-4o"),
        ("ollama/llama3.2:3b", LOCAL, "ollama:llama3.2:3b", "llama3.2:3b"),
        ("mistral:7b", LOCAL, "mistral:7b", "mistral:7b"),
        ("Qwen/Qwen3-8B", LOCAL, "Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("openai:openai/gpt-oss-20b", LOCAL, "openai:openai/gpt-oss-20b", "openai/gpt-oss-20b"),
    ],
)
def test_one_model_has_one_name(name: str, base_url: str | None, form: str, sent: str | None) -> None:
    assert canonical(name, base_url) == form
    if sent is not None:
        assert Choice(form, base_url).served_name == sent


def test_the_agent_says_first_then_the_flock_then_the_section() -> None:
    defaults = LlmDefaults(model="openai:c")
    assert chosen(Thinking(model="openai:a"), "openai:b", defaults) == Choice("openai:a")
    assert chosen(Thinking(), "openai:b", defaults) == Choice("openai:b")
    assert chosen(Thinking(), None, defaults) == Choice("openai:c")
    assert chosen(Thinking(), None, LlmDefaults()) is None


@pytest.mark.parametrize(
    ("thinking", "gets_it"),
    [
        (Thinking(), True),
        (Thinking(model="openai/gpt-5"), True),
        (Thinking(model="anthropic:claude-sonnet-4-5"), False),
        (Thinking(base_url=LOCAL), False),
    ],
)
def test_the_key_of_the_section_goes_to_no_other_provider(thinking: Thinking, gets_it: bool) -> None:
    defaults = LlmDefaults(model="openai:gpt-4o", api_key_env="MY_KEY")
    choice = chosen(thinking, None, defaults)
    assert choice is not None
    assert choice.api_key_env == ("MY_KEY" if gets_it else None)


def test_the_key_of_the_section_goes_to_its_own_server_whatever_the_model() -> None:
    defaults = LlmDefaults(base_url=LOCAL, api_key_env="MY_KEY")
    choice = chosen(Thinking(model="anthropic:claude-sonnet-4-5"), None, defaults)
    assert choice == Choice("anthropic:claude-sonnet-4-5", LOCAL, "MY_KEY")


def test_a_missing_model_and_a_missing_key_are_told_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reader().problem(LlmDefaults()) == (
        "agent reader thinks with a language model, and none is set: name one as model of the agent, "
        'in Flock("openai:gpt-4.1"), or as llm.model in the configuration'
    )
    openai = reader(model="openai:gpt-4o")
    assert openai.problem(LlmDefaults()) == (
        "agent reader: the key for openai:gpt-4o is expected in the environment variable OPENAI_API_KEY, "
        "which is not set"
    )
    own = reader(model="openai:gpt-4o", api_key_env="MY_KEY")
    assert "MY_KEY" in str(own.problem(LlmDefaults()))
    monkeypatch.setenv("MY_KEY", "sk-1")
    assert own.problem(LlmDefaults()) is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert openai.problem(LlmDefaults()) is None
    assert reader(model="tiny", base_url=LOCAL).problem(LlmDefaults()) is None


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flockd.engines.llm.choice.find_spec", lambda name: None)
    assert reader(model="tiny", base_url=LOCAL).problem(LlmDefaults()) == (
        "agent reader: language models are an extra of flockd: pip install 'flockd[llm]'"
    )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (None, "and none is set"),
        ("openai:gpt-4o", "environment variable OPENAI_API_KEY, which is not set"),
        ("nonesuch:model", "Unknown provider: nonesuch"),
        ("gpt-4o", 'Unknown model: gpt-4o; write "provider:model", or say with base_url where it is served'),
        ("vllm:tiny", "VLLM_BASE_URL"),
    ],
)
async def test_a_run_fails_with_the_sentence(model: str | None, sentence: str) -> None:
    async with Outside() as outside:
        with pytest.raises(AgentFailed) as failed:
            await work(reader(model=model), Attempt(outside, artifact("Text", {})))
    assert failed.value.message.startswith("agent reader")
    assert sentence in failed.value.message


async def test_names_of_one_model_at_one_server_share_its_gate_and_limits() -> None:
    base_url = "http://127.0.0.1:9/v1"
    names = [("tiny", base_url), ("openai:tiny", f"{base_url}/"), ("ollama:tiny", base_url)]
    for limits in ("tiny", "openai/tiny", "vllm:tiny"):
        outside = Outside(LlmDefaults(), [ModelLimits(limits, input_usd=1.0, output_usd=1.0)])
        async with outside:
            served = [await outside.models.served(Choice(*one)) for one in names]
            other = await outside.models.served(Choice("tiny", "http://127.0.0.1:8/v1"))
        assert len({id(one.gate) for one in served}) == 1
        assert other.gate is not served[0].gate
        assert all(one.price is not None for one in served)
