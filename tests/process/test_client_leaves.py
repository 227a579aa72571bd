"""Clients that leave in the middle: whatever moment they choose, their publish is there wholly or not."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from urllib.parse import urlsplit

import orjson
import pytest

from .client import Client
from .daemon import Daemon
from .flocks import outcome
from .tail import Tail

pytestmark = pytest.mark.timeout(120)
LEAVERS = 150
PUBLISHED = "A"


def request(path: str, correlation_id: str, n: int) -> bytes:
    """The bytes of one publish."""
    payload = {"n": n, "padding": "x" * (n % 3 * 2000)}
    body = orjson.dumps({"type": PUBLISHED, "payload": payload, "correlation_id": correlation_id})
    head = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


async def leave(daemon: Daemon, data: bytes, *, reset: bool, read: int) -> None:
    """Connect, send these bytes, read so many of the answer's, and go: by a reset, or in good order."""
    where = urlsplit(daemon.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(data)
    await writer.drain()
    if read:
        await reader.read(read)
    if reset:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_publish_whose_client_leaves_is_whole_or_absent(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start()
    choices = random.Random(17)
    whole: set[str] = set()
    read: set[str] = set()
    left: list[str] = []

    async def one(n: int) -> None:
        correlation_id = str(uuid.UUID(int=choices.getrandbits(128), version=4))
        data = request(choices.choice(("/api/v1/artifacts", "/api/v1/artifacts/sync")), correlation_id, n)
        cut = choices.choice((choices.randrange(len(data)), len(data), len(data)))
        answered = choices.randint(1, 40) if cut == len(data) and choices.random() < 0.3 else 0
        await leave(daemon, data[:cut], reset=choices.random() < 0.5, read=answered)
        left.append(correlation_id)
        if cut == len(data):
            whole.add(correlation_id)
        if answered:
            read.add(correlation_id)

    await asyncio.gather(*(one(n) for n in range(LEAVERS)))
    assert (await client.publish_sync("Word", {"n": 0, "text": "still here"})).accepted()["completed"] is True
    await tail.quiet()

    found: dict[str, Counter[str]] = {}
    for artifact in await client.artifacts():
        found.setdefault(artifact["correlation_id"], Counter())[artifact["type"]] += 1
    complete = outcome(PUBLISHED, {}).artifacts + Counter({PUBLISHED: 1})
    for correlation_id in left:
        assert found.get(correlation_id) in ((complete, None) if correlation_id in whole else (None,))
    assert read <= found.keys(), "an answer had begun, and its artifact is not there"
    assert whole & found.keys(), "no request of those that left was taken"
    await daemon.verify()


async def test_work_goes_on_when_its_waiter_leaves(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start()
    correlation_id = str(uuid.uuid4())
    waiter = asyncio.create_task(
        client.publish_sync("Slow", {"n": 1, "seconds": 1}, correlation_id=correlation_id)
    )
    await tail.until("run.started", correlation_id=correlation_id)
    waiter.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiter
    await tail.until("correlation.completed", correlation_id=correlation_id)
    assert [a["type"] for a in await client.artifacts()] == ["Slow", "Slept"]
    assert not tail.of("run.retrying")
    await daemon.verify()
