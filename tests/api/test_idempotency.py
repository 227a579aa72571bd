"""Idempotency keys on every route that publishes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd import Flock
from flockd.app import make_app
from flockd.config import Config

from .conftest import Api
from .flocks import Gate

PUBLISHING: dict[str, Any] = {
    "/api/v1/artifacts": {"type": "Order", "payload": {"n": 1, "note": "x"}},
    "/api/v1/artifacts/sync": {"type": "Order", "payload": {"n": 1, "note": "x"}},
    "/api/v1/artifacts/bulk": {"items": [{"type": "Order", "payload": {"n": 1, "note": "x"}}]},
    "/api/v1/agents/clerk/run": {"inputs": [{"type": "Order", "payload": {"n": 1, "note": "x"}}]},
}
KEY = {"X-Idempotency-Key": "order 17/a"}


async def orders(api: Api) -> int:
    return int((await api.get("/api/v1/artifacts?type=Order")).ok()["pagination"]["total"])


@pytest.mark.parametrize(("path", "body"), PUBLISHING.items())
async def test_the_same_request_again(api: Api, path: str, body: Any) -> None:
    first = await api.post(path, body, KEY)
    assert "Idempotency-Replayed" not in first.headers
    for _ in range(2):
        again = await api.post(path + "/", body, KEY)
        assert again.ok() == first.ok()
        assert again.headers["Idempotency-Replayed"] == "true"
    assert await orders(api) == 1


@pytest.mark.parametrize(("path", "body"), PUBLISHING.items())
async def test_many_at_once_are_one(api: Api, path: str, body: Any) -> None:
    answers = await asyncio.gather(*(api.post(path, body, KEY) for _ in range(20)))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert answers[0].status == 200
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await orders(api) == 1


@pytest.mark.parametrize(("path", "body"), PUBLISHING.items())
async def test_another_body_is_refused(api: Api, path: str, body: Any) -> None:
    (await api.post(path, body, KEY)).ok()
    other = {"items": [{"type": "Order"}]} if "items" in body else {**body, "correlation_id": None}
    (await api.post(path, other, KEY)).problem(422, "IDEMPOTENCY_MISMATCH")
    assert await orders(api) == 1


async def test_spaces_and_order_do_not_make_another_body(api: Api) -> None:
    one, two = b'{"type":"Order","payload":{"n":1}}', b'{ "payload": {"n": 1}, "type": "Order" }'
    headers = {**KEY, "Content-Type": "application/json"}
    first = await api.request("POST", "/api/v1/artifacts", data=one, headers=headers)
    again = await api.request("POST", "/api/v1/artifacts", data=two, headers=headers)
    assert again.ok() == first.ok()


async def test_a_key_belongs_to_its_path(api: Api) -> None:
    body = {"type": "Order"}
    one = (await api.post("/api/v1/artifacts", body, KEY)).ok()
    two = (await api.post("/api/v1/artifacts/sync", body, KEY)).ok()
    assert one["correlation_id"] != two["correlation_id"]


async def test_either_header_but_not_two_keys(api: Api) -> None:
    body = {"type": "Order"}
    first = (await api.post("/api/v1/artifacts", body, {"X-Idempotency-Key": "k"})).ok()
    assert (await api.post("/api/v1/artifacts", body, {"Idempotency-Key": "k"})).ok() == first
    both = {"X-Idempotency-Key": "k", "Idempotency-Key": "k"}
    assert (await api.post("/api/v1/artifacts", body, both)).ok() == first
    both["Idempotency-Key"] = "other"
    (await api.post("/api/v1/artifacts", body, both)).problem(400, "INVALID_INPUT")


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ"])
async def test_what_cannot_be_a_key(api: Api, key: str) -> None:
    answer = await api.post("/api/v1/artifacts", {"type": "Order"}, {"X-Idempotency-Key": key})
    assert answer.problem(400, "INVALID_INPUT")["details"]["field"] == "X-Idempotency-Key"


async def test_errors_are_not_kept(api: Api) -> None:
    (await api.post("/api/v1/artifacts", {"type": "Oder"}, KEY)).problem(400, "INVALID_INPUT")
    (await api.post("/api/v1/artifacts", {"type": "Order"}, KEY)).ok()


@pytest.mark.parametrize(("path", "body"), PUBLISHING.items())
async def test_an_answer_stays_although_its_request_would_be_refused_by_now(
    api: Api, config: Config, aiohttp_client: AiohttpClient, path: str, body: Any
) -> None:
    """The type and the agent are gone since the last start."""
    first = (await api.post(path + "?atomic=true" * ("bulk" in path), body, KEY)).ok()
    await api.client.close()
    later = Api(await aiohttp_client(make_app(config, Flock(name="api-tests"))))
    again = await later.post(path + "?atomic=true" * ("bulk" in path), body, KEY)
    assert (again.ok(), again.headers["Idempotency-Replayed"]) == (first, "true")
    for other_body, key in ((body, {"X-Idempotency-Key": "new"}), ({**body, "x": 1}, KEY), (body, {})):
        refused = await later.post(path, other_body, key)
        assert refused.status in (400, 404) or refused.ok()["accepted"] == 0


async def test_a_failed_run_frees_its_key(api: Api) -> None:
    body = {"inputs": [{"type": "Doomed"}]}
    first = (await api.post("/api/v1/agents/loser/run", body, KEY)).problem(500, "AGENT_FAILED")
    again = (await api.post("/api/v1/agents/loser/run", body, KEY)).problem(500, "AGENT_FAILED")
    assert first["details"]["run_id"] != again["details"]["run_id"]


async def test_a_failed_workflow_is_an_answer_and_is_kept(api: Api) -> None:
    first = await api.post("/api/v1/artifacts/sync", {"type": "Doomed"}, KEY)
    again = await api.post("/api/v1/artifacts/sync", {"type": "Doomed"}, KEY)
    assert (first.ok()["state"], again.ok()) == ("failed", first.ok())


async def test_a_timeout_is_not_kept(api: Api, gate: Gate) -> None:
    body = {"type": "Held", "timeout": 1}
    early = (await api.post("/api/v1/artifacts/sync", body, KEY)).ok()
    assert early["completed"] is False
    gate.opened.set()
    late = (await api.post("/api/v1/artifacts/sync", body, KEY)).ok()
    assert (late["completed"], late["correlation_id"]) == (True, early["correlation_id"])
    assert [one["type"] for one in late["artifacts"]] == ["Freed"]


async def test_a_run_past_its_timeout_is_taken_up_again(api: Api, gate: Gate) -> None:
    body = {"inputs": [{"type": "Held"}], "timeout": 1}
    early = (await api.post("/api/v1/agents/holder/run", body, KEY)).problem(504, "TIMEOUT")
    gate.opened.set()
    late = (await api.post("/api/v1/agents/holder/run", body, KEY)).ok()
    assert late["run_id"] == early["details"]["run_id"]
    assert (await api.get("/api/v1/runs")).ok()["total"] == 1
