"""The flock that is measured. Its agents do nothing, so that what is timed is flockd."""

import asyncio
import time

from pydantic import BaseModel

from bench.compute import compute_for
from flockd import Flock

flock = Flock(name="bench")

LEAVES_PER_TREE = 50
"""How many artifacts each of the two fan-out agents makes of one `Seed`: one list page."""


# Artifacts that wake nobody.


@flock.type
class Ping(BaseModel):
    n: int
    text: str


@flock.type
class Note(BaseModel):
    n: int
    text: str


@flock.type
class Reading(BaseModel):
    n: int
    text: str


# The two-agent chain: three commits, one for the publication and one for each run.


class A(BaseModel):
    n: int


class B(BaseModel):
    n: int


class C(BaseModel):
    n: int


@flock.agent
async def first(a: A) -> B:
    """Turns an A into a B."""
    return B(n=a.n)


@flock.agent
async def second(b: B) -> C:
    """Turns a B into a C."""
    return C(n=b.n)


class Hop(BaseModel):
    left: int


def hops_left(hop: Hop) -> bool:
    """Ends the chain: the last `Hop` wakes nobody."""
    return hop.left > 0


@flock.agent(where=hops_left, prevent_self_trigger=False)
async def hopper(hop: Hop) -> Hop:
    """Wakes itself until no hops are left."""
    return Hop(left=hop.left - 1)


class Mark(BaseModel):
    n: int


class Stamped(BaseModel):
    n: int
    started_ns: int


@flock.agent
async def stamp(mark: Mark) -> Stamped:
    """Says when it started, on the clock that all processes of one machine share (`time.monotonic_ns`)."""
    return Stamped(n=mark.n, started_ns=time.monotonic_ns())


class Work(BaseModel):
    seconds: float


class Burnt(BaseModel):
    rounds: int


@flock.agent
def burn(work: Work) -> Burnt:
    """Computes in its thread, and holds the interpreter's lock whenever it can get it."""
    return Burnt(rounds=compute_for(work.seconds))


# Artifacts that agents produced, for boards with more than one producer.


class Seed(BaseModel):
    n: int


class Leaf(BaseModel):
    n: int
    text: str


@flock.agent
async def oak(seed: Seed) -> list[Leaf]:
    """Fans out."""
    return grow(seed)


@flock.agent
async def elm(seed: Seed) -> list[Leaf]:
    """Fans out, too: a second producer of the same type."""
    return grow(seed)


def grow(seed: Seed) -> list[Leaf]:
    """The leaves of one tree, each about as large as what the fill publishes."""
    return [Leaf(n=seed.n, text=f"leaf {number} " + "green " * 16) for number in range(LEAVES_PER_TREE)]


class Held(BaseModel):
    n: int


@flock.agent(max_concurrency=1, timeout="1h")
async def keeper(held: Held) -> None:
    """Never ends: one run of it runs and all others stay ready. Open runs for the start to recover."""
    await asyncio.Event().wait()
