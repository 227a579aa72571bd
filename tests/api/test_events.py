"""The streams' routes: what may be asked of them, and how a workflow's stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from flockd.api.keys import HUB, STREAMS
from flockd.config import Config

from ..streams.world import LIMIT_SECONDS, until
from .conftest import Api
from .flocks import Gate

PATH = "/api/v1/events"
UNKNOWN = "0198a000-0000-7000-8000-000000000001"
NDJSON = {"Accept": "application/x-ndjson"}


class Lines:
    """An open NDJSON stream, line by line."""

    def __init__(self, api: Api, path: str, **headers: str) -> None:
        self._opening = api.client.get(path, headers=NDJSON | headers)

    async def __aenter__(self) -> Lines:
        self.response = await self._opening.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.response.close()

    async def next(self, *, positions: bool = False) -> Any:
        """The next line, positions left out or not; None at the end."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while line := await self.response.content.readline():
                parsed = orjson.loads(line)
                if positions or parsed.get("type") != "position":
                    return parsed
        return None

    async def rest(self) -> list[Any]:
        """All of them, to the end."""
        found = []
        while (line := await self.next()) is not None:
            found.append(line)
        return found


def events(lines: list[Any]) -> list[Any]:
    return [line for line in lines if "seq" in line]


async def log(api: Api, query: str = "") -> list[Any]:
    """What a filter lets through of the whole log so far: to where a heartbeat says that it was read."""
    assert api.client.app is not None
    head = api.client.app[HUB].head
    found = []
    async with Lines(api, f"{PATH}?from=start&{query}") as lines:
        while not (found and found[-1].get("type") == "position" and found[-1]["seq"] >= head):
            found.append(await lines.next(positions=True))
    return [line for line in found if "seq" in line and "type" not in line]


@pytest.fixture
def config(config: Config) -> Config:
    """Heartbeats at once."""
    streams = config.streams.model_copy(update={"heartbeat_seconds": 0.02})
    return config.model_copy(update={"streams": streams})


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("kind=artifact.publishd", "kind", "did you mean artifact.published?"),
        ("kind=hello", "kind", "no event of this kind"),
        ("from=end", "from", "'start'"),
        ("after=x", "after", "whole number"),
        ("after=99", "after", "in the future"),
        ("correlation_id=abc", "correlation_id.0", "UUID"),
        ("kinds=run.started", "kinds", "did you mean kind?"),
        ("where=a%20||", "where", "not a JMESPath expression"),
        ("where=a[*].b", "where", "what may be used"),
        ("where=a&where=map(%26a,b)", "where", "what may be used"),
        ("where=" + "a" * 2001, "where", "streams.filter_chars"),
        ("&".join(f"tag={number}" for number in range(201)), "tag", "streams.filter_values"),
    ],
)
@pytest.mark.parametrize("path", [PATH, f"/api/v1/correlations/{UNKNOWN}/events"])
async def test_a_bad_query_is_named(api: Api, path: str, query: str, field: str, said: str) -> None:
    if path != PATH and field in ("from", "correlation_id.0"):
        field, said = field.removesuffix(".0"), "Unknown field"
    problem = (await api.get(f"{path}?{query}")).problem(400, "INVALID_INPUT")
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


@pytest.mark.parametrize(
    ("accept", "media"), [("*/*", "text/event-stream"), (NDJSON["Accept"], NDJSON["Accept"])]
)
async def test_head_says_what_get_would_send(api: Api, accept: str, media: str) -> None:
    async with api.client.head(PATH, headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.content_type == media


# -- filters --------------------------------------------------------------------------------------------------------


def fields(event: Any) -> Iterator[Any]:
    artifact = event["artifact"]
    if artifact is not None:
        yield artifact


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("type=Order&type=Receipt", lambda one: one["type"] in ("Order", "Receipt")),
        ("produced_by=external", lambda one: one["produced_by"] == "external"),
        ("produced_by=external&produced_by=clerk&type=Receipt", lambda one: one["produced_by"] == "clerk"),
        ("tag=a", lambda one: "a" in one["tags"]),
        ("tag=b&tag=a", lambda one: {"a", "b"} <= set(one["tags"])),
        ("partition_key=k&partition_key=l", lambda one: one["partition_key"] in ("k", "l")),
        ("where=n%20>=%20`2`", lambda one: one["payload"].get("n", 0) >= 2),
        ("where=n%20==%20`1`&where=n%20==%20`2`", lambda one: one["payload"].get("n") in (1, 2)),
        ("where=starts_with(note,'x')", lambda one: one["payload"].get("note", "").startswith("x")),
        (
            "type=Order&tag=a&produced_by=external&where=n%20>%20`1`&kind=artifact.published",
            lambda one: one["type"] == "Order" and "a" in one["tags"] and one["payload"]["n"] > 1,
        ),
    ],
)
async def test_filters_of_artifacts_are_combined(api: Api, query: str, fits: Any) -> None:
    await api.sync("Order", {"n": 1, "note": "xy"}, tags=["a"], partition_key="k")
    await api.sync("Order", {"n": 2}, tags=["a", "b"], partition_key="l")
    await api.sync("Order", {"n": 3}, tags=["b"])
    everything = await log(api)
    expected = [event for event in everything if any(fits(artifact) for artifact in fields(event))]
    assert expected
    assert expected == await log(
        api, query + "&kind=artifact.published&kind=run.started" * ("kind" not in query)
    )


async def test_an_agent_is_found_by_any_spelling_of_its_name(api: Api) -> None:
    await api.sync("Order")
    told = await log(api, "agent=clerk")
    assert [event["agent"] for event in told] == ["clerk"] * len(told) != []
    assert await log(api, "agent=CLERK&agent=clerk") == told


