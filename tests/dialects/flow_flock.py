"""Flows that do what a test tells them."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from flockd import Flock


class PoemRequest(BaseModel):
    """What a poem is to be like."""

    sentence_count: int = Field(3, ge=1, le=10)
    style: str = "plain"


class PoemResult(BaseModel):
    """A poem."""

    sentence_count: int
    poem: str


class PoemState(BaseModel):
    """What the flow works on."""

    sentence_count: int = 0
    style: str = ""
    poem: str = ""


class PoemFlow:
    """Writes poems."""

    state: PoemState

    def kickoff(self) -> None:
        self.state.poem = " ".join(["A line."] * self.state.sentence_count)


class Held(BaseModel):
    """Work that lasts until the test lets it end."""

    n: int


class Freed(BaseModel):
    """The end of it."""

    n: int


class Doom(BaseModel):
    """Work that fails."""

    why: str


class Gate:
    """Where held flows wait."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.begun: list[int] = []
        """Who came to it, in order."""
        self._came = asyncio.Event()

    async def pass_through(self, n: int) -> None:
        self.begun.append(n)
        self._came.set()
        await self.opened.wait()

    async def until_begun(self, count: int) -> None:
        """Returns when so many have come."""
        async with asyncio.timeout(20):
            while len(self.begun) < count:
                self._came.clear()
                await self._came.wait()


def make_flock(gate: Gate, *, at_once: int = 2) -> Flock:
    """A flock of its own for each test."""
    flock = Flock(name="flows")
    flock.flow(PoemFlow, request=PoemRequest, result=PoemResult)

    @flock.flow(max_concurrency=at_once)
    async def held_flow(request: Held) -> Freed:
        """Works until it is let go."""
        await gate.pass_through(request.n)
        return Freed(n=request.n)

    @flock.flow
    async def Doomed(request: Doom) -> Freed:
        """Always fails."""
        raise RuntimeError(request.why)

    @flock.agent
    async def listener(freed: Freed) -> None:
        """Would be woken by a result that cascades."""
        gate.begun.append(-1)

    return flock
