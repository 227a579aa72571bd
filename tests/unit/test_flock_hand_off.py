"""`hand_off`: an agent's output becomes the input of another one."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from flockd import Flock, FlockAgent
from flockd.domain.artifact import Artifact
from flockd.engines.base import Context, Output
from flockd.errors import AgentFailed
from flockd.flock import DeclarationError
from flockd.supervisor.threads import RunThreads


class Idea(BaseModel):
    text: str
    weight: int = 1


class Draft(BaseModel):
    text: str
    author: str = "somebody"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


class Note(BaseModel):
    result: str


class Topic(BaseModel):
    topic: str
    tone: str


class Tone(BaseModel):
    tone: str
    result: str


class Counted(BaseModel):
    weight: int


def problems(flock: Flock) -> list[str]:
    with pytest.raises(DeclarationError) as wrong:
        flock.validate()
    return str(wrong.value).splitlines()


def test_the_agent_handed_to_wakes_on_the_output_and_on_its_own_input() -> None:
    flock = Flock()
    flock.add_agent(FlockAgent("first", "query: str", "result: str", hand_off="Second"))
    flock.add_agent(FlockAgent("second", "result: str", "summary: str"))
    flock.validate()
    agents = flock.agents()
    assert agents["second"].subscription.types == ("SecondInput", "FirstOutput")
    assert agents["second"].subscription.mode == "any"
    assert agents["first"].subscription.types == ("FirstInput",)
    assert (agents["first"].hand_off, agents["second"].hand_off) == (("second",), ())


def test_without_a_hand_off_nothing_is_handed_on_even_where_the_fields_would_fit() -> None:
    flock = Flock()
    flock.add_agent(FlockAgent("first", "query: str", "result: str"))
    flock.add_agent(FlockAgent("second", "result: str", "summary: str"))
    assert flock.agents()["second"].subscription.types == ("SecondInput",)
    assert flock.agents()["first"].hand_off == ()


def test_hand_off_is_told_of_every_agent_whose_output_wakes_another() -> None:
    flock = Flock()

    @flock.agent(hand_off="second")
    async def first(idea: Idea) -> Draft:
        return Draft(text=idea.text)

    @flock.agent
    async def second(draft: Draft) -> Draft:
        return draft

    @flock.agent(from_agents="second")
    async def third(draft: Draft) -> None: ...

    @flock.agent(prevent_self_trigger=False)
    async def loop(draft: Draft) -> Draft:
        return draft

    agents = flock.agents()
    assert agents["first"].hand_off == ("second", "loop")
    assert agents["second"].hand_off == ("third", "loop")
    assert agents["loop"].hand_off == ("second", "loop")
    assert agents["second"].subscription.types == ("Draft",), "it subscribes to it anyway"


async def run(flock: Flock, agent: str, type: str, payload: bytes) -> list[Output]:
    async def query(*_: Any) -> list[Any]:
        return []

    value = flock.types()[type].parse(payload)
    context = Context(
        agent=agent,
        correlation_id="c",
        run_id="r",
        attempt=1,
        inputs=(Artifact(7, "id", type, payload, "first", "c", 0),),
        on_progress=lambda *told: None,
        on_write=lambda text: None,
        query=query,
    )
    return await flock.engine(agent).run([value], context, RunThreads(asyncio.get_running_loop()))


async def test_the_engine_gets_its_own_type_made_of_the_fields_of_the_same_name() -> None:
    flock = Flock()

    @flock.agent(hand_off=["second", "third"])
    async def first(idea: Idea) -> Draft:
        return Draft(text=idea.text)

    @flock.agent
    async def second(idea: Idea) -> Idea:
        return idea

    @flock.agent
    async def third(strict: Strict) -> Strict:
        return strict

    flock.validate()
    handed = b'{"text": "x", "author": "me"}'
    assert await run(flock, "second", "Draft", handed) == [Output("Idea", Idea(text="x"))]
    assert await run(flock, "third", "Draft", handed) == [Output("Strict", Strict(text="x"))]
    own = await run(flock, "second", "Idea", b'{"text": "x", "weight": 3}')
    assert own == [Output("Idea", Idea(text="x", weight=3))]


async def test_of_several_types_it_gets_the_first_that_fits() -> None:
    flock = Flock()

    @flock.agent(hand_off="second")
    async def first(idea: Idea) -> Draft:
        return Draft(text="")

    @flock.agent
    async def second(what: Counted | Idea) -> Idea | Counted:
        return what

    flock.validate()
    assert flock.agents()["second"].subscription.types == ("Counted", "Idea", "Draft")
    assert await run(flock, "second", "Draft", b'{"text": "x"}') == [Output("Idea", Idea(text="x"))]


async def test_a_type_by_schema_is_made_of_fields_too() -> None:
    flock = Flock()
    ticket = flock.type("Ticket", schema={"required": ["text"], "properties": {"text": {"type": "string"}}})
    anything = flock.type("Anything", schema={"type": "object"})

    @flock.agent(hand_off=["second", "third"])
    async def first(idea: Idea) -> Draft:
        return Draft(text="")

    @flock.agent(consumes=ticket, publishes=ticket)
    async def second(what: dict[str, Any]) -> dict[str, Any]:
        return what

    @flock.agent(consumes=anything, publishes=anything)
    async def third(what: dict[str, Any]) -> dict[str, Any]:
        return what

    handed = b'{"text": "x", "author": "me"}'
    assert await run(flock, "second", "Draft", handed) == [Output("Ticket", {"text": "x"})]
    assert await run(flock, "third", "Draft", handed) == [Output("Anything", {"text": "x", "author": "me"})]


async def test_what_does_not_fit_fails_the_run_with_the_field() -> None:
    flock = Flock()
    flock.add_agent(FlockAgent("first", "query: str", "weight: str", hand_off="second"))

    @flock.agent
    async def second(counted: Counted) -> None: ...

    flock.validate()
    with pytest.raises(AgentFailed) as failed:
        await run(flock, "second", "FirstOutput", b'{"weight": "heavy"}')
    assert failed.value.message.startswith(
        "the FirstOutput that first handed on makes no Counted: payload.weight: Input should be a valid integer"
    )


def test_an_agent_may_be_declared_after_the_one_that_hands_to_it_in_another_flock() -> None:
    flock, other = Flock(), Flock()
    other.add_agent(FlockAgent("first", "query: str", "result: str", hand_off="second"))
    assert other.agents()["first"].hand_off == ()
    flock.include(other)
    flock.add_agent(FlockAgent("second", "result: str", "summary: str"))
    flock.validate()
    assert flock.agents()["second"].subscription.types == ("SecondInput", "FirstOutput")


def test_a_hand_off_that_cannot_work_is_a_sentence() -> None:
    flock = Flock()
    flock.add_agent(
        FlockAgent(
            "a",
            "q: str",
            "result: str",
            hand_off=["secnd", "a", "second", "joiner", "taker", "choosy", "poem"],
        )
    )
    flock.add_agent(FlockAgent("second", "topic: str, tone: str, result: str", "end: str"))
    flock.add_agent(FlockAgent("taker", "topic: str", "end: str"))

    @flock.agent(hand_off="second")
    async def halves(idea: Idea) -> tuple[Topic, Tone]:
        return Topic(topic="", tone=""), Tone(tone="", result="")

    @flock.agent
    async def joiner(one: Idea, other: Draft) -> None: ...

    @flock.agent(from_agents=["external", "taker"])
    async def choosy(note: Note) -> None: ...

    @flock.flow
    async def poem(note: Note) -> Draft:
        return Draft(text=note.result)

    @flock.agent(hand_off="second")
    async def silent(idea: Idea) -> None: ...

    assert problems(flock) == [
        "agent a: hand_off has secnd, which is no agent: did you mean second?",
        "agent a: hand_off has itself: name another agent",
        "agent a: hand_off has second, which needs topic and tone: give its output fields of this name",
        "agent a: hand_off has joiner, which takes Idea and Draft together: hand off to an agent with one input",
        "agent a: hand_off has taker, which needs topic: give its output a field of this name",
        "agent a: hand_off has choosy, which only wakes on artifacts of external and taker: see its from_agents",
        "agent a: hand_off has poem, a flow, which takes nothing but its request: publish Note",
        "agent halves: hand_off has second, which needs result: give its output a field of this name",
        "agent silent: hand_off has second, but it publishes nothing that could be handed on",
    ]
    assert flock.agents()["second"].subscription.types == ("SecondInput",)
    assert flock.agents()["poem"].subscription.types == ("Note",)


def test_a_flow_is_handed_its_request_by_whoever_publishes_one() -> None:
    flock = Flock()

    @flock.agent(hand_off="poem")
    async def asker(idea: Idea) -> Note:
        return Note(result=idea.text)

    @flock.flow
    async def poem(note: Note) -> Draft:
        return Draft(text=note.result)

    flock.validate()
    assert flock.agents()["asker"].hand_off == ("poem",)
