"""Runs: list, detail, cancel, retry."""

from __future__ import annotations

import pytest

from .conftest import TIME, Api
from .flocks import Gate

PATH = "/api/v1/runs"
DOCUMENT = {
    "id", "agent", "correlation_id", "state", "attempt", "priority", "created_at", "started_at",
    "completed_at", "due_at", "error", "inputs", "outputs", "output_text", "usage",
}  # fmt: skip


async def test_the_list_is_newest_first(api: Api) -> None:
    answer = await api.sync("Order", priority="low")
    page = (await api.get(PATH)).ok()
    assert [run["agent"] for run in page["runs"]] == ["archivist", "clerk"]
    assert (page["total"], page["limit"], page["offset"]) == (2, 50, 0)
    run = page["runs"][1]
    assert set(run) >= DOCUMENT
    assert (run["state"], run["attempt"], run["priority"], run["error"]) == ("completed", 1, "low", None)
    assert run["outputs"] == [answer["artifacts"][0]["id"]]
    assert all(TIME.fullmatch(run[moment]) for moment in ("created_at", "started_at", "completed_at"))
    assert (await api.get(f"{PATH}/{run['id']}")).ok() == run


async def test_filters(api: Api) -> None:
    one = await api.sync("Order")
    await api.sync("Doomed")
    for spelling in ("clerk", "Clerk"):
        assert (await api.get(f"{PATH}?agent={spelling}")).ok()["total"] == 1
    assert (await api.get(f"{PATH}?correlation_id={one['correlation_id']}")).ok()["total"] == 2
    dead = (await api.get(f"{PATH}?state=dead")).ok()["runs"]
    assert [(run["agent"], run["completed_at"] is not None) for run in dead] == [("loser", True)]
    assert "it failed" in dead[0]["error"]["message"]
    assert (await api.get(f"{PATH}?agent=nobody")).ok()["runs"] == []
    assert len((await api.get(f"{PATH}?limit=1&offset=2")).ok()["runs"]) == 1


async def test_cancel(api: Api, gate: Gate) -> None:
    await api.publish("Held")
    await gate.until_reached()
    (run,) = (await api.get(PATH)).ok()["runs"]
    cancelled = (await api.post(f"{PATH}/{run['id']}/cancel")).ok()
    assert (cancelled["id"], cancelled["state"]) == (run["id"], "cancelled")
    assert (await api.post(f"{PATH}/{run['id']}/cancel")).ok() == cancelled
    state = (await api.get(f"/api/v1/correlations/{run['correlation_id']}/status")).ok()
    assert (state["state"], state["outcome"]) == ("failed", "cancelled")


async def test_retry_is_for_dead_ones(api: Api) -> None:
    failed = await api.sync("Doomed")
    (run,) = (await api.get(f"{PATH}?state=dead")).ok()["runs"]
    again = (await api.post(f"{PATH}/{run['id']}/retry")).ok()
    assert again["id"] == run["id"]
    assert again["state"] in {"ready", "running"}
    await api.sync("Receipt", {"n": 1}, correlation_id=failed["correlation_id"])
    assert (await api.get(f"/api/v1/correlations/{failed['correlation_id']}/status")).ok()["round"] >= 2
    await api.sync("Order")
    (clerk,) = (await api.get(f"{PATH}?agent=clerk")).ok()["runs"]
    (await api.post(f"{PATH}/{clerk['id']}/retry")).problem(409, "CONFLICT")


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "abc"])
async def test_what_is_not_there(api: Api, unknown: str) -> None:
    for answer in (
        await api.get(f"{PATH}/{unknown}"),
        await api.post(f"{PATH}/{unknown}/cancel"),
        await api.post(f"{PATH}/{unknown}/retry"),
    ):
        assert unknown in answer.problem(404, "NOT_FOUND")["detail"]


@pytest.mark.parametrize(
    "query", ["state=failed", "limit=501", "offset=101", "correlation_id=abc", "agents=x"]
)
async def test_a_bad_query(api: Api, query: str) -> None:
    (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
