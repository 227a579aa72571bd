"""Document 003 over HTTP: executing flows, following and listing what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from flockd import Flock
from flockd.domain.identity import new_id
from tests.api.conftest import TIME, UUID7

from .conftest import Serve, Served
from .flow_flock import Gate, PoemFlow, PoemRequest, PoemResult, make_flock

POEM = "/api/v1/poem-flow"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"limits": {"offset_max": 100}}


@pytest.fixture
async def api(serve: Serve, gate: Gate) -> AsyncIterator[Served]:
    yield await serve(make_flock(gate))
    gate.opened.set()


async def execute(api: Served, flow: str, body: Any) -> str:
    """The id of an execution that must be accepted."""
    answer = (await api.post(f"/api/v1/{flow}/execute", body)).ok()
    return str(answer["execution_id"])


async def ended(api: Served, execution_id: str) -> Any:
    await api.ended(execution_id)
    return (await api.get(f"/api/v1/executions/{execution_id}")).ok()


async def test_from_the_request_to_the_result(api: Served) -> None:
    accepted = (await api.post(f"{POEM}/execute", {"sentence_count": 2})).ok()
    execution_id = accepted["execution_id"]
    assert UUID7.fullmatch(execution_id)
    assert accepted == {
        "execution_id": execution_id,
        "status": "pending",
        "message": f"Poem flow execution initiated with ID: {execution_id}",
    }
    await api.ended(execution_id)
    execution = (await api.get(f"{POEM}/execution/{execution_id}")).ok()
    times = [execution.pop(name) for name in ("created_at", "started_at", "completed_at")]
    assert all(TIME.fullmatch(one) for one in times)
    assert times == sorted(times)
    assert execution == {
        "execution_id": execution_id,
        "flow_name": "poem_flow",
        "status": "completed",
        "result": {"sentence_count": 2, "poem": "A line. A line."},
        "error": None,
    }


@pytest.mark.parametrize("spelling", ["poem-flow", "poem_flow", "Poem-Flow", "POEM_FLOW"])
async def test_every_spelling_is_the_flow(api: Served, spelling: str) -> None:
    execution_id = await execute(api, spelling, {})
    await api.ended(execution_id)
    execution = (await api.get(f"/api/v1/{spelling}/execution/{execution_id}")).ok()
    assert (execution["flow_name"], execution["status"]) == ("poem_flow", "completed")
    assert (await api.get(f"/api/v1/executions?flow_name={spelling}")).ok()["total"] == 1


async def test_an_execution_is_its_workflow_and_wakes_nobody(api: Served, gate: Gate) -> None:
    gate.opened.set()
    execution_id = await execute(api, "held-flow", {"n": 7})
    await api.ended(execution_id)
    correlation = (await api.get(f"/api/v1/correlations/{execution_id}/status")).ok()
    assert (correlation["dialect"], correlation["name"]) == ("flows", "held_flow")
    assert (correlation["state"], correlation["artifact_count"]) == ("completed", 2)
    runs = (await api.get(f"/api/v1/runs?correlation_id={execution_id}")).ok()["runs"]
    assert [run["agent"] for run in runs] == ["held_flow"]
    assert gate.begun == [7]


async def test_a_flow_that_fails(api: Served) -> None:
    execution = await ended(api, await execute(api, "doomed", {"why": "out of ink"}))
    assert (execution["status"], execution["result"]) == ("failed", None)
    assert execution["error"] == "RuntimeError: out of ink"


async def test_cancelled_is_failed(api: Served, gate: Gate) -> None:
    execution_id = await execute(api, "held-flow", {"n": 1})
    await api.post(f"/api/v1/correlations/{execution_id}/cancel")
    execution = await ended(api, execution_id)
    assert (execution["status"], execution["error"]) == ("failed", "Cancelled")
    assert TIME.fullmatch(execution["completed_at"])


async def test_the_states_on_the_way(api: Served, gate: Gate) -> None:
    ids = [await execute(api, "held-flow", {"n": n}) for n in range(3)]
    await gate.until_begun(2)
    listed = (await api.get("/api/v1/executions?flow_name=held_flow")).ok()
    assert [(one["execution_id"], one["status"]) for one in listed["executions"]] == [
        (ids[2], "pending"),
        (ids[1], "running"),
        (ids[0], "running"),
    ]
    assert [one["started_at"] is None for one in listed["executions"]] == [True, False, False]
    gate.opened.set()
    assert [(await ended(api, one))["status"] for one in ids] == ["completed"] * 3


async def test_lists(api: Served) -> None:
    poems = [await execute(api, "poem-flow", {}) for _ in range(3)]
    doomed = [await execute(api, "doomed", {"why": str(n)}) for n in range(2)]
    for one in (*poems, *doomed):
        await api.ended(one)

    async def listed(query: str) -> Any:
        answer = (await api.get(f"/api/v1/executions{query}")).ok()
        return [one["execution_id"] for one in answer.pop("executions")], answer

    newest_first = [*reversed(doomed), *reversed(poems)]
    assert await listed("") == (newest_first, {"total": 5, "limit": 50, "offset": 0})
    assert await listed("?flow_name=poem_flow") == (newest_first[2:], {"total": 3, "limit": 50, "offset": 0})
    assert await listed("?status=failed") == (newest_first[:2], {"total": 2, "limit": 50, "offset": 0})
    page = await listed("?flow_name=poem_flow&status=completed&limit=2&offset=1")
    assert page == (newest_first[3:], {"total": 3, "limit": 2, "offset": 1})
    assert await listed("?status=running") == ([], {"total": 0, "limit": 50, "offset": 0})
    assert await listed("?flow_name=nobody") == ([], {"total": 0, "limit": 50, "offset": 0})
    single = (await api.get(f"/api/v1/executions/{poems[0]}")).ok()
    everything = (await api.get("/api/v1/executions?limit=500")).ok()["executions"]
    assert single == everything[-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=", "status"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("offset=-1", "offset"),
        ("offset=101", "offset"),
        ("flow=poem_flow", "flow"),
        ("status=failed&status=running", "status"),
    ],
)
async def test_bad_lists(api: Served, query: str, field: str) -> None:
    problem = (await api.get(f"/api/v1/executions?{query}")).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field


@pytest.mark.parametrize(
    ("flow", "body", "field"),
    [
        ("poem-flow", {"sentence_count": 0}, "sentence_count"),
        ("poem-flow", {"sentence_count": 11}, "sentence_count"),
        ("poem-flow", {"sentence_count": "three"}, "sentence_count"),
        ("poem-flow", {"sentence_count": None}, "sentence_count"),
        ("poem_flow", {"style": 5}, "style"),
        ("poem-flow", [1], ""),
        ("poem-flow", "text", ""),
        ("held-flow", {}, "n"),
        ("held-flow", {"n": 1.5}, "n"),
        ("doomed", {"why": ["a"]}, "why"),
    ],
)
async def test_bad_requests(api: Served, flow: str, body: Any, field: str) -> None:
    """The field is named as the client wrote it, and nothing is stored."""
    problem = (await api.post(f"/api/v1/{flow}/execute", body)).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field
    assert "payload" not in problem["detail"]
    assert (await api.get("/api/v1/executions")).ok()["total"] == 0


async def test_bodies_that_are_none(api: Served) -> None:
    path = f"{POEM}/execute"
    (await api.post(path)).problem(400, "INVALID_INPUT")
    malformed = await api.request("POST", path, data=b"{", headers={"Content-Type": "application/json"})
    malformed.problem(400, "INVALID_INPUT")
    (await api.request("POST", path, data=b"n=1", headers={"Content-Type": "text/plain"})).problem(
        415, "UNSUPPORTED_MEDIA_TYPE"
    )
    (await api.get(path)).problem(405, "METHOD_NOT_ALLOWED")


async def test_what_is_not_there(api: Served) -> None:
    poem = await execute(api, "poem-flow", {})
    run = (await api.get(f"/api/v1/runs?correlation_id={poem}")).ok()["runs"][0]["id"]
    native = (await api.publish("PoemRequest"))["correlation_id"]
    for flow in ("poem-flow", "poem_flow"):
        for unknown in (new_id(), run, native, "no-id"):
            assert (await api.get(f"/api/v1/{flow}/execution/{unknown}")).problem(404, "NOT_FOUND")[
                "detail"
            ] == "Not found"
    for other in ("held-flow", "held_flow", "listener", "nobody"):
        (await api.get(f"/api/v1/{other}/execution/{poem}")).problem(404, "NOT_FOUND")
    for unknown in (new_id(), run, native, "no-id"):
        (await api.get(f"/api/v1/executions/{unknown}")).problem(404, "NOT_FOUND")
    for other in ("nobody", "listener"):
        problem = (await api.post(f"/api/v1/{other}/execute", {})).problem(404, "NOT_FOUND")
        assert problem["detail"] == f"Flow not found: {other}"


@pytest.mark.parametrize("header", ["X-Idempotency-Key", "Idempotency-Key"])
async def test_a_key_is_one_execution(api: Served, header: str) -> None:
    first = await api.post(f"{POEM}/execute", {"sentence_count": 2}, {header: "k"})
    again = await api.post(f"{POEM}/execute", {"sentence_count": 2}, {header: "k"})
    assert first.ok() == again.ok()
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    other = await api.post(f"{POEM}/execute", {"sentence_count": 3}, {header: "k"})
    other.problem(422, "IDEMPOTENCY_MISMATCH")
    assert (await api.get("/api/v1/executions")).ok()["total"] == 1


async def test_a_chosen_id(api: Served) -> None:
    chosen = new_id()
    headers = {"X-Correlation-ID": chosen, "X-Idempotency-Key": "k"}
    assert (await api.post(f"{POEM}/execute", {}, headers)).ok()["execution_id"] == chosen
    assert (await api.post(f"{POEM}/execute", {}, headers)).ok()["execution_id"] == chosen
    await api.ended(chosen)
    (await api.post(f"{POEM}/execute", {}, {"X-Correlation-ID": chosen})).problem(409, "CONFLICT")
    problem = (await api.post(f"{POEM}/execute", {}, {"X-Correlation-ID": "mine"})).problem(
        400, "INVALID_INPUT"
    )
    assert problem["details"]["field"] == "X-Correlation-ID"
    assert (await api.get("/api/v1/executions")).ok()["total"] == 1


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-3.0.json"])
async def test_no_name_of_a_flow_takes_an_operation_of_another_route(serve: Serve, path: str) -> None:
    flock = Flock(name="namesakes")
    for name in ("workflow", "custom", "workflow_v2", "execution", "poem_flow", "poemFlow"):
        flock.flow(PoemFlow, name=name, request=PoemRequest, result=PoemResult)
    document = (await (await serve(flock)).get(path)).ok()
    validate(document)
    ids = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-3.0.json"])
async def test_each_flow_is_documented_once_by_its_own_models(api: Served, path: str) -> None:
    document = (await api.get(path)).ok()
    validate(document)
    schemas, paths = document["components"]["schemas"], document["paths"]
    assert "/api/v1/poem_flow/execute" not in paths
    assert not [one for one in paths if "{flow_name}" in one]
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(ids) == len(set(ids))

    def fields(schema: Any) -> Any:
        for key in ("anyOf", "allOf"):
            if key in schema:
                return fields(next(one for one in schema[key] if "$ref" in one))
        if "$ref" in schema:
            return fields(schemas[schema["$ref"].rpartition("/")[2]])
        return schema["properties"]

    execute = paths["/api/v1/poem-flow/execute"]["post"]
    assert (execute["tags"], execute["summary"]) == (["poem-flow"], "Execute poem_flow")
    assert execute["description"] == "Writes poems."
    request = execute["requestBody"]["content"]["application/json"]["schema"]
    assert fields(request)["sentence_count"]["maximum"] == 10
    status = paths["/api/v1/poem-flow/execution/{execution_id}"]["get"]
    answer = status["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(fields(fields(answer)["result"])) == {"sentence_count", "poem"}
    assert {"held-flow", "Doomed", "executions"} <= {tag["name"] for tag in document["tags"]}


async def test_a_restart_in_the_middle(serve: Serve, gate: Gate) -> None:
    """Ids stay valid, what was begun stays begun, and each flow gives one result."""
    first = await serve(make_flock(gate))
    ids = [await execute(first, "held-flow", {"n": n}) for n in range(3)]
    await gate.until_begun(2)
    await first.stop()
    gate.begun.clear()

    second = await serve(make_flock(gate))
    listed = (await second.get("/api/v1/executions?status=running")).ok()
    assert [one["execution_id"] for one in listed["executions"]] == [ids[1], ids[0]]
    gate.opened.set()
    found = [await ended(second, one) for one in ids]
    assert [(one["status"], one["result"]) for one in found] == [("completed", {"n": n}) for n in range(3)]
    assert sorted(gate.begun) == [0, 1, 2]
    assert (await second.get("/api/v1/artifacts?type=Freed")).ok()["pagination"]["total"] == 3
