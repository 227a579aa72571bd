"""The runs dialect: one run, alone or as a workflow, waited for or polled."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from flockd.api.keys import READS
from tests.api.conftest import TIME, UUID7

from .conftest import Serve, Served
from .run_flock import Gate, make_flock

FIELDS = ["run_id", "status", "result", "started_at", "completed_at", "error"]
KEY = {"X-Idempotency-Key": "run 17"}
ROUTES = ["/run/agent", "/run/flock", "/api/run/agent", "/api/run/flock"]


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"limits": {"sync_wait_seconds": 20.0}}


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def api(serve: Serve, gate: Gate) -> Served:
    return await serve(make_flock(gate))


async def run(api: Served, agent: str, inputs: Any = None, path: str = "/run/agent", **fields: Any) -> Any:
    body = {"agent_name": agent, **({} if inputs is None else {"inputs": inputs}), **fields}
    return (await api.post(path, body)).ok()


async def correlations(api: Served) -> int:
    return int((await api.get("/api/v1/correlations")).ok()["total"])


# -- waiting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
async def test_a_run_is_waited_for(api: Served, path: str) -> None:
    answer = await run(api, "my_agent", {"query": "Hello, world!"}, path, async_run=False)
    assert list(answer)[:6] == FIELDS
    assert UUID7.fullmatch(answer["run_id"])
    assert (answer["status"], answer["error"]) == ("completed", None)
    assert answer["result"] == {"result": "Processed: Hello, world!"}
    assert TIME.fullmatch(answer["started_at"])
    assert answer["started_at"] <= answer["completed_at"]
    assert (await api.get(f"/run/{answer['run_id']}")).ok() == answer
    assert (await api.get(f"/api/run/{answer['run_id']}")).ok() == answer


async def test_an_agent_alone_wakes_nobody_and_a_flock_does(api: Served) -> None:
    alone = await run(api, "start_agent", {"query": "x"}, "/run/agent")
    assert alone["result"] == {"query": "x"}
    assert "artifacts" not in alone
    flock = await run(api, "start_agent", {"query": "x"}, "/run/flock")
    assert flock["result"] == {"result": "Processed: x"}
    assert [(one["type"], one["produced_by"]) for one in flock["artifacts"]] == [
        ("Middle", "start_agent"),
        ("Processed", "finisher"),
    ]


@pytest.mark.parametrize(
    ("agent", "inputs", "result", "results"),
    [
        ("spreader", {"count": 3}, {"n": 2}, [{"n": 0}, {"n": 1}, {"n": 2}]),
        ("spreader", {"count": 1}, {"n": 0}, None),
        ("spreader", {"count": 0}, None, None),
        ("silent", {"count": 3}, None, None),
        ("mixer", {"count": 1}, {"Piece": {"n": 0}, "Freed": {"n": 1}}, None),
        ("mixer", {"count": 2}, {"Piece": [{"n": 0}, {"n": 1}], "Freed": {"n": 2}}, None),
        ("mixer", {"count": 0}, {"n": 0}, None),
    ],
)
async def test_results_of_every_number(
    api: Served, agent: str, inputs: Any, result: Any, results: Any
) -> None:
    answer = await run(api, agent, inputs)
    assert (answer["status"], answer["result"], answer.get("results")) == ("completed", result, results)
    assert (await api.get(f"/run/{answer['run_id']}")).ok() == answer


@pytest.mark.parametrize(
    ("agent", "inputs", "result"),
    [
        ("joiner", {"Left": {"n": 1}, "Right": {"n": 2}}, {"total": 3}),
        ("joiner", {"Right": {"n": 2}, "Left": {"n": 1}}, {"total": 3}),
        ("twins", {"Left": [{"n": 1}, {"n": 2}]}, {"total": 12}),
        ("either", {"Right": {"n": 2}}, {"n": 102}),
        ("either", {"Left": {"n": 2}}, {"n": 2}),
        ("either", {"n": 3}, {"n": 3}),
        ("MY-AGENT", {"query": "q"}, {"result": "Processed: q"}),
        ("loser", {"n": 2}, {"n": 2}),
    ],
)
async def test_inputs_and_names_of_every_form(api: Served, agent: str, inputs: Any, result: Any) -> None:
    assert (await run(api, agent, inputs))["result"] == result


async def test_inputs_are_optional(api: Served) -> None:
    answer = await run(api, "loser")
    assert (answer["status"], answer["error"], answer["result"]) == ("failed", "RuntimeError: 1 is odd", None)
    assert answer["completed_at"] is not None
    assert (await api.get(f"/run/{answer['run_id']}")).ok() == answer


async def test_a_workflow_that_fails_later_has_the_result_so_far_and_the_error(api: Served) -> None:
    answer = await run(api, "start_agent", {"query": "fail"}, "/run/flock")
    assert (answer["status"], answer["result"]) == ("completed", {"query": "fail"})
    assert answer["error"] == "RuntimeError: the end is missing"


@pytest.mark.parametrize("path", ROUTES)
async def test_an_unknown_agent_is_a_stored_run_that_failed(api: Served, path: str) -> None:
    answer = await run(api, "unknown_agent", {"query": "x"}, path)
    assert list(answer) == FIELDS
    assert (answer["status"], answer["result"]) == ("failed", None)
    assert answer["error"] == "Agent 'unknown_agent' not found"
    assert TIME.fullmatch(answer["completed_at"])
    assert (await api.get(f"/run/{answer['run_id']}")).ok() == answer
    assert await correlations(api) == 1


# -- polling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/run/agent", "/run/flock"])
async def test_an_asynchronous_run_is_polled(api: Served, gate: Gate, path: str) -> None:
    started = await run(api, "holder", {"n": 7}, path, async_run=True)
    assert list(started)[:6] == FIELDS
    assert started["status"] in ("starting", "running")
    assert (started["result"], started["completed_at"], started["error"]) == (None, None, None)
    await gate.until_entered(1)
    where = f"/run/{started['run_id']}"
    now = (await api.get(where)).ok()
    assert now == {**started, "status": "running"}
    gate.permit(1)
    await api.ended(started["run_id"])
    done = (await api.get(where)).ok()
    assert (done["status"], done["result"], done["started_at"]) == ("completed", {"n": 7}, now["started_at"])


async def test_a_run_that_waits_for_its_agent_is_starting(api: Served, gate: Gate) -> None:
    first = await run(api, "lone_holder", {"n": 1}, async_run=True)
    second = await run(api, "lone_holder", {"n": 2}, async_run=True)
    await gate.until_entered(1)
    assert (await api.get(f"/run/{first['run_id']}")).ok()["status"] == "running"
    assert (await api.get(f"/run/{second['run_id']}")).ok()["status"] == "starting"
    gate.permit(2)
    await api.ended(second["run_id"])


async def test_a_cancelled_run_has_failed(api: Served, gate: Gate) -> None:
    waiting = asyncio.create_task(run(api, "holder", {"n": 1}))
    await gate.until_entered(1)
    (active,) = (await api.get("/api/v1/correlations?state=active&dialect=runs")).ok()["correlations"]
    (await api.post(f"/api/v1/correlations/{active['id']}/cancel")).ok()
    answer = await waiting
    assert (answer["status"], answer["error"], answer["result"]) == ("failed", "Cancelled", None)
    assert (await api.get(f"/run/{active['id']}")).ok() == answer


async def test_a_run_that_is_cancelled_while_it_is_looked_at(
    api: Served, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = (await run(api, "holder", {"n": 1}, async_run=True))["run_id"]
    await gate.until_entered(1)
    reads = api.app[READS]
    look = reads.runs

    async def cancelled_meanwhile(**wanted: Any) -> Any:
        if wanted == {"correlation_id": run_id, "limit": 1}:
            (await api.post(f"/api/v1/correlations/{run_id}/cancel")).ok()
        return await look(**wanted)

    monkeypatch.setattr(reads, "runs", cancelled_meanwhile)
    answer = (await api.get(f"/run/{run_id}")).ok()
    assert (answer["status"], answer["error"]) == ("failed", "Cancelled")


async def test_only_runs_are_found_as_runs(api: Served) -> None:
    native = await api.publish("Query", {"query": "x"})
    batch = (await api.post("/run/batch", {"agent_name": "my_agent", "batch_inputs": [{"query": "x"}]})).ok()
    for given in (native["correlation_id"], batch["batch_id"], str(uuid4()), "none", "00"):
        for path in ("/run/", "/api/run/"):
            problem = (await api.get(path + given)).problem(404, "NOT_FOUND")
            assert problem["detail"] == "Run not found"


# -- what is refused ----------------------------------------------------------------------------------------

REFUSED: list[tuple[Any, str]] = [
    ({}, "agent_name"),
    ({"agent_name": None}, "agent_name"),
    ({"agent_name": ""}, "agent_name"),
    ({"agent_name": 5}, "agent_name"),
    ({"agent_name": "x" * 201}, "agent_name"),
    ({"agent_name": "my_agent"}, "inputs.query"),
    ({"agent_name": "my_agent", "inputs": None}, "inputs"),
    ({"agent_name": "my_agent", "inputs": ["x"]}, "inputs"),
    ({"agent_name": "my_agent", "inputs": {"query": 5}}, "inputs.query"),
    ({"agent_name": "my_agent", "inputs": {"query": "x"}, "async_run": "yes"}, "async_run"),
    ({"agent_name": "my_agent", "inputs": {"query": "x"}, "async_run": None}, "async_run"),
    ({"agent_name": "my_agent", "inputs": {"query": "x"}, "asyncrun": True}, "asyncrun"),
    ({"agent_name": "shower", "inputs": {"text": "x", "txt": "x"}}, "inputs.txt"),
    ({"agent_name": "shower", "inputs": {"text": "x", "words": ["a", 1]}}, "inputs.words.1"),
    ({"agent_name": "joiner", "inputs": {"Left": {"n": 1}}}, "inputs.Right"),
    ({"agent_name": "joiner", "inputs": {"Left": {"n": 1}, "Right": {"n": "x"}}}, "inputs.Right.n"),
    ({"agent_name": "joiner", "inputs": {"Left": {"n": 1}, "Right": {"n": 1}, "Up": {}}}, "inputs.Up"),
    ({"agent_name": "joiner", "inputs": {"Left": {"n": 1}, "Right": 5}}, "inputs.Right"),
    ({"agent_name": "twins", "inputs": {"Left": {"n": 1}}}, "inputs.Left"),
    ({"agent_name": "twins", "inputs": {"Left": [{"n": 1}]}}, "inputs.Left"),
    ({"agent_name": "twins", "inputs": {"Left": [{"n": 1}, {"n": "x"}]}}, "inputs.Left.1.n"),
    ({"agent_name": "either", "inputs": {"Right": {}}}, "inputs.Right.n"),
    ({"agent_name": "either", "inputs": {"Left": {"n": 1}, "Right": {"n": 1}}}, "inputs.n"),
]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("body", "field"), REFUSED)
async def test_what_is_refused_names_its_field_and_stores_nothing(
    api: Served, path: str, body: Any, field: str
) -> None:
    problem = (await api.post(path, body)).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field
    assert await correlations(api) == 0


async def test_a_misspelt_field_is_told_the_right_one(api: Served) -> None:
    body = {"agent_name": "my_agent", "input": {"query": "x"}}
    assert "inputs" in (await api.post("/run/agent", body)).problem(400, "INVALID_INPUT")["detail"]
    body = {"agent_name": "joiner", "inputs": {"Left": {"n": 1}, "Rigt": {"n": 1}}}
    assert (
        "did you mean Right" in (await api.post("/run/agent", body)).problem(400, "INVALID_INPUT")["detail"]
    )


# -- again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        {"agent_name": "start_agent", "inputs": {"query": "x"}},
        {"agent_name": "start_agent", "inputs": {"query": "x"}, "async_run": True},
        {"agent_name": "loser"},
        {"agent_name": "nobody"},
    ],
)
async def test_many_requests_with_one_key_are_one_run(api: Served, path: str, body: Any) -> None:
    answers = await asyncio.gather(*(api.post(path, body, KEY) for _ in range(10)))
    answers.append(await api.post(path, body, KEY))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await correlations(api) == 1
    (await api.post(path, {**body, "inputs": {"query": "y"}}, KEY)).problem(422, "IDEMPOTENCY_MISMATCH")


async def test_a_replay_outlives_a_restart(serve: Serve, api: Served, gate: Gate) -> None:
    body = {"agent_name": "holder", "inputs": {"n": 3}}
    waiting = asyncio.create_task(api.post("/run/flock", body, KEY))
    await gate.until_entered(1)
    await api.app.shutdown()
    problem = (await waiting).problem(503, "UNAVAILABLE")
    await api.stop()
    again = await serve(make_flock(Gate(permits=1)))
    answer = await again.post("/run/flock", body, KEY)
    assert (answer.ok()["status"], answer.ok()["result"]) == ("completed", {"n": 3})
    assert answer.ok()["run_id"] == problem["details"]["correlation_id"]
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert (await again.post("/run/flock", body, KEY)).body == answer.body
    assert await correlations(again) == 1


# -- the caller's own id ------------------------------------------------------------------------------------


async def test_the_callers_id_is_the_runs(api: Served) -> None:
    given = str(uuid4())
    for agent, path in (("my_agent", "/run/agent"), ("nobody", "/run/flock")):
        given = str(uuid4())
        body = {"agent_name": agent, "inputs": {"query": "x"}}
        answer = (await api.post(path, body, {"X-Correlation-ID": given})).ok()
        assert answer["run_id"] == given
        assert (await api.get(f"/run/{given}")).ok() == answer


async def test_an_id_of_other_work_is_a_conflict(api: Served) -> None:
    native = await api.sync("Query", {"query": "x"})
    headers = {"X-Correlation-ID": native["correlation_id"]}
    body = {"agent_name": "my_agent", "inputs": {"query": "x"}}
    (await api.post("/run/agent", body, headers)).problem(409, "CONFLICT")
    mine = (await api.post("/run/agent", body)).ok()
    (await api.post("/run/agent", body, {"X-Correlation-ID": mine["run_id"]})).problem(409, "CONFLICT")
    (await api.post("/run/agent", {"agent_name": "nobody"}, headers)).problem(409, "CONFLICT")
    problem = (await api.post("/run/agent", body, {"X-Correlation-ID": "me"})).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "X-Correlation-ID"


# -- limits -------------------------------------------------------------------------------------------------


class TestShortWait:
    """`limits.sync_wait_seconds` bounds how long a request waits, not the work."""

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"limits": {"sync_wait_seconds": 0.2}}

    async def test_past_the_wait_the_run_goes_on(self, api: Served, gate: Gate) -> None:
        body = {"agent_name": "holder", "inputs": {"n": 5}}
        early = (await api.post("/run/flock", body, KEY)).ok()
        assert (early["status"], early["result"], early["artifacts"]) == ("running", None, [])
        assert early["completed_at"] is None
        gate.permit(1)
        await api.ended(early["run_id"])
        late = (await api.post("/run/flock", body, KEY)).ok()
        assert (late["run_id"], late["status"], late["result"]) == (early["run_id"], "completed", {"n": 5})

    async def test_a_workflow_that_waits_for_its_second_agent_is_running(
        self, api: Served, gate: Gate
    ) -> None:
        first = await run(api, "lone_holder", {"n": 1}, async_run=True)
        await gate.until_entered(1)
        second = await run(api, "relay", {"n": 2}, "/run/flock")
        where = f"/run/{second['run_id']}"
        assert (second["status"], (await api.get(where)).ok()["status"]) == ("running", "running")
        gate.permit(2)
        for one in (first, second):
            await api.ended(one["run_id"])
        assert (await api.get(where)).ok()["result"] == {"n": 2}


# -- agents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/agents", "/api/agents"])
async def test_agents_are_listed_with_their_fields(api: Served, path: str) -> None:
    agents = {one["name"]: one for one in (await api.get(path)).ok()["agents"]}
    assert list(agents) == sorted(agents)
    assert agents["my_agent"] == {
        "name": "my_agent",
        "description": "An agent that processes queries",
        "input_schema": "query: str | The query to process",
        "output_schema": "result: str | The processed result",
        "hand_off": None,
    }
    assert agents["start_agent"]["hand_off"] == "finisher"
    assert agents["silent"]["output_schema"] is None
    assert agents["joiner"]["input_schema"] == "Left: dict | One half., Right: dict | The other half."
    assert agents["either"]["input_schema"] == "n: int"
