"""Agents that think with a language model: `flock.llm_agent`, and the agents of documents 000 and 001."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Flock, FlockAgent, FlockAPI, FlockFactory
from flockd.engines.base import Context
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


async def test_its_runs_fail_with_what_is_to_be_set_and_check_warns_of_the_same() -> None:
    flock = Flock()
    flock.llm_agent("unset", consumes=Bugs, publishes=Summary)
    flock.llm_agent("set", consumes=Bugs, publishes=Summary, model="openai:gpt-4.1")
    flock.validate()
    assert flock.warnings() == [
        "agent unset thinks with a language model, and none is set: name one in "
        'Flock("openai:gpt-4.1"), or for this agent alone with model=',
        "agent set is to think with openai:gpt-4.1, and this version has no engine for language models yet: it "
        "comes with the extra flockd[llm] of a later one; until then declare the agent as a function",
    ]
    for name, warning in zip(("unset", "set"), flock.warnings(), strict=True):
        with pytest.raises(AgentFailed) as failed:
            await flock.engine(name).run(
                [Bugs(findings=[])], context(name), RunThreads(asyncio.get_running_loop())
            )
        assert failed.value.message == warning


@pytest.mark.parametrize("other", ["anthropic:claude", None])
def test_an_agents_own_model_wins_over_that_of_the_flock(other: str | None) -> None:
    flock = Flock("openai:gpt-4.1")
    flock.llm_agent("a", consumes=Bugs, publishes=Summary, model=other)
    assert (other or "openai:gpt-4.1") in flock.warnings()[0]


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
    assert "openai/gpt-4o" in flock.warnings()[0]
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
    assert "a-model" in flock.warnings()[2]


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
    assert flock.warnings() == other.warnings()
    assert "a-model" in flock.warnings()[0]
