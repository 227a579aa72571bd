"""Document 004 over HTTP: asking for workflows and following their sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from flockd import Flock
from flockd.domain.identity import new_id
from flockd.domain.moment import parse_iso
from tests.api.conftest import TIME, UUID7

from .conftest import LIMIT_SECONDS, Serve, Served
from .workflow_flock import Stage, make_flock

PREFIXES = ("", "/api/v1", "/api/v2")
CODE = {"requirements": "Create a calculator"}


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def api(serve: Serve, stage: Stage) -> AsyncIterator[Served]:
    yield await serve(make_flock(stage))
    stage.open()


async def start(api: Served, prefix: str = "", **fields: Any) -> str:
    """The id of a session that must be accepted."""
    answer = (await api.post(f"{prefix}/execute-workflow", {**CODE, **fields})).ok()
    return str(answer["session_id"])


async def status(api: Served, session_id: str, prefix: str = "") -> Any:
    return (await api.get(f"{prefix}/workflow-status/{session_id}")).ok()


async def ended(api: Served, session_id: str) -> Any:
    async with asyncio.timeout(LIMIT_SECONDS):
        await api.ended(session_id)
    return await status(api, session_id)


# -- starting -------------------------------------------------------------------------------------------------


async def test_the_answer_to_a_start(api: Served) -> None:
    answer = (await api.post("/execute-workflow", {**CODE, "workflow_type": "full"})).ok()
    session_id, created_at = answer.pop("session_id"), answer.pop("created_at")
    assert UUID7.fullmatch(session_id)
    assert answer == {
        "status": "accepted",
        "message": "Workflow accepted for execution",
        "estimated_completion": None,
    }
    assert (await status(api, session_id))["created_at"] == created_at


async def test_the_answer_to_a_custom_start(api: Served) -> None:
    answer = (await api.post("/custom/execute", {**CODE, "workflow_type": "full"})).ok()
    assert list(answer) == ["session_id", "status", "message", "created_at", "estimated_completion"]
    assert (answer["status"], answer["message"]) == ("queued", "Workflow queued for execution")
    assert TIME.fullmatch(answer["created_at"])
    problem = (await api.post("/custom/execute", CODE)).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "workflow_type"


async def test_what_starts_is_the_artifact_of_the_start_type(api: Served) -> None:
    session_id = await start(api, configuration={"language": "lua", "files": 2}, priority="high")
    listed = (await api.get(f"/api/v1/artifacts?correlation_id={session_id}")).ok()["items"]
    assert [(one["type"], one["payload"]) for one in listed] == [
        ("Requirements", {**CODE, "language": "lua", "files": 2})
    ]
    correlation = (await api.get(f"/api/v1/correlations/{session_id}/status")).ok()
    assert [correlation[name] for name in ("dialect", "name", "priority")] == ["workflows", "full", "high"]


async def test_null_is_nothing(api: Served) -> None:
    session_id = await start(api, configuration=None, priority=None)
    correlation = (await api.get(f"/api/v1/correlations/{session_id}/status")).ok()
    assert correlation["priority"] is None


@pytest.mark.parametrize(
    ("fields", "field", "issue"),
    [
        ({"requirements": "ab"}, "requirements", "too short"),
        ({"requirements": ""}, "requirements", "too short"),
        ({"requirements": None}, "requirements", "Input should be a valid string"),
        ({"requirements": 123}, "requirements", "Input should be a valid string"),
        ({"workflow_type": "invalid"}, "workflow_type", "Unknown workflow type"),
        ({"workflow_type": "ful"}, "workflow_type", "Unknown workflow type; did you mean full?"),
        ({"workflow_type": None}, "workflow_type", "Input should be a valid string"),
        ({"configuration": []}, "configuration", "Input should be a valid dictionary"),
        ({"configuration": {"files": 0}}, "configuration.files", "greater than or equal to 1"),
        ({"configuration": {"language": 5}}, "configuration.language", "Input should be a valid string"),
        ({"configuration": {"requirements": "x"}}, "configuration.requirements", "Stands beside"),
        ({"priority": "urgent"}, "priority", "'critical', 'high', 'normal' or 'low'"),
        ({"priority": 1}, "priority", "'critical', 'high', 'normal' or 'low'"),
        ({"requirement": "x"}, "requirement", "Unknown field; did you mean requirements?"),
    ],
)
async def test_bad_starts(api: Served, fields: dict[str, Any], field: str, issue: str) -> None:
    """The field is named as the client wrote it, by every route, and nothing is stored."""
    for path in (*(f"{prefix}/execute-workflow" for prefix in PREFIXES), "/custom/execute"):
        answer = await api.post(path, {**CODE, "workflow_type": "full", **fields})
        problem = answer.problem(400, "INVALID_INPUT")
        assert problem["details"]["field"] == field
        assert issue in problem["details"]["issue"]
    assert (await api.get("/api/v1/correlations")).ok()["total"] == 0


async def test_the_words_of_the_document(api: Served) -> None:
    short = (await api.post("/execute-workflow", {"requirements": "ab"})).problem(400, "INVALID_INPUT")
    assert (short["details"]["field"], short["details"]["issue"]) == ("requirements", "too short")
    unknown = await api.post("/execute-workflow", {"requirements": "Test", "workflow_type": "invalid"})
    assert unknown.problem(400, "INVALID_INPUT")["detail"] == "Unknown workflow type: invalid"
    (await api.post("/execute-workflow")).problem(400, "INVALID_INPUT")


async def test_the_second_version_is_strict_and_tells_more(api: Served) -> None:
    unknown = {**CODE, "configuration": {"langauge": "lua"}}
    assert (await api.post("/api/v1/execute-workflow", unknown)).status == 200
    problem = (await api.post("/api/v2/execute-workflow", unknown)).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "configuration.langauge"
    assert problem["details"]["issue"] == "Unknown field; did you mean language?"
    many = {**CODE, "configuration": {f"k{n}": n for n in range(500)}}
    problem = (await api.post("/api/v2/execute-workflow", many)).problem(400, "INVALID_INPUT")
    assert len(problem["details"]["errors"]) == 100
    answer = (await api.post("/api/v2/execute-workflow", {**CODE, "configuration": {"files": 3}})).ok()
    artifact = (await api.get(f"/api/v1/artifacts/{answer['artifact_id']}")).ok()
    assert (artifact["seq"], artifact["payload"]["files"]) == (answer["seq"], 3)
    assert answer["session_id"] == answer["correlation_id"] == artifact["correlation_id"]
    shown = await status(api, answer["session_id"], "/api/v2")
    assert (shown["correlation_id"], shown["artifact_id"]) == (answer["session_id"], answer["artifact_id"])
    assert shown["seq"] >= answer["seq"]


class Tree(BaseModel):
    """A start that refers to itself."""

    requirements: str
    branches: list[Tree] = []


class Loose(BaseModel, extra="allow"):
    """A start that takes whatever comes."""

    requirements: str


async def test_what_a_start_type_has_fields_for(serve: Serve) -> None:
    flock = Flock()
    flock.type(Tree)
    flock.type(Loose)
    for start_type in (Tree, Loose):
        flock.workflow(start_type.__name__, start=start_type, phases={"all": [start_type]})
    api = await serve(flock)

    async def refused(workflow: str, **configuration: Any) -> str | None:
        body = {**CODE, "workflow_type": workflow, "configuration": configuration}
        answer = await api.post("/api/v2/execute-workflow", body)
        return None if answer.status == 200 else answer.problem(400, "INVALID_INPUT")["details"]["field"]

    assert await refused("Tree", branches=[CODE]) is None
    assert await refused("Tree", branch=[]) == "configuration.branch"
    assert await refused("Tree", branches=[{}]) == "configuration.branches.0.requirements"
    assert await refused("Loose", anything=1) is None


async def test_a_key_is_one_session_and_every_answer_the_same(api: Served, stage: Stage) -> None:
    key = {"X-Idempotency-Key": "k"}
    first, *others = await asyncio.gather(*(api.post("/execute-workflow", CODE, key) for _ in range(5)))
    stage.open()
    await ended(api, first.ok()["session_id"])
    others.append(await api.post("/execute-workflow", CODE, key))  # now there is a past to estimate from
    assert [one.ok() for one in others] == [first.ok()] * 5
    assert (await api.get("/api/v1/correlations")).ok()["total"] == 1
    (await api.post("/execute-workflow", {"requirements": "other"}, key)).problem(422, "IDEMPOTENCY_MISMATCH")


async def test_a_chosen_id(api: Served, stage: Stage) -> None:
    chosen = new_id()
    headers = {"X-Correlation-ID": chosen}
    assert (await api.post("/execute-workflow", CODE, headers)).ok()["session_id"] == chosen
    (await api.post("/execute-workflow", CODE, headers)).problem(409, "CONFLICT")
    stage.open()
    await ended(api, chosen)
    (await api.post("/custom/execute", {**CODE, "workflow_type": "full"}, headers)).problem(409, "CONFLICT")


async def test_an_estimate_comes_from_the_past(api: Served, stage: Stage) -> None:
    stage.open()
    session = await ended(api, await start(api))
    took = parse_iso(session["completed_at"]) - parse_iso(session["created_at"])
    answer = (await api.post("/execute-workflow", CODE)).ok()
    assert parse_iso(answer["estimated_completion"]) - parse_iso(answer["created_at"]) == took
    other = (await api.post("/execute-workflow", {**CODE, "workflow_type": "chore"})).ok()
    assert other["estimated_completion"] is None


async def test_priorities_act(api: Served, stage: Stage) -> None:
    """One place, ten low ones waiting for it, then a critical one: that is next."""
    sessions = [await start(api, workflow_type="chore", requirements="the first")]
    await stage.until_begun(1)
    for n in range(10):
        sessions.append(await start(api, workflow_type="chore", requirements=f"low {n}", priority="low"))
    sessions.append(await start(api, workflow_type="chore", requirements="critical", priority="critical"))
    sessions.append(await start(api, workflow_type="chore", requirements="high", priority="high"))
    stage.open()
    for one in sessions:
        assert (await ended(api, one))["status"] == "completed"
    assert stage.begun[:3] == ["the first", "critical", "high"]
    assert sorted(stage.begun[3:]) == sorted(f"low {n}" for n in range(10))


# -- following ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_session_from_its_start_to_its_results(api: Served, stage: Stage, prefix: str) -> None:
    session_id = await start(api, prefix)
    await stage.until_begun(1)
    native = {"correlation_id", "artifact_id", "seq"} if prefix == "/api/v2" else set()

    async def shown() -> Any:
        answer = await status(api, session_id, prefix)
        assert native <= answer.keys()
        return {key: value for key, value in answer.items() if key not in native}

    planning = await shown()
    assert (planning["status"], planning["current_phase"]) == ("running", "plan")
    assert (planning["partial_results"], planning["results"]) == (None, None)
    stage.open("planner")
    await stage.until_begun(2)
    coding = await shown()
    assert (coding["phases_completed"], coding["current_phase"]) == (["plan"], "code")
    assert coding["progress"] == 33.3
    assert coding["partial_results"] == {"steps": ["Create a calculator"]}
    stage.open()
    await api.ended(session_id)
    done = await shown()
    times = [done.pop(name) for name in ("created_at", "started_at", "completed_at")]
    assert all(TIME.fullmatch(one) for one in times)
    assert times == sorted(times)
    results = {
        "steps": ["Create a calculator"],
        "generated_code": "Create a calculator",
        "summary": "passed",
        "passed": 1,
    }
    assert done == {
        "session_id": session_id,
        "status": "completed",
        "progress": 100.0,
        "current_phase": None,
        "phases_completed": ["plan", "code", "test"],
        "errors": [],
        "partial_results": None,
        "results": results,
        "failed_at": None,
        **results,
    }


async def test_a_session_that_fails_and_is_tried_again(api: Served, stage: Stage) -> None:
    stage.failing.add("tester")
    stage.open()
    session_id = await start(api)
    failed = await ended(api, session_id)
    assert (failed["status"], failed["progress"], failed["current_phase"]) == ("failed", 66.7, "test")
    error = {"agent": "tester", "phase": "test", "error": "RuntimeError: tester has no idea"}
    assert failed["errors"] == [error]
    assert failed["partial_results"]["generated_code"] == "Create a calculator"
    assert (failed["results"], failed["completed_at"]) == (None, None)
    assert TIME.fullmatch(failed["failed_at"])
    stage.failing.clear()
    dead = (await api.get(f"/api/v1/runs?correlation_id={session_id}&state=dead")).ok()["runs"]
    (await api.post(f"/api/v1/runs/{dead[0]['id']}/retry")).ok()
    done = await ended(api, session_id)
    assert (done["status"], done["progress"], done["errors"]) == ("completed", 100.0, [])


async def test_cancelled_is_failed(api: Served, stage: Stage) -> None:
    session_id = await start(api)
    await stage.until_begun(1)
    (await api.post(f"/api/v1/correlations/{session_id}/cancel")).ok()
    session = await status(api, session_id)
    assert session["status"] == "failed"
    assert session["errors"] == [{"agent": "planner", "phase": "plan", "error": "Cancelled"}]
    assert TIME.fullmatch(session["failed_at"])


async def test_what_nobody_works_on_fails(api: Served) -> None:
    session = await ended(api, await start(api, workflow_type="lonely"))
    assert session["status"] == "failed"
    assert session["errors"] == [{"agent": "worker", "phase": "work", "error": "it ended without Done"}]


async def test_what_waits_for_a_place_is_queued(api: Served, stage: Stage) -> None:
    await start(api, workflow_type="chore")
    await stage.until_begun(1)
    waiting = await status(api, await start(api, workflow_type="chore"))
    assert (waiting["status"], waiting["progress"], waiting["started_at"]) == ("queued", 0.0, None)


async def test_what_is_no_session(api: Served) -> None:
    native = (await api.publish("Requirements", CODE))["correlation_id"]
    for prefix in PREFIXES:
        for unknown in (new_id(), native, "no-id"):
            problem = (await api.get(f"{prefix}/workflow-status/{unknown}")).problem(404, "NOT_FOUND")
            assert problem["detail"] == f"Session not found: {unknown}"


async def test_a_restart_in_the_middle(serve: Serve, stage: Stage) -> None:
    """The id stays valid, progress goes on from where it was, and nothing is done twice on the board."""
    first = await serve(make_flock(stage))
    session_id = await start(first)
    stage.open("planner")
    await stage.until_begun(2)
    before = await status(first, session_id)
    assert before["progress"] == 33.3
    await first.stop()

    second = await serve(make_flock(stage))
    again = await status(second, session_id)
    assert {**again, "progress": 33.3} == before
    assert again["progress"] >= before["progress"]
    await stage.until_begun(3)
    stage.open()
    done = await ended(second, session_id)
    assert (done["status"], done["progress"]) == ("completed", 100.0)
    assert stage.begun == ["planner", "coder", "coder", "tester"]
    assert (await second.get(f"/api/v1/artifacts?correlation_id={session_id}")).ok()["pagination"][
        "total"
    ] == 4


async def test_a_workflow_that_is_no_longer_declared_keeps_its_sessions(serve: Serve, stage: Stage) -> None:
    stage.open()
    first = await serve(make_flock(stage))
    session_id = await start(first)
    assert (await ended(first, session_id))["status"] == "completed"
    await first.stop()
    flock = make_flock(stage)
    del flock._workflows["full"]
    second = await serve(flock)
    session = await status(second, session_id)
    assert (session["status"], session["progress"], session["results"]) == ("completed", 100.0, {})
    (await second.post("/execute-workflow", CODE)).problem(400, "INVALID_INPUT")


# -- which there are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_types(api: Served, prefix: str) -> None:
    path = f"{prefix}/workflow-types"
    answer = await api.get(path)
    assert answer.ok() == {
        "workflow_types": ["full", "chore", "lonely"],
        "workflows": [
            {
                "name": "full",
                "description": "From requirements to tried code.",
                "phases": ["plan", "code", "test"],
                "engine": "function",
            },
            {"name": "chore", "description": "", "phases": ["work"], "engine": "function"},
            {"name": "lonely", "description": "", "phases": ["work"], "engine": "function"},
        ],
    }
    etag = answer.headers["ETag"]
    assert answer.headers["Cache-Control"] == "max-age=300"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        unchanged = await api.get(path, **{"If-None-Match": known})
        assert (unchanged.status, unchanged.body, unchanged.headers["ETag"]) == (304, b"", etag)
        assert unchanged.headers["Cache-Control"] == "max-age=300"
    assert (await api.get(path, **{"If-None-Match": '"other"'})).ok() == answer.ok()


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-3.0.json"])
async def test_they_are_documented(api: Served, path: str) -> None:
    document = (await api.get(path)).ok()
    validate(document)
    paths = document["paths"]
    for prefix in ("", "/api/v2"):
        assert {
            f"{prefix}/execute-workflow",
            f"{prefix}/workflow-status/{{session_id}}",
            f"{prefix}/workflow-types",
        } <= paths.keys()
    assert {"/custom/execute", "/ws/{session_id}"} <= paths.keys()
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
