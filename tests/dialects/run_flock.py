"""The flock that the tests of runs and batches serve, and the gate that holds its work up."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flockd import Flock

LIMIT_SECONDS = 30.0


class Gate:
    """Where held work waits for a permit."""

    def __init__(self, permits: int = 0) -> None:
        self._permits = asyncio.Semaphore(permits)
        self._moved = asyncio.Condition()
        self.entered: list[int] = []
        """The number of each work that came, in order."""
        self.inside = 0
        self.most_inside = 0

    def permit(self, count: int) -> None:
        for _ in range(count):
            self._permits.release()

    async def until_entered(self, count: int) -> None:
        """Returns when so much work has come."""
        async with asyncio.timeout(LIMIT_SECONDS), self._moved:
            await self._moved.wait_for(lambda: len(self.entered) >= count)

    async def pass_through(self, n: int) -> None:
        self.entered.append(n)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        async with self._moved:
            self._moved.notify_all()
        try:
            await self._permits.acquire()
        finally:
            self.inside -= 1


class Query(BaseModel):
    """What document 000 sends."""

    query: str = Field(description="The query to process")


class Processed(BaseModel):
    """What it gets."""

    result: str = Field(description="The processed result")


class Start(BaseModel):
    """The begin of a chain."""

    query: str


class Middle(BaseModel):
    """Its middle."""

    query: str


class Held(BaseModel):
    """Work that waits at the gate."""

    n: int = 0


class Parcel(BaseModel):
    """The same, for an agent that does one thing at a time."""

    n: int


class Freed(BaseModel):
    """Its end."""

    n: int


class Many(BaseModel):
    """Work that makes this many pieces."""

    count: int


class Piece(BaseModel):
    """One of them."""

    n: int


class Doomed(BaseModel):
    """Work that fails if it is odd."""

    n: int = 1


class Left(BaseModel):
    """One half."""

    n: int


class Right(BaseModel):
    """The other half."""

    n: int


class Pair(BaseModel):
    """Both."""

    total: int


class Cells(BaseModel):
    """Fields of every kind that a CSV has to fill."""

    model_config = ConfigDict(extra="forbid")

    text: str
    note: str = "none"
    maybe: str | None = None
    whole: int = 0
    real: float = 0.0
    flag: bool = False
    day: date | None = None
    words: list[str] = []
    table: dict[str, int] = {}
    mixed: int | str = 0
    level: Literal["1", "2"] = "1"


class Shown(BaseModel):
    """The cells as they came out."""

    cells: dict[str, Any]


def make_flock(gate: Gate) -> Flock:
    """A flock of its own for each daemon."""
    flock = Flock(name="runs")

    @flock.agent
    async def my_agent(query: Query) -> Processed:
        """An agent that processes queries"""
        return Processed(result=f"Processed: {query.query}")

    @flock.agent
    async def start_agent(start: Start) -> Middle:
        """Begins a chain."""
        return Middle(query=start.query)

    @flock.agent
    async def finisher(middle: Middle) -> Processed:
        """Ends it, and fails where it is told to."""
        if middle.query == "fail":
            raise RuntimeError("the end is missing")
        return Processed(result=f"Processed: {middle.query}")

    @flock.agent(max_concurrency=1000)
    async def holder(held: Held) -> Freed:
        """Works until it is let go."""
        await gate.pass_through(held.n)
        return Freed(n=held.n)

    @flock.agent(max_concurrency=1)
    async def lone_holder(held: Parcel) -> Freed:
        """The same, one at a time."""
        await gate.pass_through(held.n)
        return Freed(n=held.n)

    @flock.agent
    async def relay(work: Piece) -> Parcel:
        """Hands work on to the lone holder."""
        return Parcel(n=work.n)

    @flock.agent
    async def spreader(work: Many) -> list[Piece]:
        """Fans out."""
        return [Piece(n=n) for n in range(work.count)]

    @flock.agent
    async def mixer(work: Many) -> tuple[list[Piece], Freed]:
        """Publishes several types."""
        return [Piece(n=n) for n in range(work.count)], Freed(n=work.count)

    @flock.agent
    async def silent(work: Many) -> None:
        """Publishes nothing."""

    @flock.agent
    async def loser(doomed: Doomed) -> Freed:
        """Fails on odd numbers."""
        if doomed.n % 2:
            raise RuntimeError(f"{doomed.n} is odd")
        return Freed(n=doomed.n)

    @flock.agent
    async def joiner(left: Left, right: Right) -> Pair:
        """Adds two halves."""
        return Pair(total=left.n + right.n)

    @flock.agent
    async def twins(one: Left, other: Left) -> Pair:
        """Adds two of a kind."""
        return Pair(total=one.n * 10 + other.n)

    @flock.agent
    async def either(half: Left | Right) -> Freed:
        """Takes whatever half comes."""
        return Freed(n=half.n + (100 if isinstance(half, Right) else 0))

    @flock.agent
    async def shower(cells: Cells) -> Shown:
        """Shows what it got."""
        return Shown(cells=cells.model_dump(mode="json"))

    return flock
