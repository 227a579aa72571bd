"""GET /api/v1/events: its query, and that the stream begins."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Api

PATH = "/api/v1/events"


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("kind=artifact.publishd", "kind", "did you mean artifact.published?"),
        ("kind=hello", "kind", "no event of this kind"),
        ("from=end", "from", "'start'"),
        ("after=x", "after", "whole number"),
        ("correlation_id=abc", "correlation_id.0", "UUID"),
        ("kinds=run.started", "kinds", "did you mean kind?"),
    ],
)
async def test_a_bad_query_is_named(api: Api, query: str, field: str, said: str) -> None:
    problem = (await api.get(f"{PATH}?{query}")).problem(400, "INVALID_INPUT")
    assert problem["details"]["field"] == field
    assert said in problem["details"]["issue"]


async def test_the_log_from_its_start_by_type(api: Api) -> None:
    await api.sync("Order")
    async with asyncio.timeout(10), api.client.get(f"{PATH}?from=start&type=Receipt") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Request-ID" in response.headers
        block = b""
        while b"artifact.published" not in block:
            block = await response.content.readuntil(b"\n\n")
    assert b'"type":"Receipt"' in block
