"""`flockd tail` beside a daemon that is killed: every event once, in order, over all its lives."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from .client import Client
from .daemon import FLOCKD, Daemon, environment
from .tail import read_log

LIMIT_SECONDS = 60.0


@asynccontextmanager
async def tailing(daemon: Daemon, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`flockd tail --json` of this daemon as a process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *FLOCKD, "tail", "--json", "--url", daemon.url, *arguments),
        cwd=daemon.folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def seqs(process: asyncio.subprocess.Process, until: int) -> list[int]:
    """What it prints next, up to the event with this seq."""
    assert process.stdout is not None
    read: list[int] = []
    async with asyncio.timeout(LIMIT_SECONDS):
        while not read or read[-1] < until:
            line = await process.stdout.readline()
            assert line, "tail has ended"
            read.append(json.loads(line)["seq"])
    return read


async def restart(daemon: Daemon) -> None:
    """On the port that it had: its clients know no other."""
    await daemon.start("--port", str(urlsplit(daemon.url).port))


@pytest.mark.timeout(180)
async def test_it_resumes_over_restarts_without_a_gap_or_a_repeat(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    async with tailing(daemon, "--from-start") as process:
        read: list[int] = []
        for number, end in enumerate((signal.SIGKILL, signal.SIGTERM, None)):
            (await client.publish_sync("A", {"n": number})).accepted()
            log = [event["seq"] for event in await read_log(daemon)]
            read += await seqs(process, log[-1])
            assert read == log
            if end is not None:
                daemon.send(end)
                await daemon.wait()
                await restart(daemon)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await process.communicate()
    assert (process.returncode, output) == (0, b"")
    told = errors.decode().splitlines()
    assert "The daemon is ending." in told
    assert sum(line.endswith("Reconnecting.") for line in told) == 2


@pytest.mark.timeout(180)
async def test_a_workflow_is_followed_over_a_kill_to_its_end(daemon: Daemon, client: Client) -> None:
    await daemon.start()
    slow = (await client.publish("Slow", {"n": 1, "seconds": 2.0})).accepted()
    doomed = (await client.publish("Doomed", {"n": 2})).accepted()
    for published, state, code in ((slow, "completed", 0), (doomed, "failed", 1)):
        workflow = published["correlation_id"]
        async with tailing(daemon, workflow) as process:
            if published is slow:
                await seqs(process, published["seq"])
                await daemon.kill()
                await restart(daemon)
            async with asyncio.timeout(LIMIT_SECONDS):
                output, _ = await process.communicate()
            assert process.returncode == code
        assert json.loads(output.splitlines()[-1])["kind"] == f"correlation.{state}"
