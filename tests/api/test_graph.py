"""The graph of a workflow."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import TIME, Api
from .flocks import Gate

PATH = "/api/v1/correlations"


async def graph(api: Api, correlation_id: str, query: str = "") -> Any:
    return (await api.get(f"{PATH}/{correlation_id}/graph{query}")).ok()


def named(found: Any) -> list[tuple[str, str]]:
    """The edges, by the type or agent of their ends."""
    names = {node["id"]: node.get("type") or node["agent"] for node in found["nodes"]}
    return [(names[edge["from"]], names[edge["to"]]) for edge in found["edges"]]


async def test_a_chain(api: Api) -> None:
    published = await api.publish("Order", {"n": 1})
    await api.event(published["correlation_id"], "correlation.completed")
    found = await graph(api, published["correlation_id"])
    assert [(node["kind"], node.get("type") or node["agent"]) for node in found["nodes"]] == [
        ("artifact", "Order"),
        ("artifact", "Receipt"),
        ("artifact", "Chained"),
        ("run", "clerk"),
        ("run", "archivist"),
    ]
    assert sorted(named(found)) == [
        ("Order", "clerk"),
        ("Receipt", "archivist"),
        ("archivist", "Chained"),
        ("clerk", "Receipt"),
    ]
    assert found["truncated"] is False
    order, run = found["nodes"][0], found["nodes"][3]
    assert (order["id"], order["seq"]) == (published["artifact_id"], published["seq"])
    assert (order["produced_by"], order["payload_size"]) == ("external", len('{"n":1,"note":""}'))
    assert (run["state"], run["attempt"], run["reason"]) == ("completed", 1, None)
    assert all(TIME.fullmatch(run[key]) for key in ("created_at", "started_at", "completed_at"))


async def test_several_artifacts_into_one_run_and_one_into_several(api: Api) -> None:
    published = await api.publish("Left")
    right = {"type": "Right", "correlation_id": published["correlation_id"]}
    assert (await api.post("/api/v1/artifacts/sync", right)).ok()["completed"]
    found = await graph(api, published["correlation_id"])
    edges = named(found)
    assert {("Left", "matcher"), ("Right", "matcher"), ("Left", "either"), ("Right", "either")} <= set(edges)
    assert len(edges) == len(set(map(tuple, (edge.values() for edge in found["edges"])))) == 5


async def test_work_that_goes_on(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    found = await graph(api, correlation_id)
    (run,) = [node for node in found["nodes"] if node["kind"] == "run"]
    assert (run["state"], run["completed_at"]) == ("running", None)
    assert named(found) == [("Held", "holder")]


async def test_of_a_large_one_the_beginning(api: Api) -> None:
    correlation_id = (await api.publish("Receipt", {"n": 0}))["correlation_id"]
    for n in range(1, 4):
        await api.publish("Receipt", {"n": n}, correlation_id=correlation_id)
    found = await graph(api, correlation_id, "?limit=2")
    kinds = [node["kind"] for node in found["nodes"]]
    assert (kinds, found["truncated"]) == (["artifact", "artifact", "run", "run"], True)
    ids = {node["id"] for node in found["nodes"]}
    assert all({edge["from"], edge["to"]} <= ids for edge in found["edges"])
    whole = await graph(api, correlation_id, "?limit=100")
    assert whole["truncated"] is False
    assert len([node for node in whole["nodes"] if node["kind"] == "run"]) == 4


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "abc"])
async def test_a_workflow_that_nobody_began(api: Api, unknown: str) -> None:
    problem = (await api.get(f"{PATH}/{unknown}/graph")).problem(404, "NOT_FOUND")
    assert problem["detail"] == f"Correlation not found: {unknown}"


@pytest.mark.parametrize("query", ["limit=0", "limit=5001", "limit=x", "offset=1"])
async def test_a_bad_query(api: Api, query: str) -> None:
    correlation_id = (await api.publish("Order"))["correlation_id"]
    (await api.get(f"{PATH}/{correlation_id}/graph?{query}")).problem(400, "INVALID_INPUT")
