"""The flock that the process tests serve, and what each of its publications must come to."""

import asyncio
import hashlib
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from flockd import Context, Flock

flock = Flock(name="process")


class Numbered(BaseModel):
    """What a client publishes carries a number of the test's own, by which it is found again."""

    n: int


class A(Numbered):
    """The start of the chain A → B → C."""

    padding: str = ""


class B(Numbered):
    """The middle of the chain."""


class C(Numbered):
    """The end of the chain."""


class D(Numbered):
    """What the join of B and C makes."""

    total: int


class Word(Numbered):
    """Work for a thread."""

    text: str


class Digest(Numbered):
    """What the thread made of a word."""

    sha256: str


class Stubborn(Numbered):
    """Work that fails this many times before it succeeds."""

    failures: int


class Persuaded(Numbered):
    """The end of stubborn work."""

    attempt: int


class Doomed(Numbered):
    """Work that always fails."""


class Never(Numbered):
    """What doomed work would make."""


class Slow(Numbered):
    """Work that takes this long."""

    seconds: float


class Slept(Numbered):
    """The end of slow work."""


class Stuck(Numbered):
    """Work that holds a thread this long."""

    seconds: float


class Loose(Numbered):
    """The end of stuck work."""


class Queued(Numbered):
    """Work for an agent that does one thing at a time."""

    seconds: float = 0.0


class Served(Numbered):
    """The end of queued work."""


class Bomb(Numbered):
    """Work that kills the process that does it."""


class Crater(Numbered):
    """What nobody ever sees."""


class Many(Numbered):
    """Work that makes this many artifacts."""

    count: int


class One(Numbered):
    """One of many."""

    index: int


@flock.agent
async def first(a: A) -> B:
    """A becomes B."""
    return B(n=a.n)


@flock.agent
async def second(b: B) -> C:
    """B becomes C."""
    return C(n=b.n)


@flock.agent
async def joiner(b: B, c: C) -> D:
    """A B and a C of one correlation become one D."""
    return D(n=b.n, total=b.n + c.n)


@flock.agent
def hasher(word: Word) -> Digest:
    """Runs in a thread."""
    return Digest(n=word.n, sha256=hashlib.sha256(word.text.encode()).hexdigest())


@flock.agent(retries=3)
async def persuader(work: Stubborn, ctx: Context) -> Persuaded:
    """Fails as often as it is told, then works."""
    if ctx.attempt <= work.failures:
        raise RuntimeError(f"attempt {ctx.attempt} of {work.failures} that fail")
    return Persuaded(n=work.n, attempt=ctx.attempt)


@flock.agent
async def loser(work: Doomed) -> Never:
    """Always fails."""
    raise RuntimeError(f"number {work.n} cannot be done")


@flock.agent
async def sleeper(work: Slow) -> Slept:
    """Takes the time that it is told, and prints when it is done, which is before its outcome is stored."""
    await asyncio.sleep(work.seconds)
    print(f"slept: {work.n}", flush=True)
    return Slept(n=work.n)


@flock.agent
def blocker(work: Stuck) -> Loose:
    """Holds its thread, deaf to any cancellation."""
    time.sleep(work.seconds)
    return Loose(n=work.n)


@flock.agent(max_concurrency=1)
async def clerk(work: Queued) -> Served:
    """Serves one after the other."""
    await asyncio.sleep(work.seconds)
    return Served(n=work.n)


@flock.agent
async def killer(bomb: Bomb) -> Crater:
    """Ends the process as the kernel's memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Crater(n=bomb.n)


@flock.agent
async def spreader(work: Many) -> list[One]:
    """Fans out."""
    return [One(n=work.n, index=index) for index in range(work.count)]


@dataclass(frozen=True)
class Outcome:
    """What one publication must come to: artifacts by type (not itself), runs by agent and final state."""

    artifacts: Counter[str]
    runs: Counter[tuple[str, str]]


def outcome(kind: str, payload: dict[str, Any]) -> Outcome:
    """The outcome of publishing `payload` as an artifact of type `kind`."""
    done = "completed"
    artifacts, runs = {
        "A": ({"B": 1, "C": 1, "D": 1}, {("first", done): 1, ("second", done): 1, ("joiner", done): 1}),
        "Word": ({"Digest": 1}, {("hasher", done): 1}),
        "Stubborn": ({"Persuaded": 1}, {("persuader", done): 1}),
        "Doomed": ({}, {("loser", "dead"): 1}),
        "Slow": ({"Slept": 1}, {("sleeper", done): 1}),
        "Queued": ({"Served": 1}, {("clerk", done): 1}),
        "Many": ({"One": payload.get("count", 0)}, {("spreader", done): 1}),
    }[kind]
    return Outcome(Counter(artifacts), Counter(runs))
