"""What agents of every kind take as inputs; the common kinds are run in test_runs.py."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from flockd.dialects.runs.input_form import InputForm
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.subscription import Subscription
from flockd.errors import InvalidInput


class Left(BaseModel):
    """One half."""

    n: int


class Right(BaseModel):
    """The other half."""

    n: int


class Named(BaseModel):
    """A field with an alias."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first_name: str = Field(alias="firstName")


class Node(BaseModel):
    """Refers to itself, so its schema begins with a reference."""

    text: str
    count: int = 0
    children: list[Node] = []


class Open(BaseModel):
    """Takes what it is given."""

    model_config = ConfigDict(extra="allow")

    text: str = ""


MODELS = {model.__name__: model for model in (Left, Right, Named, Node, Open)}
FREE = ArtifactType("Free", schema={"type": "object"})
TYPES = Types([*(ArtifactType(name, model) for name, model in MODELS.items()), FREE])


def form(*types: str, **subscribed: Any) -> InputForm:
    return InputForm(Agent("taker", Subscription(types, **subscribed), ()), TYPES)


def given(form: InputForm, inputs: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(one.type, one.payload) for one in form.publications(inputs)]


def refused(form: InputForm, inputs: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        form.publications(inputs)
    assert raised.value.details is not None
    return [problem["field"] for problem in raised.value.details["errors"]]


def test_an_agent_that_only_its_schedule_starts_takes_nothing() -> None:
    assert given(form(), {}) == []
    assert refused(form(), {"n": 1}) == ["inputs.n"]


def test_a_join_over_a_key_takes_an_object_of_each_type() -> None:
    pairs = form("Left", "Right", gathering=JoinSpec("n", "1h"))
    assert given(pairs, {"Left": {"n": 1}, "Right": {"n": 2}}) == [
        ("Left", b'{"n":1}'),
        ("Right", b'{"n":2}'),
    ]
    assert refused(pairs, {"n": 1}) == ["inputs.n", "inputs.Left", "inputs.Right"]


def test_a_batch_of_artifacts_takes_the_fields_of_one() -> None:
    assert given(form("Left", gathering=BatchSpec(3, "1h")), {"n": 1}) == [("Left", b'{"n":1}')]


def test_every_bad_field_is_named() -> None:
    pair = form("Left", "Right")
    assert refused(pair, {"Left": {"n": "x"}, "Right": {}}) == ["inputs.Left.n", "inputs.Right.n"]
    assert refused(form("Node"), {"text": "a", "children": [{"text": 1}]}) == ["inputs.children.0.text"]


@pytest.mark.parametrize(
    ("kind", "there", "missing"),
    [
        ("Left", ["n"], ["m", "Left"]),
        ("Named", ["firstName", "first_name"], ["name"]),
        ("Node", ["text", "children"], ["texts"]),
        ("Open", ["text", "anything"], []),
        ("Free", ["anything"], []),
    ],
)
def test_the_fields_that_there_are(kind: str, there: list[str], missing: list[str]) -> None:
    taker = form(kind)
    assert [name for name in there if not taker.has(name)] == []
    assert [name for name in missing if taker.has(name)] == []


def test_any_of_several_has_the_fields_of_the_first_and_the_names_of_all() -> None:
    taker = form("Named", "Left", mode="any")
    assert [name for name in ("firstName", "Named", "Left", "n") if taker.has(name)] == [
        *("firstName", "Named", "Left")
    ]


def test_cells_behind_a_reference() -> None:
    assert form("Node").value("text", "5") == "5"
    assert form("Node").value("count", "5") == 5
    assert form("Node").value("children", '[{"text": "a"}]') == [{"text": "a"}]
    assert form("Free").value("anything", "5") == "5"
