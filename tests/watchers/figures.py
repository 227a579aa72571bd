"""What a daemon says and shows of its streams: its metrics, and its descriptors as the system has them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.process.daemon import Daemon

_SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
LIMIT_SECONDS = 60.0


async def figure(daemon: Daemon, name: str) -> int:
    """One metric, summed over its labels. Asked for over a connection that is closed again."""
    async with aiohttp.ClientSession() as session, session.get(f"{daemon.url}/metrics") as response:
        samples = [value for found, value in _SAMPLE.findall(await response.text()) if found == name]
    assert samples, f"there is no metric {name}"
    return int(sum(map(float, samples)))


async def until_figure(
    daemon: Daemon, name: str, condition: Callable[[int], bool], limit: float = LIMIT_SECONDS
) -> int:
    """Ask until the metric is as wanted."""
    value = -1
    try:
        async with asyncio.timeout(limit):
            while not condition(value := await figure(daemon, name)):
                pass
    except TimeoutError:
        raise AssertionError(f"{name} is still {value} after {limit} s") from None
    return value


async def until_descriptors(daemon: Daemon, most: int, limit: float = LIMIT_SECONDS) -> None:
    """Look until the daemon has no more descriptors open than this."""
    try:
        async with asyncio.timeout(limit):
            while descriptors(daemon) > most:
                await figure(daemon, "flockd_stream_subscribers")  # each answer is a turn of its loop
    except TimeoutError:
        raise AssertionError(f"{descriptors(daemon)} descriptors are open, not {most}") from None


def descriptors(daemon: Daemon) -> int:
    """How many it has open now; 0 where the system does not tell (it does on Linux)."""
    folder = Path(f"/proc/{daemon.pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0
