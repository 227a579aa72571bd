"""Batches: many items, a few at a time; progress, order, failures, cancelling, restarts."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from flockd import Flock
from tests.api.conftest import TIME, UUID7

from .conftest import Serve, Served
from .run_flock import Gate, Processed, Query, make_flock

FIELDS = [
    "batch_id",
    "status",
    "results",
    "started_at",
    "completed_at",
    "error",
    "total_items",
    "completed_items",
    "failed_items",
    "progress_percentage",
]
KEY = {"X-Idempotency-Key": "batch 17"}


@pytest.fixture
def settings() -> dict[str, Any]:
    return {
        "batch": {"dir": None, "items": 300, "workers": 20},
        "limits": {"bulk_body_bytes": 100_000},
    }


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def api(serve: Serve, gate: Gate) -> Served:
    return await serve(make_flock(gate))


async def start(api: Served, agent: str, items: Any, path: str = "/run/batch", **fields: Any) -> Any:
    body = {"agent_name": agent, "batch_inputs": items, **fields}
    return (await api.post(path, body)).ok()


async def get(api: Served, batch: Any) -> Any:
    return (await api.get(f"/batch/{batch['batch_id']}")).ok()


async def done(api: Served, agent: str, items: Any, **fields: Any) -> Any:
    """A batch when it has ended."""
    batch = await start(api, agent, items, **fields)
    await api.ended(batch["batch_id"])
    return await get(api, batch)


async def total(api: Served, what: str, **query: str) -> int:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return int((await api.get(f"/api/v1/{what}?{asked}")).ok()["total"])


# -- one that succeeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_batch_from_its_start_to_its_end(api: Served, gate: Gate, prefix: str) -> None:
    items = [{"n": n} for n in range(4)]
    started = await start(api, "holder", items, f"{prefix}/run/batch", max_workers=2)
    assert list(started) == FIELDS
    assert UUID7.fullmatch(started["batch_id"])
    assert TIME.fullmatch(started["started_at"])
    assert {**started, "batch_id": "", "started_at": ""} == {
        "batch_id": "",
        "status": "starting",
        "results": [None] * 4,
        "started_at": "",
        "completed_at": None,
        "error": None,
        "total_items": 4,
        "completed_items": 0,
        "failed_items": 0,
        "progress_percentage": 0.0,
    }
    await gate.until_entered(2)
    gate.permit(1)
    await gate.until_entered(3)
    now = (await api.get(f"{prefix}/batch/{started['batch_id']}")).ok()
    assert list(now) == FIELDS
    assert (now["status"], now["completed_items"], now["progress_percentage"]) == ("running", 1, 25.0)
    assert [one for one in now["results"] if one is not None] in ([{"n": 0}], [{"n": 1}])
    gate.permit(3)
    await api.ended(started["batch_id"])
    end = await get(api, started)
    assert (end["status"], end["error"], end["progress_percentage"]) == ("completed", None, 100.0)
    assert end["results"] == items
    assert TIME.fullmatch(end["completed_at"])
    assert gate.most_inside == 2


async def test_each_item_is_a_workflow_of_its_own(api: Served) -> None:
    batch = await done(api, "start_agent", [{"query": "a"}, {"query": "b"}])
    assert batch["results"] == [{"result": "Processed: a"}, {"result": "Processed: b"}]
    children = (await api.get("/api/v1/correlations?dialect=runs")).ok()["correlations"]
    assert [child["batch_id"] for child in children] == [batch["batch_id"]] * 2
    run = (await api.get(f"/run/{children[0]['id']}")).ok()
    assert (run["status"], len(run["artifacts"])) == ("completed", 2)
    assert await total(api, "runs") == 4


async def test_progress_moves_item_by_item_in_the_log(api: Served) -> None:
    batch = await done(api, "my_agent", [{"query": str(n)} for n in range(5)], max_workers=2)
    events = (await api.get(f"/api/v1/correlations/{batch['batch_id']}/events")).body
    assert events.count(b"event: batch.progress") == 5


@pytest.mark.parametrize(
    ("fields", "width"), [({"parallel": False}, 1), ({"parallel": False, "max_workers": 7}, 1), ({}, 5)]
)
async def test_how_many_run_at_once(api: Served, gate: Gate, fields: Any, width: int) -> None:
    batch = await start(api, "holder", [{"n": n} for n in range(8)], **fields)
    await gate.until_entered(width)
    gate.permit(8)
    await api.ended(batch["batch_id"])
    assert gate.most_inside == width
    assert (await get(api, batch))["results"] == [{"n": n} for n in range(8)]
    if width == 1:
        assert gate.entered == list(range(8))


async def test_what_changes_nothing_is_accepted(api: Served) -> None:
    fields = {"box_results": False, "silent_mode": False, "use_temporal": False, "input_mapping": None}
    batch = await done(
        api,
        "MY-Agent",
        [{"query": "x"}],
        **fields,
        static_inputs=None,
        write_to_csv=None,
        return_errors=False,
    )
    assert batch["results"] == [{"result": "Processed: x"}]


async def test_the_results_may_be_left_out(api: Served) -> None:
    batch = await done(api, "my_agent", [{"query": "x"}])
    short = (await api.get(f"/batch/{batch['batch_id']}?results=false")).ok()
    assert short == {**batch, "results": None}


# -- inputs -------------------------------------------------------------------------------------------------


async def test_keys_are_mapped_and_static_inputs_fill_the_gaps(api: Served) -> None:
    items = [{"body": "a", "whole": 1}, {"body": "b", "text": "not this", "unknown": 1}, {"text": "c"}]
    batch = await done(
        api, "shower", items, input_mapping={"body": "text"}, static_inputs={"whole": 9, "note": "s"}
    )
    shown = [(one["cells"]["text"], one["cells"]["whole"], one["cells"]["note"]) for one in batch["results"]]
    assert shown == [("a", 1, "s"), ("b", 9, "s"), ("c", 9, "s")]


async def test_items_of_an_agent_that_joins(api: Served) -> None:
    items = [{"Left": {"n": 1}}, {"L": {"n": 5}, "Right": {"n": 1}}, {"Left": {"n": 1}, "Right": {}}]
    batch = await done(
        api,
        "joiner",
        items,
        input_mapping={"L": "Left"},
        static_inputs={"Right": {"n": 2}},
        return_errors=True,
    )
    assert batch["results"][:2] == [{"total": 3}, {"total": 6}]
    assert batch["results"][2]["error"].startswith("inputs.Right.n")


# -- failures -----------------------------------------------------------------------------------------------


async def test_failed_items_are_null_and_the_rest_goes_on(api: Served) -> None:
    batch = await done(api, "loser", [{"n": n} for n in range(4)] + [{"n": "x"}])
    assert batch["results"] == [{"n": 0}, None, {"n": 2}, None, None]
    assert (batch["status"], batch["error"]) == ("completed", None)
    assert (batch["completed_items"], batch["failed_items"], batch["progress_percentage"]) == (5, 3, 100.0)


async def test_failed_items_have_their_errors_if_asked_for(api: Served) -> None:
    batch = await done(api, "loser", [{"n": 1}, {"n": 2}, {"n": "x"}], return_errors=True)
    first, second, third = batch["results"]
    assert first == {"error": "RuntimeError: 1 is odd"}
    assert second == {"n": 2}
    assert third["error"].startswith("inputs.n: ")


@pytest.mark.parametrize("items", [[{"n": 1}, {"n": 3}], [{"n": "x"}], [{"n": 1}, {"n": "x"}]])
async def test_a_batch_without_a_success_has_failed(api: Served, items: Any) -> None:
    batch = await done(api, "loser", items)
    assert batch["status"] == "failed"
    assert batch["error"]
    assert batch["results"] == [None] * len(items)
    assert batch["completed_items"] == len(items)


async def test_a_batch_whose_only_failed_item_is_retried_has_completed(serve: Serve) -> None:
    flock, works = Flock(name="mended"), asyncio.Event()

    @flock.agent
    async def hesitant(query: Query) -> Processed:
        """Fails until it works."""
        if not works.is_set():
            raise RuntimeError("not yet")
        return Processed(result=query.query)

    api = await serve(flock)
    batch = await done(api, "hesitant", [{"query": "x"}])
    assert (batch["status"], batch["error"]) == ("failed", "No item of the batch succeeded.")
    works.set()
    (run,) = (await api.get("/api/v1/runs?state=dead")).ok()["runs"]
    (await api.post(f"/api/v1/runs/{run['id']}/retry")).ok()
    await api.ended(run["correlation_id"])
    batch = await get(api, batch)
    assert (batch["status"], batch["error"], batch["failed_items"]) == ("completed", None, 0)
    assert batch["results"] == [{"result": "x"}]


async def test_an_item_that_publishes_nothing_has_succeeded(api: Served) -> None:
    batch = await done(api, "silent", [{"count": 1}])
    assert (batch["status"], batch["results"], batch["failed_items"]) == ("completed", [None], 0)


# -- the end by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_cancelling_in_the_middle(api: Served, gate: Gate, prefix: str) -> None:
    batch = await start(api, "holder", [{"n": n} for n in range(10)], parallel=False)
    gate.permit(3)
    await gate.until_entered(4)
    where = f"{prefix}/batch/{batch['batch_id']}/cancel"
    end = (await api.post(where)).ok()
    assert list(end) == FIELDS
    assert (end["status"], end["error"]) == ("failed", "Cancelled")
    assert end["results"][:3] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert end["results"][3:] == [None] * 7
    assert end["completed_at"] is not None
    assert (await get(api, batch)) == end
    assert (await api.post(where)).ok() == end
    assert await total(api, "runs") == 4
    assert await total(api, "runs", state="cancelled") == 1


async def test_cancelling_what_is_over_changes_nothing(api: Served) -> None:
    batch = await done(api, "my_agent", [{"query": "x"}])
    assert (await api.post(f"/batch/{batch['batch_id']}/cancel")).ok() == batch


async def test_only_batches_are_found_as_batches(api: Served) -> None:
    native = await api.publish("Query", {"query": "x"})
    run = (await api.post("/run/agent", {"agent_name": "my_agent", "inputs": {"query": "x"}})).ok()
    for given in (native["correlation_id"], run["run_id"], str(uuid4()), "none"):
        for prefix in ("", "/api"):
            problem = (await api.get(f"{prefix}/batch/{given}")).problem(404, "NOT_FOUND")
            assert problem["detail"] == "Batch not found"
            problem = (await api.post(f"{prefix}/batch/{given}/cancel")).problem(404, "NOT_FOUND")
            assert problem["detail"] == "Batch not found"


# -- what is refused ----------------------------------------------------------------------------------------

ITEM = [{"query": "x"}]
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"agent_name": None}, "agent_name", ""),
    ({"agent_name": "nobody"}, "agent_name", "Agent 'nobody' not found"),
    ({"batch_inputs": None}, "batch_inputs", "a list of objects"),
    ({"batch_inputs": 5}, "batch_inputs", "a list of objects"),
    ({"batch_inputs": {"query": "x"}}, "batch_inputs", "a list of objects"),
    ({"batch_inputs": []}, "batch_inputs", "At least one item"),
    ({"batch_inputs": ""}, "batch_inputs", "At least one item"),
    ({"batch_inputs": [{"query": "x"}, "y"]}, "batch_inputs.1", "object"),
    ({"batch_inputs": [None]}, "batch_inputs.0", "object"),
    ({"batch_inputs": "query\n"}, "batch_inputs", "no rows"),
    ({"batch_inputs": "query\n\n\r\n"}, "batch_inputs", "no rows"),
    ({"batch_inputs": "\n"}, "batch_inputs", "headings"),
    ({"batch_inputs": ",\nx,y"}, "batch_inputs", "headings"),
    ({"batch_inputs": "query,query\nx,y"}, "batch_inputs", "twice"),
    ({"batch_inputs": "query\nx,y"}, "batch_inputs", "Line 2 has 2 cells for 1 headings"),
    ({"batch_inputs": 'query\n"x"y\n'}, "batch_inputs", "Line 2 is no CSV"),
    ({"batch_inputs": 'query\n"x\n'}, "batch_inputs", "no CSV"),
    ({"batch_inputs": "a,b\nx,y"}, "batch_inputs", "takes no field a, b; there are query"),
    ({"batch_inputs": "items.csv"}, "batch_inputs", "batch.dir"),
    ({"input_mapping": []}, "input_mapping", ""),
    ({"input_mapping": {"q": 5}}, "input_mapping.q", ""),
    ({"input_mapping": {"q": "qury"}}, "input_mapping.q", "did you mean query"),
    ({"input_mapping": {"a": "query", "b": "query"}}, "input_mapping.b", "a becomes query"),
    ({"input_mapping": {"c": "query"}, "batch_inputs": "a\nx"}, "input_mapping.c", "no column c"),
    ({"static_inputs": []}, "static_inputs", ""),
    ({"static_inputs": {"qury": 1}}, "static_inputs.qury", "did you mean query"),
    ({"parallel": "no"}, "parallel", ""),
    ({"parallel": None}, "parallel", ""),
    ({"max_workers": 0}, "max_workers", ""),
    ({"max_workers": 2.5}, "max_workers", ""),
    ({"max_workers": "5"}, "max_workers", ""),
    ({"max_workers": True}, "max_workers", ""),
    ({"max_workers": None}, "max_workers", ""),
    ({"max_workers": 21}, "max_workers", "At most 20 (batch.workers)"),
    ({"use_temporal": True}, "use_temporal", "Must be false or null"),
    ({"use_temporal": 0}, "use_temporal", "Must be false or null"),
    ({"box_results": "x"}, "box_results", ""),
    ({"return_errors": 1}, "return_errors", ""),
    ({"silent_mode": []}, "silent_mode", ""),
    ({"write_to_csv": 5}, "write_to_csv", ""),
    ({"write_to_csv": ""}, "write_to_csv", ""),
    ({"write_to_csv": "out.csv"}, "write_to_csv", "batch.dir"),
    ({"batch_input": ITEM}, "batch_input", "did you mean batch_inputs"),
]


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(("fields", "field", "said"), REFUSED)
async def test_what_is_refused_names_its_field_and_stores_nothing(
    api: Served, prefix: str, fields: Any, field: str, said: str
) -> None:
    body = {"agent_name": "my_agent", "batch_inputs": ITEM, **fields}
    problem = (await api.post(f"{prefix}/run/batch", body)).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field
    assert said in problem["details"]["issue"]
    assert await total(api, "correlations") == 0


async def test_problems_without_end_are_not_all_listed(api: Served) -> None:
    for field in ("input_mapping", "static_inputs"):
        body = {"agent_name": "my_agent", "batch_inputs": [{}], field: {f"k{n}": "none" for n in range(500)}}
        errors = (await api.post("/run/batch", body)).problem(400, "INVALID_INPUT")["details"]["errors"]
        assert [error["field"] for error in errors] == [f"{field}.k{n}" for n in range(100)]


@pytest.mark.parametrize("missing", ["agent_name", "batch_inputs"])
async def test_what_is_required(api: Served, missing: str) -> None:
    body = {"agent_name": "my_agent", "batch_inputs": ITEM}
    del body[missing]
    assert (await api.post("/run/batch", body)).problem(400, "INVALID_INPUT")["details"]["field"] == missing


@pytest.mark.parametrize("items", [[{"query": "x"}] * 301, "query\n" + "x\n" * 301])
async def test_too_many_items(api: Served, items: Any) -> None:
    body = {"agent_name": "my_agent", "batch_inputs": items}
    problem = (await api.post("/run/batch", body)).problem(413, "TOO_LARGE")
    assert "At most 300 items (batch.items)" in problem["detail"]
    assert await total(api, "correlations") == 0


# -- again --------------------------------------------------------------------------------------------------


async def test_many_requests_with_one_key_are_one_batch(api: Served) -> None:
    body = {"agent_name": "my_agent", "batch_inputs": "query\nx\ny\n", "max_workers": 1}
    answers = await asyncio.gather(*(api.post("/run/batch", body, KEY) for _ in range(10)))
    batch = answers[0].ok()
    await api.ended(batch["batch_id"])
    answers.append(await api.post("/run/batch", body, KEY))
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await total(api, "correlations", dialect="batches") == 1
    assert await total(api, "runs") == 2
    body["max_workers"] = 2
    (await api.post("/run/batch", body, KEY)).problem(422, "IDEMPOTENCY_MISMATCH")


async def test_the_callers_id_is_the_batchs(api: Served) -> None:
    given = {"X-Correlation-ID": str(uuid4())}
    body = {"agent_name": "my_agent", "batch_inputs": ITEM}
    assert (await api.post("/run/batch", body, given)).ok()["batch_id"] == given["X-Correlation-ID"]
    (await api.post("/run/batch", body, given)).problem(409, "CONFLICT")


async def test_a_restart_in_the_middle(serve: Serve, api: Served, gate: Gate) -> None:
    items = [{"n": n} for n in range(20)]
    batch = await start(api, "holder", items, max_workers=3)
    gate.permit(7)
    await gate.until_entered(10)
    before = await get(api, batch)
    await api.stop()
    after_gate = Gate(permits=20)
    after = await serve(make_flock(after_gate))
    await after.ended(batch["batch_id"])
    end = await get(after, batch)
    assert before["completed_items"] == 7
    assert (end["status"], end["results"], end["failed_items"]) == ("completed", items, 0)
    assert sorted(after_gate.entered) == sorted(
        set(range(20)) - {one["n"] for one in before["results"] if one}
    )
    assert after_gate.most_inside <= 3
    assert (await after.get("/api/v1/artifacts?type=Freed")).ok()["pagination"]["total"] == 20