async def test_head_answers_as_get_would(api: Api) -> None:
    for query, status in (("", 200), ("?after=0", 200), ("?after=1000000", 400)):
        async with api.client.head(PATH + query) as response:
            assert response.status == status, query
    assert api.client.app is not None
    assert api.client.app[STREAMS].count == 0


# -- one workflow ---------------------------------------------------------------------------------------------------


def own(correlation_id: str, rest: str = "") -> str:
    return f"/api/v1/correlations/{correlation_id}/events{rest}"


async def test_a_workflow_that_is_over_is_told_from_its_beginning_to_its_end(api: Api) -> None:
    await api.sync("Order")
    one = (await api.sync("Order", {"n": 7}))["correlation_id"]
    await api.sync("Order")
    async with Lines(api, own(one)) as lines:
        told = await lines.rest()
    assert told[0]["kind"] == "hello"
    assert [event["kind"] for event in told[1:2] + told[-1:]] == [
        "correlation.started",
        "correlation.completed",
    ]
    assert told[1:] == await log(api, f"correlation_id={one}")
    last = told[-1]["seq"]
    for query, headers in ((f"?after={last}", {}), ("", {"Last-Event-ID": str(last)})):
        answer = await api.get(own(one, query), **headers)
        assert (answer.status, answer.body) == (204, b"")
    async with Lines(api, own(one, f"?after={last - 1}")) as lines:
        assert events(await lines.rest()) == told[-1:]
    async with Lines(api, own(one, "?type=Receipt")) as lines:
        (receipt,) = events(await lines.rest())
        assert receipt["artifact"]["payload"] == {"n": 7}


async def test_a_cursor_past_the_end_that_is_an_event_of_another_workflow(api: Api) -> None:
    one = (await api.sync("Order"))["correlation_id"]
    await api.sync("Order")
    assert api.client.app is not None
    assert (await api.get(own(one, f"?after={api.client.app[HUB].head}"))).status == 204
    (await api.get(own(one, "?after=1000000"))).problem(400, "INVALID_INPUT")


async def test_a_cursor_of_another_log_gets_a_gap_and_then_the_whole_workflow(api: Api) -> None:
    await api.sync("Order")
    one = (await api.sync("Order"))["correlation_id"]
    await api.sync("Order")
    async with Lines(api, own(one), **{"Last-Event-ID": "1000000"}) as lines:
        told = await lines.rest()
    assert [line["kind"] for line in told[:2]] == ["hello", "gap"]
    assert told[1]["data"]["position"] == 0
    assert events(told) == await log(api, f"correlation_id={one}")


async def test_a_workflow_that_goes_on_is_followed_to_the_end_of_its_round(api: Api, gate: Gate) -> None:
    one = (await api.publish("Held", {"n": 1}))["correlation_id"]
    await gate.until_reached()
    async with Lines(api, own(one)) as lines:
        assert (await lines.next())["kind"] == "hello"
        gate.opened.set()
        told = await lines.rest()
    assert [event["kind"] for event in told] == [
        "correlation.started",
        "artifact.published",
        "run.started",
        "artifact.published",
        "run.completed",
        "correlation.completed",
    ]


async def test_of_many_rounds_the_stream_ends_with_the_one_that_is_open(api: Api, gate: Gate) -> None:
    one = (await api.sync("Order"))["correlation_id"]
    first = (await log(api, f"correlation_id={one}"))[-1]["seq"]
    await api.publish("Held", correlation_id=one)
    await gate.until_reached()
    async with Lines(api, own(one)) as whole, Lines(api, own(one, f"?after={first}")) as rest:
        assert (await whole.next())["kind"] == (await rest.next())["kind"] == "hello"
        gate.opened.set()
        told, later = await whole.rest(), await rest.rest()
    ends = [event["data"]["round"] for event in told if event["kind"] == "correlation.completed"]
    assert ends == [1, 2]
    assert later == [event for event in told if event["seq"] > first]
    assert later[0]["kind"] == "correlation.started"


@pytest.mark.parametrize("id", [UNKNOWN, "nonsense"])
async def test_an_unknown_workflow_is_not_found(api: Api, id: str) -> None:
    (await api.get(own(id))).problem(404, "NOT_FOUND")
    async with api.client.head(own(id)) as response:
        assert response.status == 404


async def test_an_unknown_workflow_is_waited_for(api: Api) -> None:
    await api.sync("Order")
    async with Lines(api, own(UNKNOWN, "?wait=true")) as lines:
        assert (await lines.next())["kind"] == "hello"
        await api.sync("Order", {"n": 3}, correlation_id=UNKNOWN)
        told = await lines.rest()
    assert told == await log(api, f"correlation_id={UNKNOWN}")


async def test_a_board_that_is_emptied_ends_the_wait(api: Api, gate: Gate) -> None:
    one = (await api.publish("Held"))["correlation_id"]
    await gate.until_reached()
    async with Lines(api, own(one)) as lines:
        assert (await lines.next())["kind"] == "hello"
        (await api.post("/api/v1/admin/reset", {"confirm": True})).ok()
        told = await lines.rest()
        assert told[-1]["kind"] == "gap"
    (await api.get(own(one))).problem(404, "NOT_FOUND")


async def test_nothing_is_left_of_streams_that_have_ended(api: Api) -> None:
    one = (await api.sync("Order"))["correlation_id"]
    for _ in range(3):
        async with Lines(api, own(one)) as lines:
            await lines.rest()
    assert api.client.app is not None
    streams = api.client.app[STREAMS]
    await until(lambda: streams.count == 0)
    figures = streams.figures()
    assert figures.events_sent == 3 * len(await log(api, f"correlation_id={one}"))
    assert figures.lag_events == figures.disk_readers == 0
