"""Artifact types by decorator, by JSON Schema, and by being named."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from flockd import AgentError, Flock
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.fields import model_of
from flockd.errors import InvalidInput
from flockd.flock import DeclarationError
from flockd.flock.declared_types import made


class Idea(BaseModel):
    """A thought."""

    text: str


def same_name() -> type[BaseModel]:
    class Idea(BaseModel):
        other: int

    return Idea


def refused(declare: Callable[[], Any]) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declare()
    return str(wrong.value)


def test_a_class_is_called_by_its_name() -> None:
    flock = Flock()
    assert flock.type(Idea) is Idea
    assert flock.types()["Idea"].model is Idea
    assert flock.types()["Idea"].description == "A thought."


def test_a_class_gets_another_name_version_and_description() -> None:
    flock = Flock()

    @flock.type("Thought", version=2, description="What somebody thinks.")
    class Renamed(BaseModel):
        text: str

    @flock.agent
    async def think(what: Renamed) -> Renamed:
        return what

    thought = flock.types()["Thought"]
    assert (thought.model, thought.version, thought.description) == (Renamed, 2, "What somebody thinks.")
    assert flock.agents()["think"].outputs == ("Thought",)
    assert list(flock.types()) == ["Thought"]


def test_the_decorator_with_empty_parentheses_keeps_the_name() -> None:
    flock = Flock()
    assert flock.type()(Idea) is Idea
    assert list(flock.types()) == ["Idea"]


def test_any_class_that_pydantic_validates_is_a_type() -> None:
    flock = Flock()

    @flock.type
    @dataclass
    class Point:
        x: int

    @flock.agent
    async def move(point: Point) -> Point:
        return Point(point.x + 1)

    assert flock.types()["Point"].parse(b'{"x": 1}') == Point(1)
    assert flock.agents()["move"].subscription.types == ("Point",)


def test_a_json_schema_is_a_type_of_plain_data() -> None:
    ticket = Flock().type(
        "Ticket", schema={"type": "object", "required": ["id"]}, version=3, description="Work."
    )
    assert (ticket.name, ticket.version, ticket.description) == ("Ticket", 3, "Work.")
    assert ticket.parse(b'{"id": 1}') == {"id": 1}
    with pytest.raises(InvalidInput):
        ticket.parse(b"{}")


def test_the_same_declaration_twice_is_one() -> None:
    flock = Flock()
    flock.type("Thought")(Idea)
    flock.type("Thought")(Idea)
    assert list(flock.types()) == ["Thought"]


def test_two_classes_of_one_name_are_refused() -> None:
    flock, other = Flock(), same_name()
    flock.type(Idea)
    sentence = (
        f"artifact type Idea: {__name__}.Idea and {__name__}.same_name.<locals>.Idea both have this name: "
        'give one of them another with @flock.type("OtherName")'
    )
    assert refused(lambda: flock.type(other)) == sentence

    async def think(idea: other) -> None:
        return None

    think.__annotations__["idea"] = other
    assert refused(lambda: flock.agent(think)) == f"agent think: {sentence}"
    assert refused(lambda: flock.type("Idea", schema={})).startswith(
        f"artifact type Idea: {__name__}.Idea and a JSON Schema both have this name: "
    )


def test_two_lists_of_fields_of_one_name_are_refused() -> None:
    flock = Flock()
    flock.add_type(made("Idea", model_of("Idea", "text: str")))
    assert refused(lambda: flock.add_type(made("Idea", model_of("Idea", "words: int")))).startswith(
        "artifact type Idea: a list of fields and a list of fields both have this name: "
    )


def test_a_name_given_after_an_agent_named_the_class_is_refused() -> None:
    flock = Flock()

    @flock.agent
    async def think(idea: Idea) -> None:
        return None

    assert refused(lambda: flock.type("Thought")(Idea)) == (
        f"artifact type Thought: {__name__}.Idea is already declared as Idea version 1: put @flock.type on "
        "the class, "
        "above the "
        "agents that name it"
    )


class Loose(TypedDict):
    x: int


class Unfinished(BaseModel):
    other: "Missing"  # noqa: F821


class Calls(BaseModel):
    call: Callable[[], int]


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda flock: flock.type("a b")(Idea), "artifact type 'a b': a name begins with a letter"),
        (lambda flock: flock.type("", schema={}), "artifact type '': a name begins with a letter"),
        (lambda flock: flock.type(schema={}), "an artifact type by JSON Schema needs a name"),
        (lambda flock: flock.type(5), "artifact type 5: it is neither a class nor a name"),
        (
            lambda flock: flock.type("X", schema={"type": "objekt"}),
            "artifact type X: this is no JSON Schema: ",
        ),
        (
            lambda flock: flock.type("X", version=0)(Idea),
            "artifact type X: version is 0: give it a whole number",
        ),
        (lambda flock: flock.type(Loose), "artifact type Loose: values of "),
        (lambda flock: flock.type(Unfinished), "artifact type Unfinished: it has no JSON Schema: "),
        (lambda flock: flock.type(Calls), "artifact type Calls: it has no JSON Schema: "),
    ],
)
def test_a_wrong_type_is_refused(declare: Callable[[Flock], Any], sentence: str) -> None:
    assert refused(lambda: declare(Flock())).startswith(sentence)


def test_include_takes_everything_over() -> None:
    one, other, all_of_it = Flock(), Flock(), Flock()

    @one.agent
    async def think(idea: Idea) -> None:
        return None

    other.type(Idea)  # the same class, but a type of another flock
    ticket = other.add_type(ArtifactType("Ticket", schema={}))
    all_of_it.include(one)
    assert list(all_of_it.agents()) == ["think"]
    assert all_of_it.engine("think") is one.engine("think")
    all_of_it.include(other)
    assert dict(all_of_it.types()) == {"Idea": one.types()["Idea"], "Ticket": ticket}
    assert refused(lambda: all_of_it.include(one)).startswith("agent think: there is already an agent think")


def test_include_refuses_one_class_under_two_names() -> None:
    one, other = Flock(), Flock()
    one.type(Idea)
    other.type("Thought")(Idea)
    assert refused(lambda: one.include(other)).startswith(
        f"artifact type Thought: {__name__}.Idea is already declared as Idea version 1: "
    )


def test_agent_error_is_a_type_where_it_is_named() -> None:
    assert "AgentError" not in Flock().types()
    by_class, by_name = Flock(), Flock()

    @by_class.agent
    async def bury(error: AgentError) -> None: ...

    @by_name.agent(consumes="AgentError")
    async def bury_too(error) -> None: ...

    for flock in (by_class, by_name):
        assert flock.types()["AgentError"].model is AgentError


def test_a_function_cannot_choose_among_agent_errors() -> None:
    flock = Flock()

    async def bury(error: AgentError) -> None: ...

    assert refused(lambda: flock.agent(where=lambda error: True)(bury)) == (
        "agent bury: where is a function, and an AgentError takes a JMESPath condition, such as \"code == 'TIMEOUT'\""
    )
    flock.agent(where="code == 'TIMEOUT'")(bury)


@pytest.mark.parametrize(
    "declare",
    [
        lambda flock: flock.type("AgentError")(Idea),
        lambda flock: flock.type("AgentError", schema={}),
        lambda flock: flock.type(version=2)(AgentError),
    ],
)
def test_nobody_elses_type_is_called_agent_error(declare: Callable[[Flock], Any]) -> None:
    assert refused(lambda: declare(Flock())) == (
        "artifact type AgentError: this name is flockd's own, for runs that failed for good: import it from flockd, or "
        'give yours another with @flock.type("OtherName")'
    )
