"""Each step of the write door is tried by name: SIGKILL there, a restart, and all is there or nothing is."""

import contextlib
import signal
import uuid

import pytest

from .client import Client, CutError
from .daemon import Daemon
from .tail import Tail, read_log

pytestmark = pytest.mark.timeout(120)
BEFORE = ("taken", "loaded", "decided", "applied")
"""The steps at which nothing of the group is durable yet."""
AFTER = ("committed", "told")
KEY = "one-key"


def armed(step: str, command: str) -> tuple[str, ...]:
    """The program that dies at this step of the first group with this command."""
    return ("-m", "tests.process.crashing", step, command)


async def died(daemon: Daemon) -> None:
    """The daemon has reached the crash point, and what it left behind is in order."""
    assert await daemon.wait() == -signal.SIGKILL
    await daemon.verify()


@pytest.mark.parametrize("step", BEFORE + AFTER)
async def test_a_publish_is_there_wholly_or_not_at_all(
    daemon: Daemon, client: Client, tail: Tail, step: str
) -> None:
    correlation_id = str(uuid.uuid4())
    await daemon.start(program=armed(step, "Publish"))
    with contextlib.suppress(CutError) if step == "told" else pytest.raises(CutError):
        await client.publish("A", {"n": 1}, key=KEY, correlation_id=correlation_id)
    await died(daemon)

    await daemon.start()
    there = step in AFTER
    await tail.quiet()
    status = await client.status(correlation_id)
    assert status["state"] == ("completed" if there else "not_found")
    assert [a["type"] for a in await client.artifacts()] == (["A", "B", "C", "D"] if there else [])
    assert len(await client.runs()) == (3 if there else 0)
    assert len(tail.of("artifact.published")) == (4 if there else 0)
    assert (await client.get("/api/v1/artifacts/summary"))["summary"]["total_count"] == (4 if there else 0)

    again = await client.publish("A", {"n": 1}, key=KEY, correlation_id=correlation_id)
    assert again.accepted()["correlation_id"] == correlation_id
    assert again.replayed == there
    await tail.until("correlation.completed", correlation_id=correlation_id)
    await complete_once(client, tail)
    await daemon.verify()


@pytest.mark.parametrize("step", ["applied", "committed"])
async def test_a_bulk_is_there_wholly_or_not_at_all(
    daemon: Daemon, client: Client, tail: Tail, step: str
) -> None:
    await daemon.start(program=armed(step, "PublishMany"))
    items = [{"type": "A", "payload": {"n": n}} for n in range(5)]
    with pytest.raises(CutError):
        await client.publish_bulk(items, key=KEY)
    await died(daemon)

    await daemon.start()
    await tail.quiet()
    assert len(await client.artifacts()) == (4 * len(items) if step in AFTER else 0)
    again = await client.publish_bulk(items, key=KEY)
    assert again.accepted()["accepted"] == len(items)
    assert again.replayed == (step in AFTER)
    await tail.quiet()
    assert len(await client.artifacts()) == 4 * len(items)
    assert {run["state"] for run in await client.runs()} == {"completed"}
    await daemon.verify()


@pytest.mark.parametrize("step", ["applied", "committed"])
async def test_an_answer_is_kept_or_made_again(daemon: Daemon, client: Client, tail: Tail, step: str) -> None:
    await daemon.start(program=armed(step, "KeepAnswer"))
    with contextlib.suppress(CutError):
        await client.publish_sync("A", {"n": 1}, key=KEY)
    await died(daemon)

    await daemon.start()
    again = await client.publish_sync("A", {"n": 1}, key=KEY)
    assert again.accepted()["completed"] is True
    assert again.replayed
    assert [a["type"] for a in again.body["artifacts"]] == ["B", "C", "D"]
    await tail.quiet()
    await complete_once(client, tail)
    await daemon.verify()


@pytest.mark.parametrize("step", BEFORE + AFTER)
async def test_a_finish_is_there_wholly_or_not_at_all(
    daemon: Daemon, client: Client, tail: Tail, step: str
) -> None:
    await daemon.start(program=armed(step, "Finish"))
    with contextlib.suppress(CutError):
        await client.publish("A", {"n": 1}, key=KEY)
    await died(daemon)

    await daemon.start()
    await tail.quiet()
    run_id = tail.of("run.started", agent="first")[0]["run_id"]
    retried = [e["data"]["reason"] for e in tail.of("run.retrying", run_id=run_id)]
    assert retried == ([] if step in AFTER else ["restart"])
    assert (await client.get(f"/api/v1/runs/{run_id}"))["attempt"] == 1
    await complete_once(client, tail)
    await daemon.verify()


@pytest.mark.parametrize("step", ["applied", "committed"])
async def test_a_failure_is_there_wholly_or_not_at_all(
    daemon: Daemon, client: Client, tail: Tail, step: str
) -> None:
    await daemon.start(program=armed(step, "Fail"))
    with contextlib.suppress(CutError):
        await client.publish("Stubborn", {"n": 1, "failures": 1}, key=KEY)
    await died(daemon)

    await daemon.start()
    await tail.quiet()
    (run,) = await client.runs()
    assert (run["state"], run["attempt"]) == ("completed", 2)
    assert [a["type"] for a in await client.artifacts()] == ["Stubborn", "Persuaded"]
    await daemon.verify()


@pytest.mark.parametrize("step", ["applied", "committed"])
async def test_a_claim_is_there_wholly_or_not_at_all(
    daemon: Daemon, client: Client, tail: Tail, step: str
) -> None:
    await daemon.start(program=armed(step, "Claim"))
    items = [{"type": "Queued", "payload": {"n": n}} for n in range(5)]
    with contextlib.suppress(CutError):
        await client.publish_bulk(items, key=KEY)
    await died(daemon)

    await daemon.start()
    await tail.quiet()
    assert [(run["agent"], run["state"]) for run in await client.runs()] == [("clerk", "completed")] * 5
    assert len(await client.artifacts(type="Served")) == 5
    await daemon.verify()


async def complete_once(client: Client, tail: Tail) -> None:
    """The one chain is on the board once, and the watcher that saw the crash saw the log as it is."""
    assert [a["type"] for a in await client.artifacts()] == ["A", "B", "C", "D"]
    runs = await client.runs()
    assert sorted((run["agent"], run["state"]) for run in runs) == [
        ("first", "completed"),
        ("joiner", "completed"),
        ("second", "completed"),
    ]
    assert sorted(e["run_id"] for e in tail.of("run.completed")) == sorted(run["id"] for run in runs)
    assert not tail.open
    assert tail.events == await read_log(tail.daemon)
