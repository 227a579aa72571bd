"""Artifact types: parsing, checking and dumping values, and finding a type by name."""

import math
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from flockd.domain.artifact_type import ArtifactType, Types
from flockd.errors import InvalidInput


class Severity(Enum):
    low = "low"
    high = "high"


class Place(BaseModel):
    line: int = Field(ge=1)
    column: int | None = None


class Finding(BaseModel):
    """One thing that is wrong."""

    text: str
    places: list[Place] = []
    severity: Severity = Severity.low
    at: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    kind: str = Field("bug", alias="class")


FINDING = ArtifactType("Finding", Finding)
TICKET = ArtifactType(
    "Ticket",
    schema={
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    },
)


def refused(call: Any, *arguments: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as wrong:
        call(*arguments)
    assert wrong.value.details is not None
    assert wrong.value.details["field"] == wrong.value.details["errors"][0]["field"]
    return [(error["field"], error["code"]) for error in wrong.value.details["errors"]]


def test_a_payload_becomes_an_instance() -> None:
    value = FINDING.parse(b'{"text": "x", "places": [{"line": 1}], "class": "style"}')
    assert value == Finding(text="x", places=[Place(line=1)], **{"class": "style"})


def test_the_schema_and_description_are_the_models() -> None:
    assert FINDING.schema["properties"]["text"] == {"title": "Text", "type": "string"}
    assert FINDING.description == "One thing that is wrong."
    assert ArtifactType("Finding", Finding, description="Other.").description == "Other."
    assert TICKET.schema["required"] == ["id"]


def test_every_bad_field_is_named() -> None:
    assert refused(FINDING.parse, b'{"places": [{"line": 0}, {}]}') == [
        ("payload.text", "missing"),
        ("payload.places.0.line", "greater_than_equal"),
        ("payload.places.1.line", "missing"),
    ]
    assert refused(TICKET.parse, b'{"id": "x", "tags": [1]}') == [
        ("payload.id", "type"),
        ("payload.tags.0", "type"),
    ]
    assert refused(TICKET.parse, b"{}") == [("payload", "required")]


def test_what_is_no_json_is_refused() -> None:
    assert refused(FINDING.parse, b"{") == [("payload", "json_invalid")]


def test_a_value_is_checked_from_an_instance_or_from_plain_data() -> None:
    value = Finding(text="x")
    assert FINDING.check(value) is value
    assert FINDING.check({"text": "x"}) == value
    assert TICKET.check({"id": 1}) == {"id": 1}
    assert refused(FINDING.check, {"text": 1}) == [("payload.text", "string_type")]
    assert refused(TICKET.check, {"id": None}) == [("payload.id", "type")]


@given(
    st.builds(
        Finding,
        text=st.text(),
        places=st.lists(st.builds(Place, line=st.integers(1, 99), column=st.none() | st.integers())),
        severity=st.sampled_from(Severity),
        at=st.datetimes(timezones=st.just(UTC)),
    )
)
def test_what_is_dumped_parses_back(value: Finding) -> None:
    assert FINDING.parse(FINDING.dump(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON)
def test_plain_data_is_dumped_as_it_is(value: Any) -> None:
    anything = ArtifactType("Anything", schema={})
    assert anything.parse(anything.dump(value)) == value


class Measured(BaseModel):
    name: str | None = None
    values: list[float] = []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_is_refused_and_not_written_as_null(number: float) -> None:
    measured = ArtifactType("Measured", Measured)
    assert measured.dump(Measured(values=[1.5])) == b'{"name":null,"values":[1.5]}'
    with pytest.raises(InvalidInput, match="NaN") as refused:
        measured.dump(Measured(values=[1.5, number]))
    assert refused.value.details is not None and refused.value.details["field"] == "payload.values.1"
    with pytest.raises(InvalidInput, match="NaN"):
        ArtifactType("Plain", schema={}).dump({"x": {"y": number}})


def test_a_type_has_a_model_or_a_schema() -> None:
    for arguments in ({}, {"model": Finding, "schema": {}}):
        with pytest.raises(ValueError, match="give either a model or a JSON Schema"):
            ArtifactType("X", **arguments)


def test_types_are_found_by_name_and_misspelt_ones_get_the_nearest() -> None:
    types = Types([FINDING, TICKET])
    assert types.named("Ticket") is TICKET
    assert (list(types), len(types), "Finding" in types) == (["Finding", "Ticket"], 2, True)
    for name, message in (
        (
            "finding",
            "Unknown artifact type: finding; did you mean Finding? "
            "(declare it with @flock.type or as [[types]] in config.toml)",
        ),
        (
            "Zebra",
            "Unknown artifact type: Zebra (declare it with @flock.type or as [[types]] in config.toml)",
        ),
    ):
        with pytest.raises(InvalidInput) as unknown:
            types.named(name)
        assert unknown.value.message == message
        assert unknown.value.details == {
            "field": "type",
            "issue": f"Unknown artifact type: {name}",
            "errors": [
                {"field": "type", "message": f"Unknown artifact type: {name}", "code": "unknown_type"}
            ],
        }
