"""A daemon in this process: what its streams had, tasks and sockets and places, is gone when they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel

from flockd import Flock
from flockd.api.keys import STREAMS
from flockd.app import make_app
from flockd.config import Config
from tests.streams.world import until

from .raw_streams import TRANSPORTS, RawStream, open_streams

SMALL = {"ring_bytes": 4096, "buffer_bytes": 16_384, "heartbeat_seconds": 0.2, "stall_seconds": 3600}
"""Of the settings of the streams: who does not read falls behind at once, and is not cut for it."""
PADDING = "x" * 60_000

flock = Flock(name="watched")


@flock.type
class Note(BaseModel):
    """Wakes nobody."""

    text: str


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[web.Application, str]]:
    """A daemon on a port of its own."""
    config = Config.model_validate({"store": {"data_dir": folder}, "streams": SMALL})
    runner = web.AppRunner(make_app(config, flock), handler_cancellation=True, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.app, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def sockets() -> int:
    """Open sockets of this process, where it can be told (Linux)."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return found


def new_tasks(before: Set[asyncio.Task[object]]) -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() - before}


@pytest.mark.parametrize("go", [RawStream.leave, RawStream.reset], ids=["FIN", "RST"])
async def test_live_streams_and_those_behind_leave_nothing(
    tmp_path: Path, go: Callable[[RawStream], None]
) -> None:
    async with serving(tmp_path) as (app, url), aiohttp.ClientSession(url) as session:

        async def publish(text: str) -> None:
            note = {"type": "Note", "payload": {"text": text}}
            async with session.post("/api/v1/artifacts", json=note) as answer:
                assert answer.status == 200, await answer.text()

        await publish("the connection that publishes is open from now on")
        tasks, open_sockets = asyncio.all_tasks(), sockets()
        async with (
            open_streams(url, TRANSPORTS * 8) as live,
            open_streams(url, TRANSPORTS * 2, receive_bytes=4096) as deaf,
        ):
            for _ in range(60):
                await publish(PADDING)
            figures = app[STREAMS].figures
            await until(lambda: figures().disk_readers >= len(deaf))
            assert app[STREAMS].count == len(live) + len(deaf)
            for stream in (*live, *deaf):
                go(stream)
            await until(lambda: app[STREAMS].count == 0)
            await until(lambda: not new_tasks(tasks))
        await until(lambda: sockets() <= open_sockets)
        assert sum(figures().subscribers.values()) == figures().disk_readers == 0
        assert app[STREAMS].cut_readers == 0
