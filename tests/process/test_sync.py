"""A caller waits for its own workflow and for no other, and a correlation's status says what is so."""

import asyncio
import uuid

import pytest

from .client import Client
from .daemon import Daemon
from .tail import Tail

pytestmark = pytest.mark.timeout(120)


async def test_a_short_workflow_beside_a_long_one_answers_first(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start()
    order: list[str] = []

    async def wait_for(name: str, seconds: float) -> None:
        answer = await client.publish_sync("Slow", {"n": 1, "seconds": seconds})
        assert [a["type"] for a in answer.accepted()["artifacts"]] == ["Slept"]
        order.append(name)

    long = asyncio.create_task(wait_for("long", 5))
    await tail.until("run.started", agent="sleeper")
    await asyncio.gather(*(wait_for("short", 0.05) for _ in range(5)))
    assert not tail.of("run.completed", run_id=tail.of("run.started")[0]["run_id"])
    await long
    assert order == ["short"] * 5 + ["long"]


async def test_status_is_active_while_an_agent_runs(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start()
    correlation_id = str(uuid.uuid4())
    (await client.publish("Slow", {"n": 1, "seconds": 3}, correlation_id=correlation_id)).accepted()
    await tail.until("run.started", correlation_id=correlation_id)
    status = await client.status(correlation_id)
    assert (status["state"], status["has_pending_work"], status["artifact_count"]) == ("active", True, 1)
    await tail.until("correlation.completed", correlation_id=correlation_id)
    status = await client.status(correlation_id)
    assert (status["state"], status["has_pending_work"], status["artifact_count"]) == ("completed", False, 2)


async def test_status_is_failed_when_the_only_agent_fails(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    answer = (await client.publish_sync("Doomed", {"n": 7})).accepted()
    assert (answer["completed"], answer["state"], answer["artifacts"]) == (True, "failed", [])
    assert [(e["agent"], "number 7 cannot be done" in e["error"]) for e in answer["errors"]] == [
        ("loser", True)
    ]
    status = await client.status(answer["correlation_id"])
    assert (status["state"], status["error_count"]) == ("failed", 1)


async def test_every_kind_of_agent_runs_in_the_process(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    thread, fan, stubborn = await asyncio.gather(
        client.publish_sync("Word", {"n": 1, "text": "flock"}),
        client.publish_sync("Many", {"n": 2, "count": 7}),
        client.publish_sync("Stubborn", {"n": 3, "failures": 2}),
    )
    assert [a["type"] for a in thread.accepted()["artifacts"]] == ["Digest"]
    assert [a["payload"]["index"] for a in fan.accepted()["artifacts"]] == list(range(7))
    assert [a["payload"]["attempt"] for a in stubborn.accepted()["artifacts"]] == [3]
    await daemon.verify()
