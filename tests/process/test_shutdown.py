"""Starting, refusing to start, and every way of being asked to stop."""

import asyncio
import signal
import socket
import uuid

import pytest

from .client import Client, CutError
from .daemon import Daemon, DaemonEndedError
from .tail import Tail

pytestmark = pytest.mark.timeout(120)
UNFINISHED = {"FLOCKD_SHUTDOWN__GRACE_SECONDS": "1", "FLOCKD_LIMITS__RUN_CRASHES": "1"}
"""A drain is no crash: with one crash allowed, what a drain cut short must still be taken up again."""


def complaints(daemon: Daemon) -> list[str]:
    """What the interpreter had to say against the daemon."""
    words = ("Traceback", "Warning:", "was never retrieved", "was destroyed but it is pending")
    return [line for line in daemon.lines if any(word in line for word in words)]


async def test_the_ready_line_means_ready(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    assert await client.code("/ready") == 200
    assert (await client.request("GET", "/health")).body["status"] == "ok"
    assert str(daemon.file) in daemon.output
    assert sum("flockd ready on" in line for line in daemon.lines) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_an_idle_daemon_leaves_cleanly(daemon: Daemon, tail: Tail, number: signal.Signals) -> None:
    await daemon.start()
    await tail.live()
    daemon.send(number)
    assert await daemon.wait() == 0
    await tail.ended()
    assert complaints(daemon) == []
    await daemon.verify()


async def test_what_ends_within_the_grace_is_stored(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start(settings={"FLOCKD_SHUTDOWN__GRACE_SECONDS": "30"})
    accepted = (await client.publish("Slow", {"n": 1, "seconds": 3})).accepted()
    started = await tail.until("run.started", agent="sleeper")
    daemon.terminate()

    await client.until_code("/ready", 503)
    refused = await client.publish("Slow", {"n": 2, "seconds": 0})
    assert (refused.status, refused.body["error"]) == (503, "UNAVAILABLE")
    assert "Retry-After" in refused.headers
    assert await client.code("/health") == 200

    assert await daemon.wait() == 0
    await tail.ended()
    assert [e["data"].get("reason") for e in tail.of("run.retrying")] == []
    assert tail.of("run.completed", run_id=started["run_id"])
    assert tail.of("correlation.completed", correlation_id=accepted["correlation_id"])
    assert complaints(daemon) == []

    await daemon.start()
    run = await client.get(f"/api/v1/runs/{started['run_id']}")
    assert (run["state"], run["attempt"]) == ("completed", 1)
    assert [a["type"] for a in await client.artifacts()] == ["Slow", "Slept"]
    await daemon.verify()


async def test_what_outlasts_the_grace_is_taken_up_again(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start(settings=UNFINISHED)
    accepted = (await client.publish("Slow", {"n": 1, "seconds": 4})).accepted()
    run_id = (await tail.until("run.started", agent="sleeper"))["run_id"]
    daemon.terminate()
    assert await daemon.wait() == 0
    assert complaints(daemon) == []
    await daemon.verify()

    await daemon.start(settings=UNFINISHED)
    await tail.until("correlation.completed", correlation_id=accepted["correlation_id"])
    assert [e["data"]["reason"] for e in tail.of("run.retrying", run_id=run_id)] == ["restart"]
    run = await client.get(f"/api/v1/runs/{run_id}")
    assert (run["state"], run["attempt"]) == ("completed", 1)
    assert [a["type"] for a in await client.artifacts()] == ["Slow", "Slept"]
    await daemon.verify()


async def test_a_sync_waiter_is_told_where_its_work_goes_on(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start(settings=UNFINISHED)
    correlation_id = str(uuid.uuid4())
    waiter = asyncio.create_task(
        client.publish_sync("Slow", {"n": 1, "seconds": 4}, correlation_id=correlation_id)
    )
    await tail.until("run.started", agent="sleeper")
    daemon.terminate()
    cut = await waiter
    assert (cut.status, cut.body["error"]) == (503, "UNAVAILABLE")
    assert cut.body["details"]["correlation_id"] == correlation_id
    assert await daemon.wait() == 0

    await daemon.start(settings=UNFINISHED)
    await tail.until("correlation.completed", correlation_id=correlation_id)
    assert [a["type"] for a in await client.artifacts(correlation_id=correlation_id)] == ["Slow", "Slept"]


async def test_a_second_signal_ends_it_at_once(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start(settings={"FLOCKD_SHUTDOWN__GRACE_SECONDS": "600"})
    accepted = (await client.publish("Slow", {"n": 1, "seconds": 300})).accepted()
    run_id = (await tail.until("run.started", agent="sleeper"))["run_id"]
    daemon.terminate()
    await client.until_code("/ready", 503)
    daemon.terminate()
    await daemon.wait(limit=20)
    await daemon.verify()

    await daemon.start()
    assert (await client.status(accepted["correlation_id"]))["state"] == "active"
    await tail.until("run.retrying", run_id=run_id)
    assert (await client.get(f"/api/v1/runs/{run_id}"))["attempt"] == 1
    (await client.request("POST", f"/api/v1/correlations/{accepted['correlation_id']}/cancel")).accepted()
    await tail.until("correlation.cancelled", correlation_id=accepted["correlation_id"])
    await daemon.verify()


async def test_a_thread_that_does_not_end_does_not_hold_the_exit(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start(settings=UNFINISHED)
    accepted = (await client.publish("Stuck", {"n": 1, "seconds": 4})).accepted()
    await tail.until("run.started", agent="blocker")
    daemon.terminate()
    assert await daemon.wait(limit=20) == 0
    await daemon.start(settings=UNFINISHED)
    await tail.until("correlation.completed", correlation_id=accepted["correlation_id"])
    assert [a["type"] for a in await client.artifacts()] == ["Stuck", "Loose"]


async def test_a_terminal_that_is_closed_may_say_so_twice(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start(settings={"FLOCKD_SHUTDOWN__GRACE_SECONDS": "30"})
    (await client.publish("Slow", {"n": 1, "seconds": 2})).accepted()
    await tail.until("run.started", agent="sleeper")
    daemon.send(signal.SIGHUP)
    await client.until_code("/ready", 503)
    daemon.send(signal.SIGHUP)
    assert await daemon.wait() == 0
    assert "slept: 1" in daemon.output


async def test_a_busy_port_names_the_option(daemon: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DaemonEndedError) as ended:
            await daemon.start("--port", str(taken.getsockname()[1]))
    assert ended.value.code == 1
    assert "--port" in ended.value.output
    assert "Traceback" not in ended.value.output


async def test_a_second_daemon_on_one_store_is_refused(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    second = Daemon(daemon.folder)
    try:
        with pytest.raises(DaemonEndedError) as ended:
            await second.start()
    finally:
        await second.close()
    assert ended.value.code == 1
    assert str(daemon.folder) in ended.value.output
    assert "Traceback" not in ended.value.output
    assert (await client.publish_sync("A", {"n": 1})).accepted()["completed"] is True


async def test_a_killed_daemon_leaves_no_lock_behind(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    (await client.publish("A", {"n": 1})).accepted()
    await daemon.kill()
    with pytest.raises(CutError):
        await client.code("/health")
    await daemon.start()
    assert len(await client.artifacts(type="A")) == 1
