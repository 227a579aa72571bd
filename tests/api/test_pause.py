"""Pausing and resuming workflows and agents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flockd.api.keys import DAEMON

from .conftest import Api
from .flocks import Gate

CORRELATIONS = "/api/v1/correlations"
AGENTS = "/api/v1/agents"


async def agent(api: Api, name: str) -> Any:
    (found,) = [one for one in (await api.get(AGENTS)).ok()["agents"] if one["name"] == name]
    return found


async def runs(api: Api, correlation_id: str) -> list[tuple[str, str]]:
    found = (await api.get(f"/api/v1/runs?correlation_id={correlation_id}")).ok()["runs"]
    return [(run["agent"], run["state"]) for run in reversed(found)]


async def test_a_paused_workflow_waits(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    path = f"{CORRELATIONS}/{correlation_id}"
    paused = (await api.post(f"{path}/pause")).ok()
    assert (paused["state"], paused["paused"]) == ("active", True)
    assert (await api.post(f"{path}/pause")).ok() == paused
    assert (await api.get(f"{path}/status")).ok() == {**paused, "unjoined": []}
    await api.publish("Order", {"n": 1}, correlation_id=correlation_id)
    assert await runs(api, correlation_id) == [("holder", "running"), ("clerk", "ready")]
    resumed = (await api.post(f"{path}/resume")).ok()
    assert (resumed["state"], resumed["paused"]) == ("active", False)
    gate.opened.set()
    await api.event(correlation_id, "correlation.completed")
    assert await runs(api, correlation_id) == [
        ("holder", "completed"),
        ("clerk", "completed"),
        ("archivist", "completed"),
    ]


async def test_one_that_is_over_stays_as_it_is(api: Api) -> None:
    path = f"{CORRELATIONS}/{(await api.sync('Receipt', {'n': 1}))['correlation_id']}"
    before = (await api.get(f"{path}/status")).ok()
    for verb in ("pause", "resume"):
        assert (await api.post(f"{path}/{verb}")).ok() | {"unjoined": []} == before


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "abc"])
async def test_a_workflow_that_nobody_began(api: Api, unknown: str) -> None:
    for verb in ("pause", "resume"):
        problem = (await api.post(f"{CORRELATIONS}/{unknown}/{verb}")).problem(404, "NOT_FOUND")
        assert problem["detail"] == f"Correlation not found: {unknown}"


async def test_a_paused_agent_waits(api: Api) -> None:
    assert (await agent(api, "clerk"))["status"] == "idle"
    paused = (await api.post(f"{AGENTS}/Clerk/pause")).ok()
    assert (paused["name"], paused["status"]) == ("clerk", "paused")
    assert (await api.post(f"{AGENTS}/clerk/pause")).ok() == paused
    assert await agent(api, "clerk") == paused
    correlation_id = (await api.publish("Order"))["correlation_id"]
    assert await runs(api, correlation_id) == [("clerk", "ready")]
    assert await agent(api, "clerk") == {**paused, "queued": 1}
    assert (await agent(api, "archivist"))["status"] == "idle"
    assert (await api.post(f"{AGENTS}/clerk/resume")).ok()["status"] in ("idle", "running")
    await api.event(correlation_id, "correlation.completed")
    assert await runs(api, correlation_id) == [("clerk", "completed"), ("archivist", "completed")]
    assert (await api.post(f"{AGENTS}/clerk/resume")).ok()["status"] == "idle"


async def test_what_runs_goes_on_under_a_pause(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    paused = (await api.post(f"{AGENTS}/holder/pause")).ok()
    assert (paused["status"], paused["running"]) == ("paused", 1)
    gate.opened.set()
    await api.event(correlation_id, "correlation.completed")
    assert await runs(api, correlation_id) == [("holder", "completed")]


async def test_an_agent_that_is_not_here(api: Api) -> None:
    for verb in ("pause", "resume"):
        problem = (await api.post(f"{AGENTS}/nobody/{verb}")).problem(404, "NOT_FOUND")
        assert problem["detail"] == "Agent not found: nobody"


async def test_pauses_are_told(api: Api) -> None:
    (await api.post(f"{AGENTS}/clerk/pause")).ok()
    (await api.post(f"{AGENTS}/clerk/resume")).ok()
    path = "/api/v1/events?from=start&kind=agent.paused&kind=agent.resumed"
    found: list[bytes] = []
    async with asyncio.timeout(10), api.client.get(path) as response:
        async for line in response.content:
            if line.startswith(b"event: agent."):
                found.append(line.split()[1])
            if len(found) == 2:
                break
    assert found == [b"agent.paused", b"agent.resumed"]


async def test_while_it_drains_pausing_works_and_nothing_starts(api: Api, gate: Gate) -> None:
    """As cancelling: both make less work, or none before the next start; once all is stored, they are 503s."""
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    path = f"{CORRELATIONS}/{correlation_id}"
    (await api.post(f"{path}/pause")).ok()
    daemon = api.client.app[DAEMON]  # type: ignore[union-attr]
    async with asyncio.timeout(10):
        draining = asyncio.create_task(daemon.drain())  # type: ignore[attr-defined]
        (await api.get("/ready")).problem(503, "UNAVAILABLE")
        answers = [(await api.post(f"{path}/{verb}")) for verb in ("resume", "pause", "resume")]
        await draining
    for answer in answers:
        if answer.status != 200:
            answer.problem(503, "UNAVAILABLE")
    (await api.post(f"{path}/resume")).problem(503, "UNAVAILABLE")
    assert await runs(api, correlation_id) == [("holder", "ready")]
