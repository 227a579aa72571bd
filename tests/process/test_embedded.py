"""A daemon in somebody else's program, which may end it and go on, or serve from a thread of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from .daemon import READY, START_SECONDS, environment

pytestmark = pytest.mark.timeout(120)

FLOCK = """
import asyncio, signal, sys, threading
from pydantic import BaseModel
from flockd import Flock

flock = Flock()
begun, stopped = [], []

class Work(BaseModel):
    pass

@flock.agent
async def waiter(work: Work) -> None:
    begun.append("waiter")
    print("at work:", len(begun), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        stopped.append("waiter")

async def line():
    return await asyncio.to_thread(sys.stdin.readline)
"""
TWICE = """
async def main():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):
        serving = asyncio.create_task(flock.serve(port=0))
        await line()
        serving.cancel()
        await asyncio.wait([serving])
        after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
        print("ended:", serving.cancelled(), stopped, left, before == after, flush=True)

asyncio.run(main())
"""
THREAD = """
threading.Thread(target=lambda: asyncio.run(flock.serve(port=0)), daemon=True).start()
asyncio.run(line())
"""


class Program:
    """A Python program at work. What it prints is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed: list[str] = []

    async def until(self, text: str) -> str:
        """The next line with this text."""
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while not self.printed or text not in self.printed[-1]:
                line = await self._process.stdout.readline()
                assert line, "".join(self.printed)
                self.printed.append(line.decode())
        return self.printed[-1]

    async def ready(self) -> str:
        """The address of the daemon that is ready next."""
        found = READY.search(await self.until("flockd ready"))
        assert found is not None
        return found[1]

    async def go_on(self) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()

    async def end(self) -> int:
        async with asyncio.timeout(START_SECONDS):
            rest, _ = await self._process.communicate()
        self.printed.append(rest.decode())
        assert self._process.returncode is not None
        return self._process.returncode


@asynccontextmanager
async def program(folder: Path, text: str) -> AsyncIterator[Program]:
    (folder / "program.py").write_text(FLOCK + text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "program.py"),
        cwd=folder,
        env=environment() | {"FLOCKD_SHUTDOWN__GRACE_SECONDS": "0.1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Program(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
        print("".join(running.printed))


async def publish(url: str) -> int:
    """The status of a publication that sets the agent to work."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v1/artifacts", json={"type": "Work", "payload": {}}) as response,
    ):
        return response.status


async def test_whoever_cancels_it_has_all_of_it_ended_and_may_serve_again(tmp_path: Path) -> None:
    async with program(tmp_path, TWICE) as running:
        for stopped in (["waiter"], ["waiter"] * 3):  # the second time it takes up the first one's, too
            url = await running.ready()
            assert await publish(url) == 200
            await running.until(f"at work: {len(stopped)}")
            await running.go_on()
            assert f"ended: True {stopped} [] True" in await running.until("ended:")
            with pytest.raises(aiohttp.ClientConnectorError):
                await publish(url)
        assert await running.end() == 0


async def test_it_serves_from_any_thread(tmp_path: Path) -> None:
    async with program(tmp_path, THREAD) as running:
        assert await publish(await running.ready()) == 200
        await running.go_on()
        assert await running.end() == 0
