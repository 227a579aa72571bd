"""Correlations: status, list, cancel."""

from __future__ import annotations

import pytest

from .conftest import TIME, Api
from .flocks import Gate

PATH = "/api/v1/correlations"


async def status(api: Api, correlation_id: str) -> dict[str, object]:
    found: dict[str, object] = (await api.get(f"{PATH}/{correlation_id}/status")).ok()
    return found


async def test_status_follows_the_work(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    active = await status(api, correlation_id)
    assert (active["state"], active["has_pending_work"], active["artifact_count"]) == ("active", True, 1)
    assert active["completed_at"] is None
    gate.opened.set()
    await api.sync("Receipt", {"n": 1}, correlation_id=correlation_id)
    done = await status(api, correlation_id)
    assert (done["state"], done["has_pending_work"], done["error_count"]) == ("completed", False, 0)
    assert TIME.fullmatch(str(done["completed_at"]))


async def test_status_of_what_failed(api: Api) -> None:
    answer = await api.sync("Doomed")
    failed = await status(api, answer["correlation_id"])
    assert (failed["state"], failed["error_count"], failed["outcome"]) == ("failed", 1, None)


async def test_status_lists_what_waits_for_a_partner(api: Api) -> None:
    published = await api.publish("Left")
    assert (await status(api, published["correlation_id"]))["unjoined"] == [
        {"agent": "matcher", "artifacts": [published["artifact_id"]]}
    ]


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "not-a-uuid"])
async def test_status_of_what_nobody_began(api: Api, unknown: str) -> None:
    known = await status(api, (await api.publish("Receipt", {"n": 1}))["correlation_id"])
    absent = await status(api, unknown)
    assert list(absent) == list(known)
    assert (absent["state"], absent["correlation_id"]) == ("not_found", unknown)
    assert (absent["has_pending_work"], absent["artifact_count"], absent["error_count"]) == (False, 0, 0)
    assert (absent["started_at"], absent["last_activity_at"]) == (None, None)


async def test_the_list_is_newest_first(api: Api) -> None:
    made = [(await api.sync(kind))["correlation_id"] for kind in ("Order", "Doomed", "Order")]
    answer = (await api.get(PATH)).ok()
    assert [one["id"] for one in answer["correlations"]] == made[::-1]
    assert (answer["total"], answer["limit"], answer["offset"]) == (3, 50, 0)
    failed = (await api.get(f"{PATH}?state=failed")).ok()
    assert [one["id"] for one in failed["correlations"]] == [made[1]]
    assert (await api.get(f"{PATH}?state=active")).ok()["correlations"] == []
    assert (await api.get(f"{PATH}?dialect=native")).ok()["total"] == 3
    assert (await api.get(f"{PATH}?dialect=flows")).ok()["total"] == 0
    assert [one["id"] for one in (await api.get(f"{PATH}?limit=1&offset=1")).ok()["correlations"]] == [
        made[1]
    ]


async def test_the_list_knows_direct_runs_by_name(api: Api) -> None:
    run = (await api.post("/api/v1/agents/clerk/run", {"inputs": [{"type": "Order"}]})).ok()
    named = (await api.get(f"{PATH}?name=clerk")).ok()["correlations"]
    assert [(one["id"], one["name"]) for one in named] == [(run["correlation_id"], "clerk")]


async def test_cancel_ends_it(api: Api, gate: Gate) -> None:
    correlation_id = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    cancelled = (await api.post(f"{PATH}/{correlation_id}/cancel")).ok()
    assert (cancelled["state"], cancelled["outcome"]) == ("failed", "cancelled")
    assert (await api.post(f"{PATH}/{correlation_id}/cancel")).ok() == cancelled
    (run,) = (await api.get(f"/api/v1/runs?correlation_id={correlation_id}")).ok()["runs"]
    assert run["state"] == "cancelled"
    assert [one["id"] for one in (await api.get(f"{PATH}?state=cancelled")).ok()["correlations"]] == [
        correlation_id
    ]


async def test_one_that_is_over_stays_as_it_is(api: Api) -> None:
    answer = await api.sync("Order")
    before = await status(api, answer["correlation_id"])
    (await api.post(f"{PATH}/{answer['correlation_id']}/cancel")).ok()
    assert await status(api, answer["correlation_id"]) == before


@pytest.mark.parametrize("unknown", ["0199c0de-0000-7000-8000-000000000000", "abc"])
async def test_cancelling_what_is_not_there(api: Api, unknown: str) -> None:
    (await api.post(f"{PATH}/{unknown}/cancel")).problem(404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["state=done", "state=not_found", "limit=0", "offset=101", "nme=x"])
async def test_a_bad_query(api: Api, query: str) -> None:
    (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
