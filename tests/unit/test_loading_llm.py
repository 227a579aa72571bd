"""Language models in the configuration: agents that think with one, `[llm]` and `[[models]]`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flockd import Budget, Flock, McpServer, Seen
from flockd.config import Config
from flockd.domain.rate import Rate
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.outside import LlmDefaults, ModelLimits
from flockd.loading import LoadError, load_flock, model_warnings, outside_of, with_tables

TOOLS = '''
def lookup(word: str) -> str:
    """What a word means."""
    return word.upper()
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a module of tools."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "words.py").write_text(TOOLS)
    yield tmp_path
    sys.modules.pop("words", None)


def loaded(folder: Path, toml: str) -> Flock:
    (folder / "config.toml").write_text(toml)
    return load_flock(Config.load(folder / "config.toml"))


def test_the_agent_of_document_001_is_four_lines(folder: Path) -> None:
    flock = loaded(
        folder,
        """
[[agents]]
name = "text_analyzer"
engine = "llm"
input = "text: str"
output = "sentiment: str, keywords: list[str]"
""",
    )
    agent = flock.agents()["text_analyzer"]
    assert (agent.kind, agent.subscription.types, agent.outputs) == (
        "llm",
        ("TextAnalyzerInput",),
        ("TextAnalyzerOutput",),
    )
    assert list(flock.types()["TextAnalyzerOutput"].schema["properties"]) == ["sentiment", "keywords"]


def test_everything_that_a_table_may_say(folder: Path) -> None:
    flock = loaded(
        folder,
        """
[[agents]]
name = "reader"
engine = "llm"
input = "text: str"
output = "summary: str"
instructions = "Summarise."
model = "openai/gpt-4o"
base_url = "http://127.0.0.1:1/v1"
api_key_env = "MY_KEY"
timeout_seconds = 9
max_tokens = 77
output_mode = "tool"
tools = ["words:lookup"]
tool_rounds = 3
context = {type = "ReaderInput", where = "text", limit = 7, scope = "board"}
context_bytes = 1000
budget = {requests = 5, tokens = 900, usd = 0.5, per = "day"}
retries = 2

[[agents.mcp]]
name = "files"
command = ["mcp-files", "."]
env = ["HOME_OF_FILES"]
allow = ["read"]
timeout_seconds = 5

[[agents.mcp]]
name = "web"
url = "https://tools.example/mcp"
headers = {Authorization = "WEB_TOKEN"}
allow = ["search", "open"]
""",
    )
    flock.validate()
    agent, engine = flock.agents()["reader"], flock.engine("reader")
    assert (agent.retries, agent.budget) == (2, Budget(requests=5, tokens=900, usd=0.5, per="day"))
    assert isinstance(engine, LlmEngine)
    thinking = engine.thinking
    assert (thinking.instructions, thinking.model, thinking.base_url, thinking.api_key_env) == (
        "Summarise.",
        "openai/gpt-4o",
        "http://127.0.0.1:1/v1",
        "MY_KEY",
    )
    assert (thinking.timeout_seconds, thinking.max_tokens, thinking.output_mode, thinking.tool_rounds) == (
        9.0,
        77,
        "tool",
        3,
    )
    assert [tool("x") for tool in thinking.tools] == ["X"]
    assert thinking.mcp == (
        McpServer(
            "files",
            command=("mcp-files", "."),
            env=("HOME_OF_FILES",),
            allow=("read",),
            timeout_seconds=5.0,
        ),
        McpServer(
            "web",
            url="https://tools.example/mcp",
            headers={"Authorization": "WEB_TOKEN"},
            allow=("search", "open"),
        ),
    )
    assert thinking.context == Seen("ReaderInput", "text", 7, "board")
    assert thinking.context_bytes == 1000


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ('"inputs"', None),
        ('"correlation"', Seen()),
        ("5", Seen(limit=5)),
        ('{where = "text"}', Seen(where="text")),
    ],
)
def test_the_forms_of_context(folder: Path, written: str, seen: Seen | None) -> None:
    table = f'name = "a"\nengine = "llm"\ninput = "text: str"\noutput = "b: str"\ncontext = {written}'
    engine = loaded(folder, f"[[agents]]\n{table}").engine("a")
    assert isinstance(engine, LlmEngine)
    assert engine.thinking.context == seen


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            {"tools": ["absent:lookup"]},
            "agent a ([[agents]]): tools: the module absent cannot be imported (looked in ",
        ),
        ({"tools": ["words:find"]}, "agent a ([[agents]]): tools: words:find: words has no find"),
        ({"tools": ["words:__name__"]}, "agent a: tools has 'words': give it functions, whose names and"),
        ({"context": {"limit": 501}}, "agent a: context: limit is 501: 500 artifacts are the most"),
        ({"mcp": [{"name": "x", "allow": ["y"]}]}, "agent a: mcp x needs either command= or url="),
        ({"base_url": "localhost"}, "agent a: base_url is 'localhost': give it the URL of a server"),
    ],
)
def test_what_a_table_says_wrongly_is_a_sentence(folder: Path, key: dict[str, Any], sentence: str) -> None:
    table = {"name": "a", "engine": "llm", "input": "q: str", "output": "r: str", **key}
    config = Config.model_validate({"agents": [table]})
    with pytest.raises(LoadError) as wrong:
        with_tables(config, Flock())
    assert str(wrong.value).startswith(sentence)


def test_limits_of_models_and_the_section(folder: Path) -> None:
    (folder / "config.toml").write_text(
        """
[llm]
model = "openai:gpt-4.1"
base_url = "http://127.0.0.1:1/v1"
api_key_env = "MY_KEY"
timeout_seconds = 5
max_tokens = 99
max_concurrency = 2
retries = 0

