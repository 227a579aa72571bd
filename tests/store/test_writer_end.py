"""How the writer ends: told to, in the wrong moment, and by what it cannot survive."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flockd.errors import Unavailable
from flockd.store.command import Needs
from flockd.store.state import State
from flockd.store.writer import Committed

from ..rig import LIMIT_SECONDS, Rigs
from .test_writer import failing_group, fatal, wrapped


class Asked:
    """A command that changes nothing."""

    inside = False

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> str:
        return "decided"


class Found(deque[Any]):
    """A queue of commands. `once_empty` runs, once, right after the writer's thread has found it empty."""

    def __init__(self, once_empty: Callable[[], None]) -> None:
        super().__init__()
        self._once_empty: Callable[[], None] | None = once_empty

    def __len__(self) -> int:
        found = super().__len__()
        if threading.current_thread().name == "flockd-writer" and not found and self._once_empty is not None:
            once_empty, self._once_empty = self._once_empty, None
            once_empty()
        return found


async def test_a_command_that_comes_right_before_the_close_is_stored_too(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Future[Any]] = []
    both = asyncio.Event()

    async def ask_and_close() -> None:
        asked.append(rig.writer.submit(Asked()))
        asked.append(rig.soon(rig.writer.close()))
        await asyncio.sleep(0)  # the close begins
        both.set()

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(ask_and_close(), loop).result(LIMIT_SECONDS)

    await rig.passed()
    rig.writer._outside = Found(meanwhile)
    rig.writer._bell.put(None)
    async with asyncio.timeout(LIMIT_SECONDS):
        await both.wait()
        answer, closed = asked
        await closed
        assert await answer == "decided"


async def test_it_closes_although_agents_hold_all_threads_of_the_default_executor(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = loop.run_in_executor(None, release.wait)  # as `asyncio.to_thread` in an agent would
    try:
        await rig.publish("B", 1)
        async with asyncio.timeout(LIMIT_SECONDS):
            await rig.writer.close()
        assert not rig.writer.thread.is_alive()
    finally:
        release.set()
        await held


async def test_after_a_commit_of_unknown_outcome_the_log_is_left_to_the_next_start(rigs: Rigs) -> None:
    rig, connection = await wrapped(rigs)
    async with failing_group(rig, connection):
        asked = rig.soon(rig.publish("B", 1))
    await asyncio.gather(asked, return_exceptions=True)
    await fatal(rig)
    connection.heal()
    connection.counts.clear()
    await rig.writer.close()
    assert connection.counts["PRAGMA"] == 0, "nothing was moved into the file"


async def test_what_was_stored_is_answered_so_although_it_could_not_be_told(rigs: Rigs) -> None:
    rig, _ = await wrapped(rigs)
    told: list[Committed] = []

    def fail(committed: Committed) -> None:
        told.append(committed)
        raise ZeroDivisionError("a bug")

    rig.writer._on_commit = fail
    assert (await rig.publish("B", 1)).seq > 0
    assert await fatal(rig) == "what was committed could not be told"
    with pytest.raises(Unavailable, match="shutting down"):
        await rig.publish("B", 2)
    await rig.writer.close()
    assert (await rig.reads.totals())["artifacts"] == 1
    assert len(told) == 1
