"""/api/v1/ws: what may be said over it, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest

from flockd.api.keys import DAEMON, HUB, STREAMS

from ..streams.talker import Talker
from ..streams.world import LIMIT_SECONDS, until
from .conftest import Api
from .flocks import Gate

PATH = "/api/v1/ws"
UNKNOWN = "0198a000-0000-7000-8000-000000000001"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


@pytest.fixture
async def talker(api: Api) -> AsyncIterator[Talker]:
    async with Talker(str(api.client.make_url(PATH))) as talker:
        yield talker


# -- the way in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{}, {"Upgrade": "h2c", "Connection": "Upgrade"}, UPGRADE | {"Sec-WebSocket-Version": "12"}]
)
async def test_what_asks_for_no_websocket_is_told_to(api: Api, headers: dict[str, str]) -> None:
    answer = await api.get(PATH, **headers)
    problem = answer.problem(426, "UPGRADE_REQUIRED")
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert "Upgrade: websocket" in problem["detail"]


@pytest.mark.parametrize("line", ["HEAD {path} HTTP/1.1", "GET {path} HTTP/1.0"])
async def test_only_a_get_of_http_1_1_is_upgraded(api: Api, line: str) -> None:
    url = api.client.make_url(PATH)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    headers = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    writer.write(f"{line.format(path=PATH)}\r\nHost: {url.authority}\r\n{headers}\r\n".encode())
    async with asyncio.timeout(LIMIT_SECONDS):
        assert b" 426 " in await reader.readline()
    writer.close()


async def test_a_handshake_that_is_none_is_refused(api: Api) -> None:
    for key in ("short", "\u00e9", "=" * 24):
        (await api.get(PATH, **UPGRADE | {"Sec-WebSocket-Key": key})).problem(400, "INVALID_INPUT")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:1", "http://", "http://[", "http://[::1", "\u00e9"],
)
async def test_a_page_of_another_site_is_refused_before_the_upgrade(api: Api, origin: str) -> None:
    (await api.get(PATH, **UPGRADE, Origin=origin)).problem(403, "FORBIDDEN")
    assert api.client.app is not None
    assert api.client.app[STREAMS].count == 0


async def test_a_page_of_this_site_is_welcome(api: Api) -> None:
    url = api.client.make_url(PATH)
    async with Talker(str(url), headers={"Origin": f"http://{url.authority}"}) as talker:
        assert await talker.ask({"action": "ping"}) == {"type": "pong"}


async def test_no_compression_is_agreed_on(api: Api) -> None:
    url = api.client.make_url(PATH)
    async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=15) as socket:
        assert socket.compress == 0


# -- what is said ---------------------------------------------------------------------------------------------------


async def test_pings_are_answered(talker: Talker) -> None:
    assert await talker.ask("ping") == "pong"
    assert await talker.ask({"action": "ping"}) == {"type": "pong"}
    assert await talker.ask({"action": "ping", "id": "p1"}) == {"type": "pong", "id": "p1"}


BAD = [
    ("{", None, "INVALID_INPUT", "Malformed JSON"),
    ("", None, "INVALID_INPUT", "JSON"),
    ("pong", None, "INVALID_INPUT", "Malformed JSON"),
    ([], None, "INVALID_INPUT", "a JSON object"),
    ('"subscribe"', None, "INVALID_INPUT", "a JSON object"),
    (b"\x00\x01", None, "INVALID_INPUT", "binary"),
    ({}, None, "INVALID_INPUT", "action"),
    ({"action": 7, "id": "x"}, "x", "INVALID_INPUT", "action"),
    ({"action": "subscrbe", "id": "x"}, "x", "INVALID_INPUT", "did you mean subscribe?"),
    ({"action": "ping", "id": 7}, None, "INVALID_INPUT", "id"),
    ({"action": "ping", "id": "x" * 201}, None, "INVALID_INPUT", "id"),
    ({"action": "subscribe"}, None, "INVALID_INPUT", "id"),
    ({"action": "subscribe", "id": ""}, "", "INVALID_INPUT", "id"),
    ({"action": "subscribe", "id": "x", "aftr": 1}, "x", "INVALID_INPUT", "did you mean after?"),
    ({"action": "subscribe", "id": "x", "after": 10**6}, "x", "INVALID_INPUT", "after: 1000000 is in the future"),
    ({"action": "subscribe", "id": "x", "after": -1}, "x", "INVALID_INPUT", "after"),
    ({"action": "subscribe", "id": "x", "after": "1"}, "x", "INVALID_INPUT", "after"),
    ({"action": "subscribe", "id": "x", "after": True}, "x", "INVALID_INPUT", "after"),
    ({"action": "subscribe", "id": "x", "from": "end"}, "x", "INVALID_INPUT", "from"),
    ({"action": "subscribe", "id": "x", "filter": []}, "x", "INVALID_INPUT", "filter"),
    ({"action": "subscribe", "id": "x", "filter": {"knd": "a"}}, "x", "INVALID_INPUT", "did you mean kind?"),
    ({"action": "subscribe", "id": "x", "filter": {"kind": "hello"}}, "x", "INVALID_INPUT", "filter.kind"),
    ({"action": "subscribe", "id": "x", "filter": {"type": 7}}, "x", "INVALID_INPUT", "filter.type"),
    ({"action": "subscribe", "id": "x", "filter": {"type": [7]}}, "x", "INVALID_INPUT", "filter.type.0"),
    ({"action": "subscribe", "id": "x", "filter": {"correlation_id": "no"}}, "x", "INVALID_INPUT", "UUID"),
    ({"action": "subscribe", "id": "x", "filter": {"where": "a ||"}}, "x", "INVALID_INPUT", "filter.where"),
    ({"action": "subscribe", "id": "x", "filter": {"where": "a[*].b"}}, "x", "INVALID_INPUT", "filter.where"),
    ({"action": "unsubscribe", "id": "x"}, "x", "NOT_FOUND", "no subscription x"),
    ({"action": "unsubscribe"}, None, "INVALID_INPUT", "id"),
    ({"action": "publish", "id": "x"}, "x", "INVALID_INPUT", "artifact"),
    ({"action": "publish", "id": "x", "artifact": []}, "x", "INVALID_INPUT", "artifact"),
    ({"action": "publish", "id": "x", "artifact": {}}, "x", "INVALID_INPUT", "artifact.type"),
    (
        {"action": "publish", "id": "x", "artifact": {"type": "Ordr"}},
        "x",
        "INVALID_INPUT",
        "Unknown artifact type: Ordr; did you mean Order?",
    ),
    ({"action": "publish", "artifact": {"type": "Order", "payload": {"n": "x"}}}, None, "INVALID_INPUT", "n"),
    ({"action": "publish", "artifact": {"type": "Order", "tag": []}}, None, "INVALID_INPUT", "tags?"),
    (
        {"action": "publish", "artifact": {"type": "Order", "tags": ["a", "b", "c", "d"]}},
        None,
        "INVALID_INPUT",
        "artifact.tags",
    ),
    ({"action": "publish", "artifact": {"type": "Order", "payload": {"note": "x" * 5000}}}, None, "TOO_LARGE", "4096"),
    ({"action": "cancel", "id": "x"}, "x", "INVALID_INPUT", "correlation_id or a run_id"),
    (
        {"action": "cancel", "id": "x", "correlation_id": UNKNOWN, "run_id": UNKNOWN},
        "x",
        "INVALID_INPUT",
        "correlation_id or a run_id",
    ),
    ({"action": "cancel", "id": "x", "run_id": "abc"}, "x", "INVALID_INPUT", "UUID"),
    ({"action": "cancel", "id": "x", "run_id": UNKNOWN}, "x", "NOT_FOUND", UNKNOWN),
    ({"action": "cancel", "id": "x", "correlation_id": UNKNOWN}, "x", "NOT_FOUND", UNKNOWN),
    ('{"action":"ping","id":' + "[" * 12 + "]" * 12 + "}", None, "INVALID_INPUT", "nests deeper"),
]  # fmt: skip


async def test_each_bad_message_gets_an_error_and_the_socket_lives(talker: Talker) -> None:
    for message, id, error, said in BAD:
        answer = await talker.ask(message)
        assert answer.keys() == {"type", "id", "error", "message"}, message
        assert (answer["type"], answer["id"], answer["error"]) == ("error", id, error), message
        assert said in answer["message"], message
        assert await talker.ask({"action": "ping"}) == {"type": "pong"}, message


# -- subscriptions --------------------------------------------------------------------------------------------------


async def test_many_subscriptions_each_with_its_filter_and_cursor(api: Api, talker: Talker) -> None:
    first = await api.sync("Order", {"n": 1}, tags=["a"])
    assert api.client.app is not None
    head = api.client.app[HUB].head
    wanted = {
        "all": {"from": "start"},
        "now": {},
        "rest": {"after": 2},
        "receipts": {"from": "start", "filter": {"type": "Receipt"}},
        "ends": {"from": "start", "filter": {"kind": ["correlation.completed", "run.completed"]}},
        "first": {"from": "start", "filter": {"correlation_id": first["correlation_id"]}},
        "large": {"from": "start", "filter": {"where": "n > `1`", "produced_by": "external"}},
        "tagged": {"after": 0, "filter": {"tag": ["a"], "type": ["Order", "Receipt"]}},
    }
    for name, asked in wanted.items():
        answer = await talker.ask({"action": "subscribe", "id": name, **asked})
        assert answer == {"type": "ack", "id": name}
    await api.sync("Order", {"n": 2})
    end = api.client.app[HUB].head
    await talker.until(lambda: talker.seqs("all")[-1:] == [end] and talker.seqs("now")[-1:] == [end])
    log = talker.events("all")[1:]
    assert [event["seq"] for event in log] == list(range(1, end + 1))

    def seqs(fits: Any) -> list[int]:
        return [event["seq"] for event in log if fits(event, event["artifact"] or {})]

    expected = {
        "now": seqs(lambda event, _: event["seq"] > head),
        "rest": seqs(lambda event, _: event["seq"] > 2),
        "receipts": seqs(lambda _, artifact: artifact.get("type") == "Receipt"),
        "ends": seqs(lambda event, _: event["kind"] in ("correlation.completed", "run.completed")),
        "first": seqs(lambda event, _: event["correlation_id"] == first["correlation_id"]),
        "large": seqs(
            lambda _, artifact: artifact.get("produced_by") == "external" and artifact["payload"]["n"] > 1
        ),
        "tagged": seqs(
            lambda _, artifact: artifact.get("type") in ("Order", "Receipt") and "a" in artifact["tags"]
        ),
    }
    assert all(expected.values())
    assert {name: talker.seqs(name) for name in expected} == expected
    for name in wanted:
        hello = talker.events(name)[0]
        assert hello["kind"] == "hello"
        assert hello["data"].keys() == {"log_id", "head", "complete_from", "position"}


async def test_a_name_is_taken_until_it_is_given_back(api: Api, talker: Talker) -> None:
    assert (await talker.ask({"action": "subscribe", "id": "s"}))["type"] == "ack"
    assert (await talker.ask({"action": "subscribe", "id": "s"}))["error"] == "CONFLICT"
    assert await talker.ask({"action": "unsubscribe", "id": "s"}) == {"type": "ack", "id": "s"}
    await api.sync("Order")
    assert (await talker.ask({"action": "subscribe", "id": "s", "from": "start"}))["type"] == "ack"
    assert api.client.app is not None
    head = api.client.app[HUB].head
    await talker.at("s", head)
    assert talker.seqs("s") == list(range(1, head + 1))  # nothing came between the two


async def test_a_socket_has_so_many_subscriptions(api: Api, talker: Talker) -> None:
    assert api.client.app is not None
    most = api.client.app[STREAMS].limits.subscriptions_per_socket
    for number in range(most):
        assert (await talker.ask({"action": "subscribe", "id": f"s{number}"}))["type"] == "ack"
    refused = await talker.ask({"action": "subscribe", "id": "one more"})
    assert refused["error"] == "UNAVAILABLE"
    assert "streams.subscriptions_per_socket" in refused["message"]
    await talker.ask({"action": "unsubscribe", "id": "s0"})
    assert (await talker.ask({"action": "subscribe", "id": "one more"}))["type"] == "ack"


# -- verbs ----------------------------------------------------------------------------------------------------------


async def test_a_publication_is_answered_as_its_post_is(api: Api, talker: Talker) -> None:
    await talker.ask({"action": "subscribe", "id": "s", "filter": {"type": "Receipt"}})
    answer = await talker.ask(
        {"action": "publish", "id": "p", "artifact": {"type": "Order", "payload": {"n": 7}, "tags": ["t"]}}
    )
    assert answer.keys() == {"type", "id", "status", "artifact_id", "correlation_id", "seq"}
    assert (answer["type"], answer["id"], answer["status"]) == ("ack", "p", "accepted")
    stored = (await api.get(f"/api/v1/artifacts/{answer['artifact_id']}")).ok()
    assert (stored["payload"]["n"], stored["tags"], stored["seq"]) == (7, ["t"], answer["seq"])
    await talker.until(lambda: bool(talker.seqs("s")))
    assert talker.events("s")[-1]["artifact"]["payload"] == {"n": 7}


async def test_a_workflow_and_a_run_are_cancelled(api: Api, talker: Talker, gate: Gate) -> None:
    one, other = await api.publish("Held"), await api.publish("Held")
    await gate.until_reached()
    answer = await talker.ask({"action": "cancel", "id": "c", "correlation_id": one["correlation_id"]})
    assert answer == {"type": "ack", "id": "c", "correlation_id": one["correlation_id"], "state": "failed"}
    (run,) = (await api.get(f"/api/v1/runs?correlation_id={other['correlation_id']}")).ok()["runs"]
    answer = await talker.ask({"action": "cancel", "id": "r", "run_id": run["id"]})
    assert answer == {"type": "ack", "id": "r", "run_id": run["id"], "state": "cancelled"}


async def test_messages_are_answered_in_their_order(talker: Talker) -> None:
    for number in range(20):
        await talker.say({"action": "publish", "id": f"p{number}", "artifact": {"type": "Order"}})
        await talker.say({"action": "ping", "id": f"q{number}"})
    await talker.until(lambda: len(talker.answers) == 40)
    assert [answer["id"] for answer in talker.answers] == [
        f"{kind}{number}" for number in range(20) for kind in "pq"
    ]
    seqs = [answer["seq"] for answer in talker.answers if answer["type"] == "ack"]
    assert seqs == sorted(seqs)


async def test_a_client_that_leaves_at_once_has_still_published(api: Api) -> None:
    async with Talker(str(api.client.make_url(PATH))) as talker:
        await talker.ask("ping")
        await talker.say({"action": "publish", "artifact": {"type": "Order", "payload": {"n": 1}}})
    assert api.client.app is not None
    await until(lambda: api.client.app is not None and api.client.app[STREAMS].count == 0)
    (await api.post("/api/v1/artifacts/sync", {"type": "Order"})).ok()  # it came after that one
    listed = (await api.get("/api/v1/artifacts?type=Order&produced_by=external")).ok()
    assert [item["payload"]["n"] for item in listed["items"]] in ([1, 0], [0])
    report = (await api.post("/api/v1/admin/verify")).ok()
    assert report["ok"]


# -- the end --------------------------------------------------------------------------------------------------------


async def test_a_message_that_is_too_large_closes_the_socket(api: Api, talker: Talker) -> None:
    assert api.client.app is not None
    largest = api.client.app[STREAMS].limits.message_bytes
    assert (await talker.ask("x" * largest))["error"] == "INVALID_INPUT"
    await talker.say("x" * (largest + 1))
    assert await talker.closed() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_client_that_closes_leaves_nothing(api: Api, talker: Talker) -> None:
    await talker.ask({"action": "subscribe", "id": "s", "from": "start"})
    await talker.leave()
    assert api.client.app is not None
    streams = api.client.app[STREAMS]
    await until(lambda: streams.count == 0)
    assert streams.figures().subscribers["websocket"] == 0


async def test_a_daemon_that_stops_says_goodbye_to_each_subscription(api: Api, talker: Talker) -> None:
    await talker.ask({"action": "subscribe", "id": "s"})
    await talker.ask({"action": "subscribe", "id": "t", "filter": {"kind": "run.failed"}})
    await api.sync("Order")
    assert api.client.app is not None
    head = api.client.app[HUB].head
    async with asyncio.timeout(LIMIT_SECONDS):
        await api.client.app[STREAMS].goodbye("shutdown")
    assert await talker.closed() == aiohttp.WSCloseCode.GOING_AWAY
    for name in ("s", "t"):
        assert talker.events(name)[-1] == {"kind": "goodbye", "data": {"reason": "shutdown"}}
        assert talker.positions(name)[-1] == head
    (await api.get(PATH, **UPGRADE)).problem(503, "UNAVAILABLE")


async def test_what_was_published_when_the_daemon_stopped_was_acknowledged(api: Api) -> None:
    """A publication that is under way gets its answer before the goodbye; one that got none is not on the board."""
    assert api.client.app is not None
    async with AsyncExitStack() as stack:
        talkers = [await stack.enter_async_context(Talker(str(api.client.make_url(PATH)))) for _ in range(8)]

        async def publish(talker: Talker) -> None:
            with suppress(ConnectionError):
                while True:
                    await talker.say({"action": "publish", "artifact": {"type": "Order"}})
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(publish(talker)) for talker in talkers]
        for talker in talkers:
            await talker.until(lambda talker=talker: len(talker.answers) > 20)
        hub = api.client.app[HUB]
        await api.client.app[DAEMON].drain()
        for talker in talkers:
            assert await talker.closed() == aiohttp.WSCloseCode.GOING_AWAY
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    published = {
        frame.event.artifact.id
        for frame in hub.ring
        if frame.event.kind == "artifact.published" and frame.event.artifact.produced_by == "external"
    }
    acknowledged = {
        answer["artifact_id"] for talker in talkers for answer in talker.answers if answer["type"] == "ack"
    }
    assert published
    assert published <= acknowledged
