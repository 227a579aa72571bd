"""The short form of fields, `name: type | description, …`."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.fields import Field, model_of, parse_fields, written_fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        # The examples of documents 000 and 001.
        ("query: str | The query to process", [Field("query", str, "The query to process")]),
        ("text: str", [Field("text", str)]),
        ("sentiment: str, keywords: list[str]", [Field("sentiment", str), Field("keywords", list[str])]),
        (" a:int,b :float|B", [Field("a", int), Field("b", float, "B")]),
        ("a: bool, b: dict, c: list, d: Any", [
            Field("a", bool), Field("b", dict[str, Any]), Field("c", list[Any]), Field("d", Any),
        ]),
        ("a: dict[str, list[int]] | counts, b: int", [
            Field("a", dict[str, list[int]], "counts"), Field("b", int),
        ]),
        ("a: Literal['x, y', \"b|c\", ']', 1, -2, True] | one", [
            Field("a", Literal["x, y", "b|c", "]", 1, -2, True], "one"),
        ]),
        ("a: Optional[int]", [Field("a", int | None)]),
        ("a: int | None", [Field("a", int | None)]),
        ("a: int | None | an int, b: str | None, c: str", [
            Field("a", int | None, "an int"), Field("b", str | None), Field("c", str),
        ]),
        ("a: str | None of these, b: int", [Field("a", str, "None of these"), Field("b", int)]),
        ("a: list[int | None]", [Field("a", list[int | None])]),
        ("a: str | short, plain, and (in) brackets [, b: int", [
            Field("a", str, "short, plain, and (in) brackets ["), Field("b", int),
        ]),
        ("a: str | either | or", [Field("a", str, "either | or")]),
        ("a: str | it's his, b: int", [Field("a", str, "it's his"), Field("b", int)]),
        ("a: str | one,\n  two,\nb: Literal[\n  'x'\n],\n", [
            Field("a", str, "one, two"), Field("b", Literal["x"]),
        ]),
    ],
)  # fmt: skip
def test_fields_are_read(text: str, fields: list[Field]) -> None:
    assert list(parse_fields(text)) == fields


TYPES = "str, int, float, bool, dict, list, Any, list[…], dict[str, …], Literal['…', …] and Optional[…]"


@pytest.mark.parametrize(
    ("text", "character", "problem"),
    [
        ("", 1, "a field is expected here, as name: type | description"),
        ("a: int,, b: int", 8, "a field is expected here, as name: type | description"),
        (": int", 1, "a field is expected here, as name: type | description"),
        ("query", 1, "the field query has no type: write query: str"),
        ("a: int, query | what, else: str", 9, "the field query has no type: write query: str"),
        (
            "a: int, 2b: int",
            9,
            "'2b' is no field: a name has letters, digits and _, and begins with a letter",
        ),
        ("_a: int", 1, "'_a' is no field: a name has letters, digits and _, and begins with a letter"),
        ("a: int, a: str", 9, "the field a stands here a second time"),
        ("a: ", 4, f"a type is expected here: {TYPES}"),
        ("a: int, b: string", 12, f"'string' is no type; there are {TYPES}"),
        ("a: list[string]", 9, f"'string' is no type; there are {TYPES}"),
        ("a: set[str]", 4, f"'set[str]' is no type; there are {TYPES}"),
        ("a: list[str, b: int", 4, f"'list[str, b: int' is no type; there are {TYPES}"),
        ("a: __import__('os')", 4, f"\"__import__('os')\" is no type; there are {TYPES}"),
        ("a: str = 'x'", 4, f"\"str = 'x'\" is no type; there are {TYPES}"),
        ("a: dict[int, str]", 4, "a dict is written dict[str, …]: the keys of JSON are strings"),
        (
            "a: Literal[x]",
            12,
            "Literal takes strings in quotes, whole numbers, True, False and None",
        ),
    ],
)
def test_a_bad_form_names_the_character(text: str, character: int, problem: str) -> None:
    with pytest.raises(ValueError) as wrong:
        parse_fields(text)
    assert str(wrong.value) == f"the fields {text!r}: at character {character}: {problem}"


@given(st.text(st.sampled_from("ab:|,[]()'\" \nstrNoneintlist"), max_size=40))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        fields = parse_fields(text)
    except ValueError as wrong:
        assert str(wrong).startswith(f"the fields {text!r}: at character ")
    else:
        assert fields and all(field.name.isidentifier() for field in fields)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
WRITTEN = st.sampled_from(["str", "int", "list[str]", "dict[str, int]", "Literal['a, b', 'c']", "str | None"])
DESCRIPTIONS = st.none() | st.from_regex(r"[A-Z][a-z]{0,8}(,? [a-z']{1,5}){0,3}", fullmatch=True)


@given(
    st.lists(
        st.tuples(NAMES, WRITTEN, DESCRIPTIONS), min_size=1, max_size=5, unique_by=lambda field: field[0]
    )
)
def test_what_is_written_is_read_back(written: list[tuple[str, str, str | None]]) -> None:
    text = ", ".join(f"{name}: {kind}" + (f" | {said}" if said else "") for name, kind, said in written)
    read = parse_fields(text)
    assert [(field.name, field.description) for field in read] == [(name, said) for name, _, said in written]
    assert [field.optional for field in read] == [kind == "str | None" for _, kind, _ in written]


def test_a_model_has_the_fields_and_their_descriptions() -> None:
    model = model_of("Query", "text: str | What to ask, exactly, limit: int | None", "A question.")
    assert model.model_json_schema() == {
        "title": "Query",
        "description": "A question.",
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"title": "Text", "type": "string", "description": "What to ask, exactly"},
            "limit": {"title": "Limit", "anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
    }
    assert model(text="x").model_dump() == {"text": "x", "limit": None}


def test_names_of_old_pydantic_methods_are_fields_like_others() -> None:
    assert model_of("X", "json: str, schema: int")(json="a", schema=1).model_dump() == {
        "json": "a",
        "schema": 1,
    }


def test_a_name_that_pydantic_cannot_give_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="the fields 'model_config: str' make no model: "):
        model_of("X", "model_config: str")


@pytest.mark.parametrize(
    "text",
    [
        "query: str | The query to process",
        "sentiment: str, keywords: list[str]",
        "a: Literal['x', 'y'] | One, of two, b: int | None | At most, c: dict, d: Any",
        "e: dict[str, list[float]], f: list, g: bool, h: Literal['z'], i: Literal[1, None]",
        "j: list[str | int], k: list[str | None]",
    ],
)
def test_a_schema_is_written_as_it_was_read(text: str) -> None:
    assert written_fields(model_of("X", text).model_json_schema()) == text


def test_a_schema_without_such_a_form_is_told_as_well_as_can_be() -> None:
    schema = {
        "properties": {
            "findings": {"type": "array", "items": {"$ref": "#/$defs/Finding"}},
            "nested": {"type": "object", "properties": {"a": {"type": "string"}}},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}]},
            "either": {"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
            "only": {"allOf": [{"$ref": "#/$defs/Finding"}]},
            "both": {"allOf": [{"type": "integer"}, {"minimum": 1}]},
            "maybe": {"type": ["string", "null"]},
            "open": True,
            "odd": {"type": "widget", "description": "Of several\n  lines."},
        }
    }
    assert written_fields(schema) == (
        "findings: list[Finding], nested: dict, pair: list, either: int | bool, only: Finding, both: Any, "
        "maybe: str | None, open: Any, odd: Any | Of several lines."
    )
    assert written_fields({"type": "object"}) == ""
