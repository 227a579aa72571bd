"""POST /api/v1/artifacts/sync."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from flockd.board.publish import Publish, RunAgent

from .conftest import Api
from .flocks import Gate

PATH = "/api/v1/artifacts/sync"


async def test_it_answers_what_agents_made_of_it(api: Api) -> None:
    answer = await api.sync("Order", {"n": 3})
    assert list(answer) == ["correlation_id", "artifacts", "completed", "duration_ms", "state", "errors"]
    made = [(one["type"], one["produced_by"], one["payload"]) for one in answer["artifacts"]]
    assert made == [("Receipt", "clerk", {"n": 3}), ("Chained", "archivist", {"n": 3})]
    assert (answer["completed"], answer["state"], answer["errors"]) == (True, "completed", [])
    assert answer["duration_ms"] >= 0


@pytest.mark.parametrize(
    ("filters", "types"),
    [
        ({"type_names": ["Chained"]}, ["Chained"]),
        ({"produced_by": ["clerk"]}, ["Receipt"]),
        ({"type_names": ["Chained"], "produced_by": ["clerk"]}, []),
        ({"type_names": ["Chained", "Receipt"]}, ["Receipt", "Chained"]),
        ({}, ["Receipt", "Chained"]),
    ],
)
async def test_filters_choose_what_is_shown(api: Api, filters: Any, types: list[str]) -> None:
    answer = await api.sync("Order", filters=filters)
    assert [one["type"] for one in answer["artifacts"]] == types


async def test_it_waits_for_its_own_workflow_only(api: Api, gate: Gate) -> None:
    await api.publish("Held")
    await gate.until_reached()
    assert (await api.sync("Order"))["completed"] is True


async def test_an_agent_that_fails_is_an_answer(api: Api) -> None:
    answer = await api.sync("Doomed", {"why": "rain"})
    assert (answer["completed"], answer["state"], answer["artifacts"]) == (True, "failed", [])
    ((agent, error),) = [(one["agent"], one["error"]) for one in answer["errors"]]
    assert agent == "loser"
    assert "it failed: rain" in error


async def test_at_the_timeout_the_work_goes_on(api: Api, gate: Gate) -> None:
    answer = await api.sync("Held", timeout=1)
    assert (answer["completed"], answer["state"], answer["artifacts"]) == (False, "active", [])
    assert answer["duration_ms"] >= 1000
    gate.opened.set()
    later = await api.sync("Left", correlation_id=answer["correlation_id"])
    assert later["correlation_id"] == answer["correlation_id"]
    assert later["completed"] is True


async def test_the_next_round_shows_its_own_artifacts(api: Api) -> None:
    correlation_id = str(uuid4())
    await api.sync("Order", {"n": 1}, correlation_id=correlation_id)
    second = await api.sync("Order", {"n": 2}, correlation_id=correlation_id)
    assert [one["payload"]["n"] for one in second["artifacts"]] == [2, 2]


async def test_one_that_joins_a_running_round_gets_all_of_it(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held", {"n": 1}))["correlation_id"]
    await gate.until_reached()
    waiter = asyncio.create_task(api.sync("Order", {"n": 2}, correlation_id=correlation_id))
    while (await api.get(f"/api/v1/correlations/{correlation_id}/status")).ok()["artifact_count"] < 4:
        pass
    gate.opened.set()
    assert sorted(one["type"] for one in (await waiter)["artifacts"]) == ["Chained", "Freed", "Receipt"]


@pytest.mark.parametrize("timeout", [0, 0.99, 300.01, -1, "30", None, True])
async def test_a_timeout_out_of_bounds_is_refused(api: Api, timeout: Any) -> None:
    problem = (await api.post(PATH, {"type": "Order", "timeout": timeout})).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == "timeout"


async def test_a_misspelt_filter_is_named(api: Api) -> None:
    body = {"type": "Order", "filters": {"type_name": ["Receipt"]}}
    problem = (await api.post(PATH, body)).problem(400, "INVALID_INPUT")
    assert problem["detail"] == "filters.type_name: Unknown field; did you mean type_names?"


@pytest.mark.parametrize(
    ("command", "path", "body"),
    [
        (Publish, PATH, {"type": "Order"}),
        (RunAgent, "/api/v1/agents/clerk/run", {"inputs": [{"type": "Order"}]}),
        (RunAgent, "/run/agent", {"agent_name": "clerk", "inputs": {"n": 1}}),
    ],
)
async def test_only_a_workflow_that_somebody_named_is_looked_up(
    api: Api, monkeypatch: pytest.MonkeyPatch, command: Any, path: str, body: dict[str, Any]
) -> None:
    looked_up: list[tuple[str, ...]] = []
    needs = command.needs

    def watched(self: Any) -> Any:
        looked_up.append(needs(self).correlations)
        return needs(self)

    monkeypatch.setattr(command, "needs", watched)
    named = str(uuid4())
    (await api.post(path, body)).ok()
    (await api.post(path, body, headers={"X-Correlation-ID": named})).ok()
    assert looked_up == [(), (named,)]
