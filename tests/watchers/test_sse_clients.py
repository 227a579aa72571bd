"""SSE clients that other people wrote: history, live, and going on with the last id after the daemon was killed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import httpx
import httpx_sse
import orjson
import pytest
import requests
import sseclient

from tests.process.client import Client
from tests.process.daemon import Daemon

from .board import log, restart, work
from .filters import Json, Wanted

pytestmark = pytest.mark.timeout(120)

PATH = "/api/v1/events"
SETTINGS = {"FLOCKD_STREAMS__HEARTBEAT_SECONDS": "0.2"}


class Reading:
    """What a client's library made of one stream, and where to go on. `until` says after what it has enough."""

    def __init__(self, last_id: str, wanted: Wanted, until: Callable[[Reading], bool]) -> None:
        self.last_id = last_id
        self.headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        self.query = [*wanted, ("from", "start")]
        self.events: list[Json] = []
        self.without_data = 0
        self._until = until

    def take(self, id: str | None, kind: str, data: str) -> bool:
        """One event as the library shows it; whether that is enough. A heartbeat may show as one without data."""
        self.last_id = id or self.last_id
        if not data:
            self.without_data += 1
        elif kind != "hello":
            self.events.append(orjson.loads(data))
            assert (self.events[-1]["kind"], str(self.events[-1]["seq"])) == (kind, id)
        return self._until(self)


async def with_httpx_sse(daemon: Daemon, reading: Reading) -> None:
    """Read with `httpx-sse` until it is enough."""
    async with (
        httpx.AsyncClient(base_url=daemon.url, timeout=60, trust_env=False) as client,
        httpx_sse.aconnect_sse(client, "GET", PATH, params=reading.query, headers=reading.headers) as source,
    ):
        async for event in source.aiter_sse():
            if reading.take(event.id, event.event, event.data):
                return
    raise AssertionError("the stream ended")


async def with_sseclient(daemon: Daemon, reading: Reading) -> None:
    """Read with `sseclient-py` over `requests`, in a thread, until it is enough."""

    def read() -> None:
        with (
            requests.Session() as session,
            session.get(
                daemon.url + PATH, params=reading.query, headers=reading.headers, stream=True, timeout=60
            ) as response,
        ):
            response.raise_for_status()
            for event in sseclient.SSEClient(response).events():
                if reading.take(event.id, event.event, event.data):
                    return
        raise AssertionError("the stream ended")

    await asyncio.to_thread(read)


@pytest.mark.parametrize("read", [with_httpx_sse, with_sseclient], ids=["httpx-sse", "sseclient-py"])
@pytest.mark.parametrize(
    "wanted", [(), (("kind", "run.completed"), ("agent", "joiner"))], ids=["all", "some"]
)
async def test_it_reads_history_and_live_and_goes_on_after_a_kill(
    daemon: Daemon, client: Client, read: Callable[[Daemon, Reading], Awaitable[None]], wanted: Wanted
) -> None:
    """What a client passes on as Last-Event-ID is what its library told it, whatever the query said at first."""
    await daemon.start()
    await work(client, 3)
    events: list[Json] = []
    last_id = ""
    for _ in range(3):
        end = str(uuid.uuid4())
        reading = Reading(last_id, wanted, ended(end, wanted))
        async with asyncio.TaskGroup() as group:
            group.create_task(read(daemon, reading))
            group.create_task(work(client, 3, last=end))
        events += reading.events
        last_id = reading.last_id
        assert events == log(daemon, wanted=wanted)
        await restart(daemon, killed=True)


def ended(correlation_id: str, wanted: Wanted) -> Callable[[Reading], bool]:
    """Enough is the last event that a workflow has for this filter."""
    last = "run.completed" if wanted else "correlation.completed"

    def until(reading: Reading) -> bool:
        event = reading.events[-1] if reading.events else None
        return event is not None and (event["correlation_id"], event["kind"]) == (correlation_id, last)

    return until


async def test_heartbeats_move_the_cursor_of_httpx_sse(daemon: Daemon, client: Client) -> None:
    """It shows them as events without data, which is why the docs say to skip those."""
    await daemon.start(settings=SETTINGS)
    head = await work(client, 1)
    nothing = (("kind", "correlation.failed"),)
    reading = Reading("", nothing, lambda reading: reading.last_id == str(head))
    await with_httpx_sse(daemon, reading)
    assert reading.events == []
    assert reading.without_data >= 1
