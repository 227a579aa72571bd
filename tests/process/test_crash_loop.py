"""An agent that kills the process is found out and stopped, and nobody else pays for it."""

import asyncio
import contextlib
import signal

import pytest

from .client import Client, CutError
from .daemon import Daemon, DaemonEndedError
from .tail import Tail

CRASHES = 3
SETTINGS = {"FLOCKD_LIMITS__RUN_CRASHES": str(CRASHES)}
NEIGHBOURS = 4


async def survives(daemon: Daemon, tail: Tail) -> bool:
    """Start the daemon; whether it lives until the run that kills it is dead."""
    with contextlib.suppress(DaemonEndedError):
        await daemon.start(settings=SETTINGS)
    ended = asyncio.create_task(daemon.wait(60))
    given_up = asyncio.create_task(tail.until("run.failed", agent="killer", limit=60))
    done, waiting = await asyncio.wait({ended, given_up}, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if ended in done:
        assert ended.result() == -signal.SIGKILL
    return given_up in done


@pytest.mark.timeout(180)
async def test_a_run_that_kills_the_process_becomes_dead(daemon: Daemon, client: Client, tail: Tail) -> None:
    await daemon.start(settings=SETTINGS)
    for n in range(NEIGHBOURS):
        (await client.publish("Slow", {"n": n, "seconds": 1})).accepted()
        (await client.publish("A", {"n": n})).accepted()
    with contextlib.suppress(CutError):
        await client.publish("Bomb", {"n": 99})
    assert await daemon.wait() == -signal.SIGKILL

    deaths = 1
    while not await survives(daemon, tail):
        deaths += 1
        assert deaths <= CRASHES, "the run was started again after it had used up its crashes"
    assert deaths == CRASHES

    await tail.quiet()
    (bomb,) = await client.runs(agent="killer")
    assert bomb["state"] == "dead"
    assert bomb["attempt"] == 1
    assert "crash" in str(bomb["error"]).lower()
    assert str(CRASHES) in str(bomb["error"])
    status = await client.status(bomb["correlation_id"])
    assert (status["state"], status["error_count"]) == ("failed", 1)

    others = [run for run in await client.runs() if run["agent"] != "killer"]
    assert {run["state"] for run in others} == {"completed"}
    assert len(await client.artifacts(type="Slept")) == NEIGHBOURS
    assert len(await client.artifacts(type="D")) == NEIGHBOURS
    await daemon.verify()

    await daemon.kill()
    await daemon.start(settings=SETTINGS)
    assert (await client.publish_sync("A", {"n": 100})).accepted()["completed"] is True
    assert [run["state"] for run in await client.runs(agent="killer")] == ["dead"]
