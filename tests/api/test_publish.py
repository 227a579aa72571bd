"""POST /api/v1/artifacts."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from .conftest import UUID7, Api

PATH = "/api/v1/artifacts"


async def test_what_is_accepted_is_on_the_board(api: Api) -> None:
    fields = {"tags": ["b", "a", "b"], "partition_key": "eu", "priority": "high"}
    accepted = await api.publish("Order", {"n": 7}, **fields)
    assert list(accepted) == ["status", "artifact_id", "correlation_id", "seq"]
    assert accepted["status"] == "accepted"
    assert UUID7.fullmatch(accepted["artifact_id"])
    artifact = (await api.get(f"{PATH}/{accepted['artifact_id']}")).ok()
    assert artifact["payload"] == {"n": 7, "note": ""}
    assert (artifact["seq"], artifact["correlation_id"]) == (accepted["seq"], accepted["correlation_id"])
    assert (artifact["produced_by"], artifact["run_id"]) == ("external", None)
    assert (artifact["tags"], artifact["partition_key"]) == (["b", "a"], "eu")
    assert (artifact["visibility"], artifact["visibility_kind"]) == ({"kind": "Public"}, "Public")


async def test_a_missing_payload_is_the_empty_object_and_is_validated(api: Api) -> None:
    accepted = await api.publish("Order")
    assert (await api.get(f"{PATH}/{accepted['artifact_id']}")).ok()["payload"] == {"n": 0, "note": ""}
    problem = (await api.post(PATH, {"type": "Receipt"})).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "payload.n"


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "type", "Field required"),
        ({"type": ""}, "type", "at least 1 character"),
        ({"type": 5}, "type", "valid string"),
        ({"type": "Order", "payload": {"n": "x"}}, "payload.n", "valid integer"),
        ({"type": "Order", "payload": [1]}, "payload", "should be an object"),
        ({"type": "Order", "payload": None}, "payload", "should be an object"),
        ({"type": "Order", "payloads": {}}, "payloads", "did you mean payload?"),
        ({"type": "Order", "Tags": []}, "Tags", "did you mean tags?"),
        ({"type": "Order", "zzz": 1}, "zzz", "Unknown field"),
        ({"type": "Order", "tags": "a"}, "tags", "valid list"),
        ({"type": "Order", "tags": ["a", 1]}, "tags.1", "valid string"),
        ({"type": "Order", "tags": ["a", "b", "c", "d"]}, "tags", "limits.tags_per_artifact"),
        ({"type": "Order", "tags": ["123456789"]}, "tags.0", "limits.tag_chars"),
        ({"type": "Order", "correlation_id": "abc"}, "correlation_id", "Must be a UUID"),
        ({"type": "Order", "priority": "urgent"}, "priority", "'critical', 'high', 'normal' or 'low'"),
        ({"type": "Order", "visibility": {"kind": "Secret"}}, "visibility", "'After'"),
        (
            {"type": "Order", "visibility": {"kind": "Private", "agents": []}},
            "visibility.Private.agents",
            "1 item",
        ),
        ([1, 2], "", "ArtifactBody"),
    ],
)
async def test_bad_input_is_named(api: Api, body: Any, field: str, said: str) -> None:
    problem = (await api.post(PATH, body)).problem(400, "INVALID_INPUT")
    details = problem["details"]
    assert details["field"] == field
    assert said in details["issue"]
    assert details["errors"][0] == {
        "field": field,
        "message": details["issue"],
        "code": details["errors"][0]["code"],
    }
    assert (await api.get(PATH)).ok()["pagination"]["total"] == 0


async def test_every_bad_field_is_listed(api: Api) -> None:
    body = {"type": "Order", "payload": {"n": "x", "note": 5}}
    problem = (await api.post(PATH, body)).problem(400, "INVALID_INPUT")
    assert [error["field"] for error in problem["details"]["errors"]] == ["payload.n", "payload.note"]


async def test_an_unknown_type_brings_the_nearest_one(api: Api) -> None:
    problem = (await api.post(PATH, {"type": "Oder"})).problem(400, "INVALID_INPUT")
    assert problem["detail"].startswith("Unknown artifact type: Oder; did you mean Order?")
    assert "config.toml" in problem["detail"]
    assert problem["details"]["issue"] == "Unknown artifact type: Oder"


async def test_the_correlation_may_come_in_the_header(api: Api) -> None:
    one, two = str(uuid4()), str(uuid4())
    headers = {"X-Correlation-ID": one.upper()}
    assert (await api.post(PATH, {"type": "Order"}, headers)).ok()["correlation_id"] == one
    same = {"type": "Order", "correlation_id": one}
    assert (await api.post(PATH, same, headers)).ok()["correlation_id"] == one
    other = {"type": "Order", "correlation_id": two}
    assert (await api.post(PATH, other, headers)).problem(400, "INVALID_INPUT")["details"][
        "field"
    ] == "correlation_id"
    bad = (await api.post(PATH, {"type": "Order"}, {"X-Correlation-ID": "abc"})).problem(400, "INVALID_INPUT")
    assert bad["details"]["field"] == "X-Correlation-ID"


async def test_an_artifact_that_may_not_be_seen_wakes_nobody(api: Api) -> None:
    hidden = {"kind": "Private", "agents": ["archivist"]}
    answer = await api.sync("Order", visibility=hidden)
    assert (answer["completed"], answer["artifacts"]) == (True, [])
    shown = await api.sync("Order", visibility={"kind": "Private", "agents": ["clerk", "archivist"]})
    assert [one["type"] for one in shown["artifacts"]] == ["Receipt", "Chained"]
    assert {one["visibility_kind"] for one in shown["artifacts"]} == {"Private"}


async def test_a_cancelled_workflow_takes_nothing_more(api: Api) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    (await api.post(f"/api/v1/correlations/{correlation_id}/cancel")).ok()
    (await api.post(PATH, {"type": "Order", "correlation_id": correlation_id})).problem(409, "CONFLICT")
