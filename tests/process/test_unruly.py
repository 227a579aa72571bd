"""Agents that behave badly harm themselves, and neither the daemon nor its end."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from .client import Client, CutError
from .daemon import END_SECONDS, FLOCKD, READY, Daemon, environment
from .tail import Tail

pytestmark = pytest.mark.timeout(120)
FLOCK = "tests.process.unruly:flock"
HOARDED = 64
"""Threads: more than the default executor of Python has on any machine that runs this."""


@pytest.fixture
async def unruly(daemon: Daemon) -> Daemon:
    daemon.flock = FLOCK
    await daemon.start(settings={"FLOCKD_SHUTDOWN__GRACE_SECONDS": "0.1"})
    return daemon


async def test_a_second_signal_ends_it_although_an_agent_holds_the_loop(
    unruly: Daemon, client: Client
) -> None:
    asking = asyncio.create_task(client.publish("Hold", {"n": 1}))
    await unruly.printed("holding: 1")
    unruly.terminate()
    await unruly.printed(f"heard: {signal.SIGTERM:d}")  # of two that are sent at once one may be lost
    unruly.terminate()
    assert await unruly.wait() == 1
    with suppress(CutError):
        await asking
    await unruly.verify()


async def test_an_agent_that_leaves_by_a_task_of_its_own_has_failed(unruly: Daemon, client: Client) -> None:
    left = (await client.publish_sync("Leave", {"n": 1})).accepted()
    assert left["state"] == "failed"
    assert [error["error"] for error in left["errors"]] == ["SystemExit: 3"]
    assert "an agent tried to end the process" in unruly.output
    worked = (await client.publish_sync("Work", {"n": 2})).accepted()
    assert worked["state"] == "completed"
    unruly.terminate()
    assert await unruly.wait() == 0
    await unruly.verify()


async def test_an_agent_that_stops_the_loop_stops_nothing(unruly: Daemon, client: Client) -> None:
    assert (await client.publish_sync("Stop", {"n": 1})).accepted()["state"] == "completed"
    unruly.terminate()
    assert await unruly.wait() == 0


async def test_an_agent_that_cancels_everything_ends_the_process_and_loses_nothing(
    unruly: Daemon, client: Client
) -> None:
    with suppress(CutError):
        await client.publish("Cancel", {"n": 1})
    assert await unruly.wait() == 70
    assert "flockd ends" in unruly.output
    await unruly.verify()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells when another's child ends")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_what_agents_forked_holds_up_neither_the_next_start_nor_the_end_of_streams(
    unruly: Daemon, client: Client, number: signal.Signals
) -> None:
    """When a daemon is killed such processes live on, with copies of all that it had open."""
    next_one = Daemon(unruly.folder)
    next_one.flock = FLOCK
    async with ClientSession() as session, session.get(f"{unruly.url}/api/v1/events") as events:
        assert b"hello" in await events.content.readline()
        forked = (await client.publish_sync("Fork", {"n": 0})).accepted()
        daemon, child = os.pidfd_open(unruly.pid), os.pidfd_open(forked["artifacts"][0]["payload"]["n"])
        try:
            unruly.send(number)
            await ended(daemon)
            async with asyncio.timeout(END_SECONDS):
                with suppress(ClientError):
                    await events.content.read()
            if number == signal.SIGTERM:
                await ended(child)
            await next_one.start("--port", unruly.url.rpartition(":")[2])
            async with Client(next_one) as another:
                assert (await another.publish_sync("Work", {"n": 1})).accepted()["state"] == "completed"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            os.close(child)
            os.close(daemon)
            await next_one.close()
            print(next_one.output)


async def ended(process: int) -> None:
    """Returns when the process behind this descriptor has ended."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, gone.set)
    try:
        async with asyncio.timeout(END_SECONDS):
            await gone.wait()
    finally:
        loop.remove_reader(process)


async def test_agents_that_hold_threads_hold_up_neither_files_nor_backups(
    unruly: Daemon, client: Client, tail: Tail
) -> None:
    (await client.publish("Hoard", {"n": HOARDED})).accepted()
    await tail.until("run.progress", agent="hoarder")
    assert b"import" in await client.read("/static/agents.js")
    assert (await client.read("/api/v1/admin/backup")).startswith(b"SQLite format 3")
    unruly.terminate()
    assert await unruly.wait() == 0


async def test_it_ends_although_whoever_read_its_output_has_gone(tmp_path: Path) -> None:
    """What could not be printed is lost, and no reason to wait for threads that agents hold."""
    buffered = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}
    settings = {"FLOCKD_SHUTDOWN__GRACE_SECONDS": "0.1", "FLOCKD_STORE__DATA_DIR": str(tmp_path)}
    reads, writes = os.pipe()
    with os.fdopen(reads) as output, os.fdopen(writes) as given:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *FLOCKD, "serve", FLOCK, "--port", "0"), env=buffered | settings, stdout=given
        )
        given.close()
        try:
            ready = READY.search(await asyncio.to_thread(output.readline))
            assert ready is not None
            output.close()
            await hoard(ready[1])
            process.terminate()
            async with asyncio.timeout(END_SECONDS):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def hoard(url: str) -> None:
    """Let an agent hold a thread."""
    work = {"type": "Hoard", "payload": {"n": 1}}
    async with ClientSession() as session, session.get(f"{url}/api/v1/events") as events:
        async with session.post(f"{url}/api/v1/artifacts", json=work) as answer:
            assert answer.status == 200
        async for line in events.content:
            if b"run.progress" in line:
                return
