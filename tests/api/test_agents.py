"""Agents: the list, running one, its history."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import jsonschema
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd import BatchSpec, Flock, JoinSpec
from flockd.app import make_app
from flockd.config import Config

from .conftest import Api
from .flocks import Gate, Order, Receipt

PATH = "/api/v1/agents"
PLAIN = {"where": None, "from_agents": [], "tags": [], "join": None, "batch": None}
"""What a subscription says that takes any artifact of its types as it comes."""


async def test_the_list_tells_who_is_here(api: Api) -> None:
    agents = {agent["name"]: agent for agent in (await api.get(PATH)).ok()["agents"]}
    assert list(agents) == sorted(agents)
    assert agents["clerk"] == {
        "name": "clerk",
        "description": "Writes receipts.",
        "subscriptions": [{"types": ["Order"], "mode": "all", **PLAIN}],
        "outputs": ["Receipt"],
        "kind": "function",
        "labels": [],
        "tenant": None,
        "priority": None,
        "max_concurrency": 64,
        "concurrency_key": None,
        "rate": None,
        "retries": 0,
        "timeout_seconds": 600.0,
        "status": "idle",
        "running": 0,
        "queued": 0,
        "input_schema": agents["clerk"]["input_schema"],
        "output_schema": agents["clerk"]["output_schema"],
    }
    assert agents["matcher"]["subscriptions"] == [{"types": ["Left", "Right"], "mode": "all", **PLAIN}]
    assert agents["either"]["subscriptions"] == [{"types": ["Left", "Right"], "mode": "any", **PLAIN}]
    assert (agents["either"]["labels"], agents["either"]["output_schema"]) == (["cleared"], None)
    jsonschema.validate({"n": 1}, agents["clerk"]["output_schema"])
    jsonschema.validate({"Left": {}, "Right": {}}, agents["matcher"]["input_schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"Left": {}}, agents["matcher"]["input_schema"])


async def test_the_list_tells_what_wakes_them_and_how_they_run(
    aiohttp_client: AiohttpClient, config: Config
) -> None:
    flock = Flock(name="declared")

    @flock.agent(
        where="n > `1`", from_agents=["external"], tags=["b", "a"], concurrency_key="note", rate="10/1m",
        retries=2, timeout="5s", priority="high", max_concurrency=3,
    )  # fmt: skip
    async def strict(order: Order) -> None:
        """Particular."""

    @flock.agent(where=lambda left: True, join=JoinSpec(by={"Order": "n", "Receipt": "n"}, within="1h"))
    async def joins(order: Order, receipt: Receipt) -> None:
        """Pairs."""

    @flock.agent(batch=BatchSpec(size=5, timeout="30s", by="n"))
    async def gathers(orders: list[Order]) -> None:
        """Many at once."""

    api = Api(await aiohttp_client(make_app(config, flock)))
    agents = {agent["name"]: agent for agent in (await api.get(PATH)).ok()["agents"]}
    options = ("priority", "max_concurrency", "concurrency_key", "rate", "retries", "timeout_seconds")
    assert [agents["strict"][option] for option in options] == [
        "high", 3, "note", {"starts": 10, "period_seconds": 60}, 2, 5,
    ]  # fmt: skip
    (taken,), (joined,), (batch,) = (agents[name]["subscriptions"] for name in ("strict", "joins", "gathers"))
    assert (taken["where"], taken["from_agents"], taken["tags"]) == ("n > `1`", ["external"], ["a", "b"])
    assert joined["join"] == {"by": {"Order": "n", "Receipt": "n"}, "within_seconds": 3600}
    assert (joined["where"].rpartition(".")[2], joined["batch"]) == ("<lambda>", None)
    assert (batch["batch"], batch["join"]) == ({"size": 5, "timeout_seconds": 30, "by": "n"}, None)


async def test_the_list_tells_who_is_busy(api: Api, gate: Gate) -> None:
    await api.publish("Held")
    await gate.until_reached()
    (holder,) = [one for one in (await api.get(PATH)).ok()["agents"] if one["name"] == "holder"]
    assert (holder["status"], holder["running"], holder["queued"]) == ("running", 1, 0)


async def test_a_direct_run_wakes_nobody_else(api: Api) -> None:
    body = {"inputs": [{"type": "Order", "payload": {"n": 4}, "tags": ["x"]}]}
    answer = (await api.post(f"{PATH}/clerk/run", body)).ok()
    assert list(answer) == ["artifacts", "correlation_id", "run_id"]
    (receipt,) = answer["artifacts"]
    assert (receipt["type"], receipt["payload"], receipt["run_id"]) == ("Receipt", {"n": 4}, answer["run_id"])
    board = (await api.get(f"/api/v1/artifacts?correlation_id={answer['correlation_id']}")).ok()["items"]
    assert [one["type"] for one in board] == ["Order", "Receipt"]
    run = (await api.get(f"/api/v1/runs/{answer['run_id']}")).ok()
    assert (run["agent"], run["state"], run["outputs"]) == ("clerk", "completed", [receipt["id"]])


async def test_with_cascade_others_go_on(api: Api) -> None:
    body = {
        "inputs": [{"type": "Order"}],
        "cascade": True,
        "priority": "high",
        "correlation_id": str(uuid4()),
    }
    answer = (await api.post(f"{PATH}/clerk/run", body)).ok()
    assert [one["type"] for one in answer["artifacts"]] == ["Receipt", "Chained"]
    assert answer["correlation_id"] == body["correlation_id"]


async def test_an_agent_with_two_inputs(api: Api) -> None:
    body = {"inputs": [{"type": "Right"}, {"type": "Left"}]}
    answer = (await api.post(f"{PATH}/matcher/run", body)).ok()
    assert [one["type"] for one in answer["artifacts"]] == ["Pair"]


async def test_an_agent_that_fails(api: Api) -> None:
    body = {"inputs": [{"type": "Doomed", "payload": {"why": "rain"}}]}
    problem = (await api.post(f"{PATH}/loser/run", body)).problem(500, "AGENT_FAILED")
    assert "it failed: rain" in problem["detail"]
    assert "Traceback" not in problem["detail"]
    run = (await api.get(f"/api/v1/runs/{problem['details']['run_id']}")).ok()
    assert (run["state"], run["correlation_id"]) == ("dead", problem["details"]["correlation_id"])


async def test_a_run_that_is_cancelled_while_somebody_waits(api: Api, gate: Gate) -> None:
    waiter = asyncio.create_task(api.post(f"{PATH}/holder/run", {"inputs": [{"type": "Held"}]}))
    await gate.until_reached()
    (run,) = (await api.get("/api/v1/runs?state=running")).ok()["runs"]
    (await api.post(f"/api/v1/runs/{run['id']}/cancel")).ok()
    problem = (await waiter).problem(500, "AGENT_FAILED")
    assert (problem["detail"], problem["details"]["run_id"]) == ("Cancelled", run["id"])


async def test_past_the_timeout_the_run_goes_on(api: Api, gate: Gate) -> None:
    body = {"inputs": [{"type": "Held"}], "timeout": 1}
    problem = (await api.post(f"{PATH}/holder/run", body)).problem(504, "TIMEOUT")
    ids = problem["details"]
    assert (await api.get(f"/api/v1/runs/{ids['run_id']}")).ok()["state"] == "running"
    gate.opened.set()
    done = await api.sync("Left", correlation_id=ids["correlation_id"])
    assert done["completed"] is True


async def test_what_cannot_be_run(api: Api) -> None:
    body = {"inputs": [{"type": "Order"}]}
    problem = (await api.post(f"{PATH}/nobody/run", body)).problem(404, "NOT_FOUND")
    assert problem["detail"] == "Agent not found: nobody"
    for bad in ({}, {"inputs": []}, {"inputs": [{"type": "Left"}]}, {"inputs": [{"type": "Order"}] * 2}):
        (await api.post(f"{PATH}/clerk/run", bad)).problem(400, "INVALID_INPUT")
    invalid = {"inputs": [{"type": "Order", "payload": {"n": "x"}}]}
    (await api.post(f"{PATH}/clerk/run", invalid)).problem(400, "INVALID_INPUT")
    assert (await api.get("/api/v1/runs")).ok()["total"] == 0


async def test_a_direct_run_stays_out_of_others_work(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    body = {"inputs": [{"type": "Order"}], "correlation_id": correlation_id}
    (await api.post(f"{PATH}/clerk/run", body)).problem(409, "CONFLICT")


async def test_history(api: Api) -> None:
    for _ in range(2):
        await api.sync("Order", tags=["x"])
    answer = (await api.get(f"{PATH}/Clerk/history-summary?from=2020-01-01")).ok()
    assert answer["agent_id"] == "clerk"
    history = answer["summary"]
    assert history["total_executions"] == 2
    assert (history["total_artifacts_consumed"], history["total_artifacts_produced"]) == (2, 2)
    assert history["produced"] == {"total": 2, "by_type": {"Receipt": 2}}
    assert history["consumed"] == {"total": 2, "by_type": {"Order": 2}}
    assert sum(history["execution_timeline"].values()) == 2
    assert all(hour.endswith(":00:00Z") for hour in history["execution_timeline"])
    problem = (await api.get(f"{PATH}/nobody/history-summary")).problem(404, "NOT_FOUND")
    assert problem["detail"] == "Agent not found: nobody"
