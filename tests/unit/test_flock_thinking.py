"""How an agent thinks with a language model, as `flock.llm_agent` reads it: each option, and each wrong one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Budget, Context, DeclarationError, Flock, McpServer, Seen
from flockd.domain.artifact import Artifact
from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Output
from flockd.engines.handed import HandedEngine
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.llm.thinking import Thinking


class Text(BaseModel):
    text: str


class Summary(BaseModel):
    text: str


class Later(BaseModel):
    n: int


def lookup(word: str, ctx: Context) -> str:
    """What a word means."""
    return word


async def store(word: str) -> None:
    """Keeps a word."""


def yields(word: str) -> Iterator[str]:
    yield word


def declared(**options: Any) -> tuple[Flock, Thinking]:
    flock = Flock()
    flock.llm_agent("a", consumes=Text, publishes=Summary, **options)
    engine = flock.engine("a")
    assert isinstance(engine, LlmEngine)
    return flock, engine.thinking


def test_without_options_all_is_as_the_configuration_says() -> None:
    flock, thinking = declared()
    assert thinking == Thinking()
    assert flock.agents()["a"].budget is None


@pytest.mark.parametrize(
    ("option", "given", "read"),
    [
        ("instructions", "  Summarise.\n\n    Be brief.\n", "Summarise.\n\nBe brief."),
        ("model", "openai:gpt-4.1", "openai:gpt-4.1"),
        ("base_url", "http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
        ("api_key_env", "MY_KEY", "MY_KEY"),
        ("timeout_seconds", 5, 5.0),
        ("max_tokens", 10, 10),
        ("output_mode", "prompted", "prompted"),
        ("tools", [lookup, store], (lookup, store)),
        ("tool_rounds", 2, 2),
        ("context", "inputs", None),
        ("context", None, None),
        ("context", "correlation", Seen()),
        ("context", 3, Seen(limit=3)),
        ("context", {"where": "text", "limit": 2}, Seen(where="text", limit=2)),
        ("context", Seen(type="Text", scope="board"), Seen(type="Text", scope="board")),
        ("context", {"type": Later}, Seen(type="Later")),
        ("context_bytes", 100, 100),
        (
            "mcp",
            [McpServer("files", command=("mcp-files",), allow=("read",))],
            (McpServer("files", command=("mcp-files",), allow=("read",)),),
        ),
        (
            "mcp",
            [{"name": "web", "url": "https://x/mcp", "allow": ["a", "b"], "headers": {"X-Key": "KEY"}}],
            (McpServer("web", url="https://x/mcp", allow=("a", "b"), headers={"X-Key": "KEY"}),),
        ),
    ],
)
def test_each_option(option: str, given: Any, read: Any) -> None:
    _, thinking = declared(**{option: given})
    assert getattr(thinking, option) == read


@pytest.mark.parametrize(
    "given", [Budget(usd=1.5, per="day", requests=3), {"usd": 1.5, "per": "day", "requests": 3}]
)
def test_a_budget(given: Any) -> None:
    flock, _ = declared(budget=given)
    assert flock.agents()["a"].budget == Budget(requests=3, usd=1.5, per="day")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"instructions": 5}, "instructions is 5: give it a text"),
        ({"modle": "x"}, "there is no option modle: did you mean model?"),
        ({"model": ""}, "model is '': give it a word"),
        ({"base_url": "localhost:11434"}, "base_url is 'localhost:11434': give it the URL of a server, as"),
        ({"timeout_seconds": "30s"}, "timeout_seconds is '30s': give it a number of seconds"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0: give it a number of seconds"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds is inf: give it a number of seconds"),
        ({"max_tokens": 0}, "max_tokens is 0: give it a whole number, 1 or more"),
        ({"output_mode": "json"}, "output_mode is 'json': give it one of native, tool, prompted"),
        ({"tools": lookup}, "tools is <function lookup at 0x"),
        ({"tools": ["lookup"]}, "tools has 'lookup': give it functions, whose names and docstrings the model"),
        ({"tools": [Text]}, "tools has <class '"),
        ({"tools": [lambda: 1]}, "tools has <function <lambda> at 0x"),
        ({"tools": [len]}, "tools has <built-in function len>"),
        ({"tools": [yields]}, "tools has yields, which yields: return one value from it"),
        ({"tools": [lookup, lookup]}, "tools has two functions called lookup: rename one of them"),
        ({"tool_rounds": 0}, "tool_rounds is 0: give it a whole number, 1 or more"),
        ({"context": "all"}, 'context is \'all\': write context="correlation", a number of artifacts, or Seen('),
        ({"context": True}, "context is True: write context="),
        ({"context": 0}, "context: limit is 0: give it a whole number, 1 or more"),
        ({"context": 501}, "context: limit is 501: 500 artifacts are the most"),
        ({"context": {"limits": 3}}, "context: got an unexpected keyword argument 'limits': write context="),
        ({"context": Seen(scope="all")}, "context: scope is 'all': give it correlation (its own workflow) or board"),  # type: ignore[arg-type]
        ({"context": Seen(where="a ==")}, "context: "),
        ({"context": {"type": int}}, "context= has <class 'int'>, which is no artifact type"),
        ({"context_bytes": -1}, "context_bytes is -1: give it a whole number, 1 or more"),
        ({"mcp": McpServer("x")}, "mcp is McpServer(name='x'"),
        ({"mcp": ["x"]}, "mcp has 'x': write McpServer("),
        ({"mcp": [{"name": "x", "tools": []}]}, "mcp: got an unexpected keyword argument 'tools': write McpServer("),
        ({"mcp": [McpServer("x y", url="http://x", allow=("a",))]}, "mcp has a server called 'x y': a name"),
        ({"mcp": [McpServer("x", allow=("a",))]}, "mcp x needs either command= or url=, and not both"),
        ({"mcp": [McpServer("x", ("a",), "http://x", allow=("a",))]}, "mcp x needs either command= or url=, and not"),
        ({"mcp": [McpServer("x", url="http://x", allow=("a",), env=("A",))]}, "mcp x: env= is for a program: what a"),
        (
            {"mcp": [McpServer("x", ("a",), allow=("a",), headers={"A": "B"})]},
            "mcp x: headers= is for a server at an url=: what a program gets is env=",
        ),
        ({"mcp": [McpServer("x", url="ftp://x", allow=("a",))]}, "mcp x: url is 'ftp://x': give it the URL of a"),
        ({"mcp": [McpServer("x", ("a",))]}, "mcp x: allow= is empty: name the tools of it that the model may call"),
        ({"mcp": [McpServer("x", ("a",), allow=("a",), timeout_seconds=0)]}, "mcp x: timeout_seconds is 0: give it a"),
        ({"mcp": [McpServer("x", ("a",), allow=("a",))] * 2}, "mcp has two servers called x: rename one of them"),
        ({"budget": 5}, "budget is 5: write budget=Budget("),
        ({"budget": {}}, "budget: a budget bounds requests, tokens or usd: write budget=Budget("),
        ({"budget": {"dollars": 5}}, "budget: got an unexpected keyword argument 'dollars': write budget=Budget("),
        ({"budget": {"requests": -1}}, "budget: a budget is not negative: write budget=Budget("),
        ({"budget": Budget(tokens=1.5)}, "budget: tokens is 1.5: give it a whole number, 0 or more"),  # type: ignore[arg-type]
        ({"budget": {"usd": float("nan")}}, "budget: a budget is at most 9007199254740991: write budget=Budget("),
        ({"budget": {"usd": float("inf")}}, "budget: a budget is at most 9007199254740991: write budget=Budget("),
        ({"budget": Budget(usd=1, per="week")}, "budget: per is 'week': give it one of minute, hour, day, month, or"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as wrong:
        declared(**options)
    assert str(wrong.value).startswith(f"agent a: {sentence}")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"api_key_env": "sk-secret"}, "api_key_env"),
        ({"mcp": [McpServer("x", ("a",), env=("sk-secret",), allow=("a",))]}, "mcp x: env"),
        (
            {"mcp": [McpServer("x", url="http://x", headers={"Authorization": "sk-secret"}, allow=("a",))]},
            "mcp x: headers: Authorization",
        ),
    ],
)
def test_a_key_in_the_place_of_its_variables_name_is_not_repeated(
    options: dict[str, Any], where: str
) -> None:
    with pytest.raises(DeclarationError) as wrong:
        declared(**options)
    assert str(wrong.value) == (
        f"agent a: {where} is no name of an environment variable: give it the name, not the value itself"
    )


def test_the_type_that_it_sees_may_be_declared_later_and_must_be_in_the_end() -> None:
    flock, _ = declared(context=Seen(type="Later"))
    with pytest.raises(
        DeclarationError, match="agent a: context has the artifact type Later, and there is none"
    ):
        flock.validate()
    flock.type(Later)
    flock.validate()


def test_the_nearest_type_is_named_for_one_that_is_not_there() -> None:
    flock, _ = declared(context=Seen(type="Sumary"))
    with pytest.raises(DeclarationError, match=r"Sumary, and there is none: did you mean Summary\?"):
        flock.validate()


def nameless(word: "Unknown") -> str:  # type: ignore[name-defined]  # noqa: F821
    return word


def starred(*words: str) -> str:
    return words[0]


def test_a_tool_that_no_model_could_call_is_found_before_a_run_does() -> None:
    flock, _ = declared(tools=[lookup, nameless, starred])
    with pytest.raises(DeclarationError) as wrong:
        flock.validate()
    one, other = str(wrong.value).splitlines()
    assert one.startswith("agent a: an annotation of the tool nameless names Unknown, which is not known")
    assert other.startswith("agent a: the parameter words of the tool starred cannot be passed by its name")


def test_what_a_server_gets_of_the_environment_and_is_not_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("THERE", "x")
    servers = [
        McpServer("x", ("a",), env=("THERE", "NOT_THERE"), allow=("a",)),
        McpServer("y", url="http://y", headers={"Authorization": "NOR_THIS"}, allow=("a",)),
    ]
    flock, _ = declared(mcp=servers, model="openai:gpt-4.1")
    assert flock.warnings() == [
        "agent a: the environment variable NOT_THERE, which the MCP server x gets, is not set",
        "agent a: the environment variable NOR_THIS, which the MCP server y gets, is not set",
    ]


def test_several_types_by_schema_can_be_told_apart() -> None:
    flock = Flock()
    for name in ("Yes", "No"):
        flock.type(name, schema={"type": "object"})
    flock.llm_agent("a", consumes=Text, publishes=["Yes", "No"])
    assert flock.agents()["a"].outputs == ("Yes", "No")


class Recorder:
    """In the place of the engine: keeps what it was given."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.seen: list[tuple[str, bytes]] = []

    async def run(self, inputs: Any, context: Context, threads: Any) -> list[Output]:
        self.seen = [(one.type, one.payload) for one in context.inputs]
        return []


@pytest.mark.parametrize("kind", ["llm", "http"])
async def test_what_is_handed_to_it_is_told_as_its_own_input(
    kind: str, make_context: Callable[..., Context]
) -> None:
    recorder = Recorder(kind)
    handed = HandedEngine(recorder, {"Long": ArtifactType("Text", Text)})
    artifact = Artifact(1, "i", "Long", b'{"text":"x","secret":"y"}', "first", "c", 0)
    context = make_context((artifact,))
    await handed.run([{}], context, None)  # type: ignore[arg-type]
    assert recorder.seen == [("Text", b'{"text":"x"}')]
    assert context.inputs == (artifact,), "the run's own are as they were"


@pytest.fixture
def make_context() -> Callable[..., Context]:
    async def query(*_: Any) -> list[Any]:
        return []

    def make(inputs: tuple[Any, ...]) -> Context:
        return Context(
            agent="a",
            correlation_id="c",
            run_id="r",
            attempt=1,
            inputs=inputs,
            on_progress=lambda *told: None,
            on_write=lambda text: None,
            query=query,
        )

    return make
