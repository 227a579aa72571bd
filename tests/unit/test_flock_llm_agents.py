"""Agents that think with a language model: `flock.llm_agent`, and the agents of documents 000 and 001."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Flock, FlockAgent, FlockAPI, FlockFactory
from flockd.engines.base import Context
from flockd.engines.llm.choice import chosen
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.outside import LlmDefaults
from flockd.errors import AgentFailed
from flockd.flock import DeclarationError
from flockd.supervisor.threads import RunThreads


class Bugs(BaseModel):
    findings: list[str]


class Note(BaseModel):
    text: str


class Summary(BaseModel):
    text: str


def refused(declare: Callable[[], Any]) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declare()
    return str(wrong.value)


def test_an_agent_with_a_language_model() -> None:
    flock = Flock("openai:gpt-4.1")
    flock.llm_agent(
        "summariser",
        consumes=Bugs,
        publishes=Summary,
        instructions="Summarise the findings.\n\nBe brief.",
        retries=2,
        where="findings",
    )
    agent = flock.agents()["summariser"]
    assert (agent.kind, flock.engine("summariser").kind) == ("llm", "llm")
    assert (agent.subscription.types, agent.subscription.mode, agent.outputs) == (
        ("Bugs",),
        "all",
        ("Summary",),
    )
    assert (agent.description, agent.retries) == ("Summarise the findings.", 2)
    assert agent.subscription.where is not None


def test_several_types_are_alternatives() -> None:
    flock = Flock()
    flock.llm_agent("reader", consumes=[Bugs, Note], publishes=[Summary, Note], description="Reads.")
    agent = flock.agents()["reader"]
    assert (agent.subscription.types, agent.subscription.mode) == (("Bugs", "Note"), "any")
    assert (agent.outputs, agent.description) == (("Summary", "Note"), "Reads.")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"consumes": []}, "agent a: consumes= is empty: name what wakes it"),
        ({"consumes": "Bug"}, "agent a: there is no artifact type Bug"),
        ({"publishes": []}, "agent a: publishes= is empty: name what the model is to make"),
        ({"publishes": 5}, "agent a: publishes= has 5, which is no artifact type"),
        ({"name": "a b"}, "agent 'a b': a name begins with a letter"),
        ({"retires": 3}, "agent a: there is no option retires: did you mean retries?"),
        ({"timeout": "soon"}, "agent a: timeout: "),
        ({"hand_off": 5}, "agent a: hand_off has 5: give it a word or a list of words"),
    ],
)
def test_what_is_declared_wrongly_is_a_sentence(options: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"name": "a", "consumes": Bugs, "publishes": Summary, **options}
    assert refused(lambda: Flock().llm_agent(**given)).startswith(sentence)


NONE_SET = (
    "agent unset thinks with a language model, and none is set: name one as model of the agent, in "
    'Flock("openai:gpt-4.1"), or as llm.model in the configuration'
)


async def test_its_runs_fail_with_what_is_to_be_set_and_check_warns_of_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    flock = Flock()
    flock.llm_agent("unset", consumes=Bugs, publishes=Summary)
    flock.llm_agent("set", consumes=Bugs, publishes=Summary, model="openai:gpt-4.1")
    flock.validate()
    assert flock.warnings() == [
        NONE_SET,
        "agent set: the key for openai:gpt-4.1 is expected in the environment variable OPENAI_API_KEY, which is "
        "not set",
    ]
    for name, warning in zip(("unset", "set"), flock.warnings(), strict=True):
        with pytest.raises(AgentFailed) as failed:
            await flock.engine(name).run(
                [Bugs(findings=[])], context(name), RunThreads(asyncio.get_running_loop())
            )
        assert failed.value.message == warning


def test_the_configuration_can_name_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    flock = Flock()
    flock.llm_agent("unset", consumes=Bugs, publishes=Summary)
    assert flock.warnings() == [NONE_SET]
    assert flock.warnings(LlmDefaults(model="openai:gpt-4.1")) == []


def engine(flock: Flock, agent: str) -> LlmEngine:
    found = flock.engine(agent)
    assert isinstance(found, LlmEngine)
    return found


@pytest.mark.parametrize(
    ("own", "of_flock", "of_llm", "wins"),
    [
        ("openai:own", "openai:flock", "openai:llm", "own"),
        (None, "openai:flock", "openai:llm", "flock"),
        (None, None, "openai:llm", "llm"),
        ("openai:own", None, "openai:llm", "own"),
    ],
)
def test_an_agents_own_model_wins_then_that_of_the_flock_then_that_of_the_configuration(
    own: str | None, of_flock: str | None, of_llm: str, wins: str
) -> None:
    flock = Flock(of_flock)
    flock.llm_agent("a", consumes=Bugs, publishes=Summary, model=own)
    made = engine(flock, "a")
    choice = chosen(made.thinking, made.default_model, LlmDefaults(model=of_llm))
    assert choice is not None
    assert choice.name == f"openai:{wins}"


def context(agent: str) -> Context:
    async def query(*_: Any) -> list[Any]:
        return []

    return Context(
        agent=agent,
        correlation_id="c",
        run_id="r",
        attempt=1,
        inputs=(),
        on_progress=lambda *told: None,
        on_write=lambda text: None,
        query=query,
    )


def test_the_agent_of_document_000() -> None:
    flock = Flock(model="openai/gpt-4o")
    agent = FlockAgent(
        name="my_agent",
        input="query: str | The query to process",
        output="result: str | The processed result",
    )
    assert flock.add_agent(agent) is agent
    flock.validate()
    declared = flock.agents()["my_agent"]
    assert (declared.kind, declared.subscription.types, declared.outputs) == (
        "llm",
        ("MyAgentInput",),
        ("MyAgentOutput",),
    )
    assert flock.types()["MyAgentInput"].parse(b'{"query": "x"}').query == "x"
    assert declared.hand_off == ()
    assert engine(flock, "my_agent").default_model == "openai/gpt-4o"
    assert FlockAPI(flock).flock is flock


def test_the_agent_of_document_001() -> None:
    flock = Flock(name="My API Flock", model="openai/gpt-4o")
    analyzer = FlockFactory.create_default_agent(
        name="text_analyzer", input="text: str", output="sentiment: str, keywords: list[str]"
    )
    flock.add_agent(analyzer)
    assert flock.agents()["text_analyzer"].outputs == ("TextAnalyzerOutput",)
    assert list(flock.types()["TextAnalyzerOutput"].schema["properties"]) == ["sentiment", "keywords"]


def test_everything_that_such_an_agent_may_say() -> None:
    flock = Flock()
    last = FlockAgent("last", "result: str", "end: str")
    flock.add_agent(last)
    flock.add_agent(FlockAgent("other", "result: str", "end: str"))
    first = FlockFactory.create_default_agent(
        name="first",
        input="query: str",
        output="result: str",
        hand_off=[last, "other"],
        description="Begins.",
        model="a-model",
    )
    flock.add_agent(first)
    agent = flock.agents()["first"]
    assert (agent.description, agent.hand_off) == ("Begins.", ("last", "other"))
    thinking = engine(flock, "first").thinking
    assert (thinking.model, thinking.instructions) == ("a-model", "Begins.")


@pytest.mark.parametrize(
    ("agent", "sentence"),
    [
        (
            FlockAgent("a", "", "b: str"),
            "agent a: input: the fields '': at character 1: a field is expected here",
        ),
        (FlockAgent("a", "b: str", "c: strr"), "agent a: output: the fields 'c: strr': at character 4: "),
        (FlockAgent("a b", "b: str", "c: str"), "agent 'a b': a name begins with a letter"),
        (FlockAgent("taken", "b: str", "c: str"), "agent taken: there is already an agent Taken (case and"),
    ],
)
def test_an_agent_that_is_written_wrongly_is_a_sentence(agent: FlockAgent, sentence: str) -> None:
    flock = Flock()
    flock.add_agent(FlockAgent("Taken", "a: str", "b: str"))
    assert refused(lambda: flock.add_agent(agent)).startswith(sentence)
    assert list(flock.agents()) == ["Taken"]


def test_include_takes_such_agents_over() -> None:
    flock, other = Flock(), Flock("a-model")
    other.add_agent(FlockAgent("my_agent", "query: str", "result: str"))
    flock.include(other)
    assert engine(flock, "my_agent").default_model == "a-model", "not that of the flock that includes it"
