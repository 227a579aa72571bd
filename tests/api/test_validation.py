"""Checking input: names of what is wrong, without an application."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from flockd.api import json_body
from flockd.api.bodies import RunBody, SyncBody
from flockd.api.queries import ArtifactPage
from flockd.api.validation import validated, validated_query
from flockd.errors import InvalidInput


def test_nested_names_bring_the_nearest_beside_them() -> None:
    with pytest.raises(InvalidInput, match=r"inputs\.0\.payloads: Unknown field; did you mean payload\?"):
        validated(RunBody, {"inputs": [{"type": "A", "payloads": {}}]})
    with pytest.raises(InvalidInput, match=r"x\.filters\.produce_by: .* did you mean produced_by\?"):
        validated(SyncBody, {"type": "A", "filters": {"produce_by": []}}, "x")
    with pytest.raises(InvalidInput, match=r"visibility\.Private\.agent: .* did you mean agents\?"):
        validated(SyncBody, {"type": "A", "visibility": {"kind": "Private", "agents": ["a"], "agent": "b"}})


@pytest.mark.parametrize(
    ("visibility", "issue"),
    [
        ("Private", "Input should be an object"),
        ({"agents": ["a"]}, "Must have the field 'kind'"),
        ({"kind": "Private", "agents": "a"}, "Input should be a valid list"),
        ({"kind": "Private", "agents": []}, "List should have at least 1 item after validation, not 0"),
        ({"kind": "After", "ttl": "soon"}, "'soon' is not a duration: write \"30s\""),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_json(visibility: object, issue: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        validated(SyncBody, {"type": "A", "visibility": visibility})
    (problem,) = refused.value.details["errors"]
    assert problem["message"].startswith(issue)


def test_a_query_makes_lists_where_the_model_has_them() -> None:
    query = validated_query(ArtifactPage, MultiDict([("type", "A"), ("type", "B"), ("limit", "7")]))
    assert query is not None
    assert (query.type, query.limit, query.tag) == (["A", "B"], 7, [])


def test_without_a_model_nothing_is_taken() -> None:
    assert validated_query(None, MultiDict()) is None
    with pytest.raises(InvalidInput, match="no query parameters"):
        validated_query(None, MultiDict(a="1"))


@pytest.mark.parametrize(("depth", "fits"), [(1, True), (5, True), (6, False), (200, False)])
def test_depth_is_counted_exactly(depth: int, fits: bool) -> None:
    for body in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        padded = b"[" + body[1:] if body.startswith(b"[") else body
        if fits:
            json_body.parse(padded, 5)
        else:
            with pytest.raises(InvalidInput, match=r"limits\.json_depth"):
                json_body.parse(padded, 5)


def test_brackets_in_texts_do_not_count() -> None:
    assert json_body.parse(b'{"a": "[[[[[[[[{{{{{{{{", "b": [[], [], [], [], [], []]}', 3) is not None