[[models]]
name = "openai:gpt-4.1"
max_concurrency = 4
rate = "60/1m"
input_usd = 2.0
output_usd = 8.0

[[models]]
name = "local"
"""
    )
    outside = outside_of(Config.load(folder / "config.toml"))
    assert outside.llm == LlmDefaults("openai:gpt-4.1", "http://127.0.0.1:1/v1", "MY_KEY", 5.0, 99, 2, 0)
    assert outside.limits == {
        "openai:gpt-4.1": ModelLimits("openai:gpt-4.1", 4, Rate(60, 60_000), 2.0, 8.0),
        "local": ModelLimits("local"),
    }


def test_the_section_without_a_word_is_what_engines_take_without_one() -> None:
    assert outside_of(Config()).llm == LlmDefaults()


def test_a_rate_of_a_model_that_is_none_is_said_before_anything_starts() -> None:
    config = Config.model_validate({"models": [{"name": "m", "rate": "often"}]})
    with pytest.raises(LoadError, match=r"^model m \(\[\[models\]\]\): rate: 'often' is not a rate"):
        with_tables(config, Flock())


@pytest.mark.parametrize(
    ("prices", "sentence"),
    [
        ({"input_usd": 2.0}, "give both, 0 for what costs nothing"),
        ({"output_usd": 2.0}, "give both, 0 for what costs nothing"),
        ({"input_usd": 1e9, "output_usd": 2.0}, "less than or equal to 1000000"),
        ({"input_usd": 1.0, "output_usd": float("nan")}, "less than or equal to 1000000"),
        ({"input_usd": -1.0, "output_usd": 1.0}, "greater than or equal to 0"),
    ],
)
def test_a_price_is_whole_and_sane(prices: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Config.model_validate({"models": [{"name": "m", **prices}]})


@pytest.mark.parametrize("second", ["openai:gpt-4.1", "openai/gpt-4.1"])
def test_a_model_has_one_table(second: str) -> None:
    config = Config.model_validate({"models": [{"name": "openai:gpt-4.1"}, {"name": second}]})
    with pytest.raises(LoadError) as refused:
        outside_of(config)
    assert str(refused.value) == (
        f"model {second} ([[models]]): there is a table of openai:gpt-4.1: make one of the two"
    )


WARNED_OF = """
[[agents]]
name = "misspelt"
engine = "llm"
model = "opnai:gpt-4.1"
input = "text: str"
output = "text: str"

[[agents]]
name = "nowhere"
engine = "llm"
model = "gpt-4.1"
input = "text: str"
output = "text: str"

[[agents]]
name = "without_a_key"
engine = "llm"
model = "openai:gpt-4.1"
input = "text: str"
output = "text: str"

[[agents]]
name = "local"
engine = "llm"
model = "tiny"
base_url = "http://127.0.0.1:8080/v1"
input = "text: str"
output = "text: str"

[[agents]]
name = "priced"
engine = "llm"
model = "dear"
base_url = "http://127.0.0.1:8080/v1"
input = "text: str"
output = "text: str"

[[models]]
name = "dear"
input_usd = 1
output_usd = 2
"""
NOT_MADE = [
    "agent misspelt: Unknown provider: opnai",
    'agent nowhere: Unknown model: gpt-4.1; write "provider:model", or say with base_url where it is served',
]
UNPRICED = (
    "agent local: nobody knows what tiny costs, so that a budget in usd refuses its calls: give it input_usd and "
    "output_usd in [[models]]"
)


@pytest.mark.parametrize(
    ("budget", "further"),
    [
        ("", []),
        ('[[budgets]]\nscope = "agent"\nusd = 1', [UNPRICED]),
        ('[[budgets]]\nscope = "run"\nname = "local"\nusd = 1', [UNPRICED]),
        ('[[budgets]]\nscope = "agent"\nname = "priced"\nusd = 1', []),
        ('[[budgets]]\nscope = "agent"\nname = "local"\nrequests = 1', []),
        ('[[budgets]]\nscope = "tenant"\nname = "acme"\nusd = 1', []),
        ('[[budgets]]\nscope = "tenant"\nusd = 1', [UNPRICED]),
    ],
)
def test_models_that_cannot_be_asked_are_warned_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, budget: str, further: list[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    flock = loaded(folder, WARNED_OF + budget)
    assert model_warnings(Config.load(folder / "config.toml"), flock) == NOT_MADE + further


def test_a_table_of_a_model_that_nobody_asks_is_warned_of(folder: Path) -> None:
    tables = "".join(
        f'[[models]]\nname = "{name}"\nrate = "1/1s"\n'
        for name in ("openai/dear", "openai:gpt-4.1", "dearer")
    )
    flock = loaded(folder, WARNED_OF.partition("[[models]]")[0] + tables)
    warned = model_warnings(Config.load(folder / "config.toml"), flock)
    assert warned[-1] == "model dearer ([[models]]): no agent thinks with it"
    assert [warning for warning in warned if warning.startswith("model ")] == warned[-1:]


def test_a_type_that_no_model_can_be_asked_for_is_warned_of(folder: Path) -> None:
    toml = """
[[types]]
name = "Tree"
schema = {type = "object", properties = {below = {"$ref" = "#"}}}

[[agents]]
name = "planter"
engine = "llm"
model = "tiny"
base_url = "http://127.0.0.1:8080/v1"
input = "text: str"
publishes = ["Tree"]
"""
    flock = loaded(folder, toml)
    assert model_warnings(Config.load(folder / "config.toml"), flock) == [
        "agent planter: a model cannot be asked for Tree: its schema refers to '#', and what it refers to must be in "
        "its $defs"
    ]
