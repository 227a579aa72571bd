"""Reading artifacts: lists with their filters and cursors, single ones, summaries."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from .conftest import TIME, Api

PATH = "/api/v1/artifacts"
DOCUMENT = [
    "id", "seq", "type", "payload", "produced_by", "run_id", "visibility", "visibility_kind", "created_at",
    "correlation_id", "partition_key", "tags", "version",
]  # fmt: skip


async def notes(api: Api, query: str) -> list[str]:
    """The notes of the orders that a query selects."""
    return [item["payload"]["note"] for item in (await api.get(f"{PATH}?type=Order&{query}")).ok()["items"]]


@pytest.fixture
async def orders(api: Api) -> list[Any]:
    """Four orders, a to d, with what filters look at; their receipts are there."""
    private = {"kind": "Private", "agents": ["clerk", "archivist"]}
    common = [
        {"tags": ["red"], "partition_key": "eu"},
        {"tags": ["red", "big"], "partition_key": "us"},
        {"tags": ["big"], "visibility": private},
        {"tags": []},
    ]
    return [
        await api.sync("Order", {"n": n, "note": note}, **fields)
        for n, (note, fields) in enumerate(zip("abcd", common, strict=True))
    ]


async def test_a_page_and_its_frame(api: Api, orders: list[Any]) -> None:
    answer = (await api.get(f"{PATH}?limit=3")).ok()
    assert list(answer) == ["items", "pagination"]
    assert answer["pagination"] == {"limit": 3, "offset": 0, "total": 12, "total_exact": True}
    assert [list(item) for item in answer["items"]] == [DOCUMENT] * 3
    assert [item["type"] for item in answer["items"]] == ["Order", "Receipt", "Chained"]
    assert TIME.fullmatch(answer["items"][0]["created_at"])
    assert (await api.get(PATH)).ok()["pagination"]["limit"] == 50


async def test_filters(api: Api, orders: list[Any]) -> None:
    assert await notes(api, "tag=red") == ["a", "b"]
    assert await notes(api, "tag=red&tag=big") == ["b"]
    assert await notes(api, "partition_key=eu") == ["a"]
    assert await notes(api, "visibility=Private") == ["c"]
    assert await notes(api, "visibility=Private&visibility=Public") == ["a", "b", "c", "d"]
    assert await notes(api, f"correlation_id={orders[3]['correlation_id']}") == ["d"]
    assert await notes(api, f"correlation_id={uuid4()}") == []
    assert await notes(api, "produced_by=clerk") == []
    assert await notes(api, "produced_by=clerk&produced_by=external") == ["a", "b", "c", "d"]
    two = (await api.get(f"{PATH}?type=Receipt&type=Chained")).ok()
    assert {item["type"] for item in two["items"]} == {"Receipt", "Chained"}
    assert two["pagination"]["total"] == 8
    assert (await api.get(f"{PATH}?type=Unheard")).ok()["items"] == []


async def test_times_are_inclusive_and_naive_ones_utc(api: Api, orders: list[Any]) -> None:
    items = (await api.get(f"{PATH}?type=Order")).ok()["items"]
    moments = [item["created_at"] for item in items]
    wanted = [item["payload"]["note"] for item in items if item["created_at"] >= moments[1]]
    assert await notes(api, f"from={moments[1]}") == wanted
    assert await notes(api, f"from={moments[1].rstrip('Z')}") == wanted
    assert await notes(api, f"from={quote(moments[1].replace('Z', '+00:00'))}") == wanted
    assert await notes(api, f"to={moments[0]}") == [
        n["payload"]["note"] for n in items if n["created_at"] == moments[0]
    ]
    assert await notes(api, "from=2100-01-01") == []
    assert await notes(api, "to=1999-12-31T23:59:59") == []


async def test_order_cursor_and_offset(api: Api, orders: list[Any]) -> None:
    assert await notes(api, "order=desc") == ["d", "c", "b", "a"]
    assert await notes(api, "limit=2&offset=1") == ["b", "c"]
    seqs = [item["seq"] for item in (await api.get(f"{PATH}?type=Order")).ok()["items"]]
    assert seqs == sorted(seqs)
    assert await notes(api, f"after={seqs[1]}") == ["c", "d"]
    assert await notes(api, f"after={seqs[1]}&order=desc") == ["a"]
    assert await notes(api, f"after={seqs[0]}&limit=1&offset=1") == ["c"]


async def test_meta_shows_who_took_it(api: Api, orders: list[Any]) -> None:
    items = (await api.get(f"{PATH}?embed_meta=true&type=Order&type=Chained&limit=2")).ok()["items"]
    assert [list(item) for item in items] == [[*DOCUMENT, "consumptions", "consumed_by"]] * 2
    order, chained = items
    ((consumption,), consumed_by) = (order["consumptions"], order["consumed_by"])
    assert list(consumption) == ["consumer", "run_id", "consumed_at"]
    assert (consumption["consumer"], consumed_by) == ("clerk", ["clerk"])
    assert (chained["consumptions"], chained["consumed_by"]) == ([], [])
    assert (await api.get(f"{PATH}/{order['id']}?embed_meta=true")).ok() == order
    assert "consumptions" not in (await api.get(f"{PATH}/{order['id']}?embed_meta=false")).ok()


async def test_one_that_is_not_there(api: Api) -> None:
    for missing in (str(uuid4()), "abc", "sum%20mary", "%00"):
        (await api.get(f"{PATH}/{missing}")).problem(404, "NOT_FOUND")


async def test_an_id_may_be_spelt_in_any_case(api: Api) -> None:
    artifact_id = (await api.publish("Order"))["artifact_id"]
    assert (await api.get(f"{PATH}/{artifact_id.upper()}")).ok()["id"] == artifact_id


async def test_the_summary_counts_what_the_filters_select(api: Api, orders: list[Any]) -> None:
    summary = (await api.get(f"{PATH}/summary")).ok()["summary"]
    assert summary["total_count"] == 12
    assert summary["by_type"] == {"Order": 4, "Receipt": 4, "Chained": 4}
    assert summary["by_producer"] == {"external": 4, "clerk": 4, "archivist": 4}
    assert summary["by_visibility"] == {"Private": 3, "Public": 9}
    assert TIME.fullmatch(summary["earliest_created_at"])
    assert summary["earliest_created_at"] <= summary["latest_created_at"]
    red = (await api.get(f"{PATH}/summary?type=Order&tag=red")).ok()["summary"]
    assert (red["total_count"], red["by_tag"]) == (2, {"red": 2, "big": 1})
    none = (await api.get(f"{PATH}/summary?from=2100-01-01")).ok()["summary"]
    assert (none["total_count"], none["by_type"], none["earliest_created_at"]) == (0, {}, None)


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=501", "limit", "less than or equal to 500"),
        ("limit=x", "limit", "whole number"),
        ("limit=1_0", "limit", "whole number"),
        ("limit=5.0", "limit", "whole number"),
        ("limit=1&limit=2", "limit", "only once"),
        ("offset=-1", "offset", "greater than or equal to 0"),
        ("offset=101", "offset", "use after instead"),
        ("after=-1", "after", "greater than or equal to 0"),
        ("after=99999999999999999999", "after", "less than or equal to"),
        ("order=up", "order", "'asc' or 'desc'"),
        ("from=yesterday", "from", "ISO 8601"),
        ("to=", "to", "ISO 8601"),
        ("embed_meta=maybe", "embed_meta", "true or false"),
        ("visibility=Secret", "visibility.0", "'Private', 'Labelled', 'Tenant', 'Public' or 'After'"),
        ("visibility=after", "visibility.0", "'Private', 'Labelled', 'Tenant', 'Public' or 'After'"),
        ("correlation_id=abc", "correlation_id", "UUID"),
        ("produced-by=a", "produced-by", "did you mean produced_by?"),
        ("from_=2026-01-01", "from_", "did you mean from?"),
        ("q=1", "q", "Unknown field"),
    ],
)
async def test_a_bad_query_is_named(api: Api, query: str, field: str, said: str) -> None:
    problem = (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field
    assert said in problem["details"]["issue"]
