"""A flock of agents that behave badly: they hold the loop or its threads, or want to end the process."""

import asyncio
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import FrameType
from typing import NoReturn

from flockd import Context, Flock

from .flocks import Numbered

flock = Flock(name="unruly")
pool = ProcessPoolExecutor(1, get_context("fork"))


class Work(Numbered):
    """What is to be done."""


class Done(Numbered):
    """What has been done."""


class Hold(Numbered):
    """Wants the loop to be held."""


class Hoard(Numbered):
    """Wants this many threads of the default executor to be held."""


class Leave(Numbered):
    """Wants the process to end."""


class Stop(Numbered):
    """Wants the loop to end."""


class Fork(Numbered):
    """Wants another process."""


class Forked(Numbered):
    """Where it has been done; `n` is the id of that process."""


class Cancel(Numbered):
    """Wants all tasks to end."""


@flock.agent
async def worker(work: Work) -> Done:
    """As it should be."""
    return Done(n=work.n)


@flock.agent
async def holder(work: Hold) -> None:
    """Holds the loop for ever. Says that it begins, and when a signal has been heard."""
    hear = signal.getsignal(signal.SIGTERM)
    assert callable(hear)

    def heard(number: int, frame: FrameType | None) -> None:
        hear(number, frame)
        print(f"heard: {number}", flush=True)

    signal.signal(signal.SIGTERM, heard)
    print(f"holding: {work.n}", flush=True)
    threading.Event().wait()


@flock.agent
async def hoarder(work: Hoard, ctx: Context) -> None:
    """Holds threads until it is cancelled, and longer."""
    begun = threading.Semaphore(0)

    def wait() -> None:
        begun.release()
        threading.Event().wait()

    waiting = [asyncio.create_task(asyncio.to_thread(wait)) for _ in range(work.n)]
    await asyncio.to_thread(lambda: [begun.acquire() for _ in range(work.n)])
    ctx.progress(0.5)
    await asyncio.gather(*waiting)


@flock.agent
async def leaver(work: Leave) -> Done:
    """Leaves by a task of its own, as a command line that is called as a function does."""

    async def command() -> NoReturn:
        sys.exit(3)

    await asyncio.gather(command())
    return Done(n=work.n)


@flock.agent
async def stopper(work: Stop) -> Done:
    """Stops the loop in which everything runs."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return Done(n=work.n)


@flock.agent
async def canceller(work: Cancel) -> None:
    """Cancels whatever there is, as a program does at its end."""
    for task in asyncio.all_tasks():
        task.cancel()


@flock.agent
async def forker(work: Fork) -> Forked:
    """Works in a process that is forked from the daemon, and waits there for more."""
    return Forked(n=await asyncio.get_running_loop().run_in_executor(pool, os.getpid))
