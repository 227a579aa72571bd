"""Explain over HTTP; what it says of each rule is tested in tests/board/test_explain.py."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .conftest import Api

PATH = "/api/v1/explain"


async def test_it_tells_what_happened(api: Api) -> None:
    published = await api.publish("Order")
    await api.event(published["correlation_id"], "correlation.completed")
    explained = (await api.get(f"{PATH}?artifact={published['artifact_id']}&agent=Clerk")).ok()
    assert list(explained) == ["woke", "reason", "rule", "checks", "run_id"]
    assert (explained["woke"], explained["rule"]) == (True, None)
    (run,) = (await api.get("/api/v1/runs?agent=clerk")).ok()["runs"]
    assert (explained["run_id"], run["inputs"]) == (run["id"], [published["artifact_id"]])
    assert {frozenset(check) for check in explained["checks"]} == {frozenset({"rule", "passed", "detail"})}


async def test_it_tells_why_not(api: Api) -> None:
    published = await api.publish("Left", visibility={"kind": "Labelled", "required_labels": ["cleared"]})
    refused = (await api.get(f"{PATH}?artifact={published['artifact_id']}&agent=matcher")).ok()
    assert (refused["woke"], refused["rule"], refused["run_id"]) == (False, "visibility", None)
    assert "today's rules" in refused["reason"]
    woken = (await api.get(f"{PATH}?artifact={published['artifact_id']}&agent=either")).ok()
    assert (woken["woke"], woken["rule"]) == (True, None)


async def test_it_tells_of_pauses(api: Api) -> None:
    (await api.post("/api/v1/agents/clerk/pause")).ok()
    published = await api.publish("Order")
    explained = (await api.get(f"{PATH}?artifact={published['artifact_id']}&agent=clerk")).ok()
    assert (explained["woke"], explained["rule"]) == (True, "paused")
    (check,) = [check for check in explained["checks"] if check["rule"] == "paused"]
    assert check == {
        "rule": "paused",
        "passed": False,
        "detail": "Paused: the agent clerk; what is woken does not start",
    }


async def test_what_nobody_knows(api: Api) -> None:
    published = await api.publish("Order")
    unknown = str(uuid4())
    problem = (await api.get(f"{PATH}?artifact={unknown}&agent=clerk")).problem(404, "NOT_FOUND")
    assert problem["detail"] == f"Artifact not found: {unknown}"
    problem = (await api.get(f"{PATH}?artifact={published['artifact_id']}&agent=nobody")).problem(
        404, "NOT_FOUND"
    )
    assert problem["detail"] == "Agent not found: nobody"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("agent=clerk", "artifact"),
        ("artifact=0199c0de-0000-7000-8000-000000000000", "agent"),
        ("artifact=abc&agent=clerk", "artifact"),
        ("artifact=0199c0de-0000-7000-8000-000000000000&agent=", "agent"),
        ("artifact=0199c0de-0000-7000-8000-000000000000&agnet=clerk", "agnet"),
    ],
)
async def test_a_bad_query(api: Api, query: str, field: str) -> None:
    problem = (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
    assert field in [error["field"] for error in problem["details"]["errors"]]
