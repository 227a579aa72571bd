"""One key, one effect: under concurrency, across a restart, and after a crash in the middle of the answer."""

import asyncio
import uuid

import pytest

from .client import Answer, Client, CutError
from .daemon import Daemon
from .tail import Tail

pytestmark = pytest.mark.timeout(120)
CALLERS = 50
KEY = "8d9a2c1e-order-17"


async def together(client: Client, how: str, n: int = 1) -> list[Answer]:
    """The answers to many concurrent requests with one key and one body."""
    send = client.publish_sync if how == "sync" else client.publish
    return await asyncio.gather(*(send("A", {"n": n}, key=KEY) for _ in range(CALLERS)))


@pytest.mark.parametrize("how", ["async", "sync"])
async def test_many_requests_with_one_key_are_one(
    daemon: Daemon, client: Client, tail: Tail, how: str
) -> None:
    await daemon.start()
    answers = await together(client, how)
    body = answers[0].accepted()
    assert [answer.body for answer in answers] == [body] * CALLERS
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * (CALLERS - 1)
    await tail.until("correlation.completed", correlation_id=body["correlation_id"])
    assert [a["type"] for a in await client.artifacts()] == ["A", "B", "C", "D"]

    await daemon.kill()
    await daemon.start()
    later = await together(client, how)
    assert [(answer.status, answer.body, answer.replayed) for answer in later] == [
        (200, body, True)
    ] * CALLERS
    assert [a["type"] for a in await client.artifacts()] == ["A", "B", "C", "D"]
    assert len(await client.runs()) == 3
    await daemon.verify()


async def test_another_body_under_the_key_is_refused(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    first = (await client.publish("A", {"n": 1}, key=KEY)).accepted()
    for restarted in (False, True):
        if restarted:
            await daemon.kill()
            await daemon.start()
        other = await client.publish("A", {"n": 2}, key=KEY)
        assert (other.status, other.body["error"]) == (422, "IDEMPOTENCY_MISMATCH")
        assert (await client.publish("A", {"n": 1}, key=KEY)).accepted() == first
    assert [a["payload"]["n"] for a in await client.artifacts(type="A")] == [1]


async def test_a_key_belongs_to_its_path(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    one = (await client.publish("A", {"n": 1}, key=KEY)).accepted()
    two = (await client.publish_sync("A", {"n": 1}, key=KEY)).accepted()
    assert one["correlation_id"] != two["correlation_id"]
    assert len(await client.artifacts(type="A")) == 2


async def test_a_bulk_is_replayed_whole(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    items = [{"type": "A", "payload": {"n": n}} for n in range(3)]
    answers = await asyncio.gather(*(client.publish_bulk(items, key=KEY) for _ in range(CALLERS)))
    assert [answer.body for answer in answers] == [answers[0].accepted()] * CALLERS
    assert [a["payload"]["n"] for a in await client.artifacts(type="A")] == [0, 1, 2]


async def test_a_sync_cut_by_a_crash_is_taken_up_by_its_key(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start()
    correlation_id = str(uuid.uuid4())
    payload = {"n": 1, "seconds": 2}
    waiter = asyncio.create_task(client.publish_sync("Slow", payload, key=KEY, correlation_id=correlation_id))
    await tail.until("run.started", agent="sleeper", correlation_id=correlation_id)
    await daemon.kill()
    with pytest.raises(CutError):
        await waiter

    await daemon.start()
    again = await client.publish_sync("Slow", payload, key=KEY, correlation_id=correlation_id)
    body = again.accepted()
    assert again.replayed
    assert (body["correlation_id"], body["completed"], body["state"]) == (correlation_id, True, "completed")
    assert [a["type"] for a in body["artifacts"]] == ["Slept"]
    assert [a["type"] for a in await client.artifacts()] == ["Slow", "Slept"]
    assert len(await client.runs()) == 1
    await daemon.verify()


async def test_a_sync_that_timed_out_is_taken_up_by_its_key(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start()
    payload = {"n": 1, "seconds": 3}
    early = (await client.publish_sync("Slow", payload, key=KEY, timeout=1)).accepted()
    assert early["completed"] is False
    await tail.until("correlation.completed", correlation_id=early["correlation_id"])
    late = await client.publish_sync("Slow", payload, key=KEY, timeout=1)
    assert late.accepted()["completed"] is True
    assert late.body["correlation_id"] == early["correlation_id"]
    assert [a["type"] for a in await client.artifacts()] == ["Slow", "Slept"]
