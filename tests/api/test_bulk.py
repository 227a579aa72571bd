"""POST /api/v1/artifacts/bulk."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from .conftest import Answer, Api

PATH = "/api/v1/artifacts/bulk"
GOOD = {"type": "Order", "payload": {"n": 1}}
BAD: list[Any] = [
    {"type": "Oder"},
    {"type": "Order", "payload": {"n": "x"}},
    {"type": "Order", "payloads": {}},
    "Order",
]


async def ndjson(api: Api, lines: bytes, query: str = "") -> Answer:
    return await api.request(
        "POST", PATH + query, data=lines, headers={"Content-Type": "application/x-ndjson"}
    )


async def total(api: Api) -> int:
    return int((await api.get("/api/v1/artifacts?type=Order")).ok()["pagination"]["total"])


async def test_each_item_has_its_place(api: Api) -> None:
    answer = (await api.post(PATH, {"items": [GOOD, *BAD]})).ok()
    assert [item["status"] for item in answer["items"]] == ["accepted"] + ["rejected"] * len(BAD)
    assert (answer["accepted"], answer["rejected"]) == (1, len(BAD))
    assert list(answer["items"][0]) == ["status", "artifact_id", "correlation_id", "seq"]
    for item in answer["items"][1:]:
        assert list(item) == ["status", "error", "message", "details"]
        assert item["error"] == "INVALID_INPUT"
    assert answer["items"][3]["details"]["errors"][0]["message"] == "Unknown field; did you mean payload?"
    assert await total(api) == 1


async def test_the_order_of_the_items_is_that_of_the_board(api: Api) -> None:
    answer = (
        await api.post(PATH, {"items": [{"type": "Order", "payload": {"n": n}} for n in range(5)]})
    ).ok()
    seqs = [item["seq"] for item in answer["items"]]
    assert seqs == sorted(seqs)
    items = (await api.get("/api/v1/artifacts?type=Order")).ok()["items"]
    assert [(item["seq"], item["payload"]["n"]) for item in items] == list(zip(seqs, range(5), strict=True))


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_all_or_nothing(api: Api, bad: Any) -> None:
    problem = (await api.post(f"{PATH}?atomic=true", {"items": [GOOD, bad]})).problem(400, "INVALID_INPUT")
    assert "items.1" in problem["detail"]
    assert await total(api) == 0
    assert (await api.post(f"{PATH}?atomic=true", {"items": [GOOD, GOOD]})).ok()["accepted"] == 2


async def test_ndjson(api: Api) -> None:
    lines = b"\n".join([orjson.dumps(GOOD), b"", b"{no json", b'{"type": "Order"}\r', b"[" * 20 + b"]" * 20])
    answer = (await ndjson(api, lines)).ok()
    assert [item["status"] for item in answer["items"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert "Malformed JSON" in answer["items"][1]["message"]
    assert "limits.json_depth" in answer["items"][3]["message"]
    (await ndjson(api, lines, "?atomic=true")).problem(400, "INVALID_INPUT")
    assert await total(api) == 2


async def test_ndjson_and_json_are_one_request_under_a_key(api: Api) -> None:
    key = {"X-Idempotency-Key": "k"}
    first = await api.post(PATH, {"items": [GOOD, BAD[0]]}, key)
    lines = orjson.dumps(GOOD) + b"\n" + orjson.dumps(BAD[0])
    headers = {**key, "Content-Type": "application/x-ndjson"}
    again = await api.request("POST", PATH, data=lines, headers=headers)
    assert again.ok() == first.ok()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await total(api) == 1


async def test_bounds(api: Api) -> None:
    (await api.post(PATH, {"items": [GOOD] * 5})).ok()
    problem = (await api.post(PATH, {"items": [GOOD] * 6})).problem(413, "TOO_LARGE")
    assert "limits.bulk_items" in problem["detail"]
    for empty in ({"items": []}, {}, {"item": [GOOD]}):
        (await api.post(PATH, empty)).problem(400, "INVALID_INPUT")
    (await ndjson(api, b"\n\n")).problem(400, "INVALID_INPUT")
    larger = {"items": [{"type": "Order", "payload": {"note": "x" * 5000}}]}
    assert (await api.post(PATH, larger)).ok()["accepted"] == 1
    problem = (await ndjson(api, b"x" * 20000)).problem(413, "TOO_LARGE")
    assert "limits.bulk_body_bytes" in problem["detail"]
