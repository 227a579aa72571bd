"""The flock that these tests serve: agents that do what the test tells them, when it tells them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pydantic import BaseModel

from flockd import Context, Flock


class Order(BaseModel):
    """What most tests publish."""

    n: int = 0
    note: str = ""


class Receipt(BaseModel):
    """What an order comes to."""

    n: int


class Held(BaseModel):
    """Work that lasts until the test lets it end."""

    n: int = 0


class Freed(BaseModel):
    """The end of it."""

    n: int


class Doomed(BaseModel):
    """Work that always fails."""

    why: str = "no luck"


class Never(BaseModel):
    """What doomed work would make."""


class Left(BaseModel):
    """One half of a pair."""


class Right(BaseModel):
    """The other half."""


class Pair(BaseModel):
    """Both halves."""


class Chained(BaseModel):
    """What a receipt comes to, in turn."""

    n: int


class Release(BaseModel):
    """Work that a person must allow."""


class Approval(BaseModel):
    """What that person says."""

    granted: bool
    by: str = ""


class Released(BaseModel):
    """What comes of it."""

    by: str


@dataclass
class Gate:
    """Where held work waits."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_reached(self) -> None:
        """Returns when held work has begun."""
        async with asyncio.timeout(10):
            await self.reached.wait()


def make_flock(gate: Gate) -> Flock:
    """A flock of its own for each test."""
    flock = Flock(name="api-tests")

    @flock.agent
    async def clerk(order: Order) -> Receipt:
        """Writes receipts."""
        return Receipt(n=order.n)

    @flock.agent
    async def archivist(receipt: Receipt) -> Chained:
        """Files receipts."""
        return Chained(n=receipt.n)

    @flock.agent
    async def holder(held: Held) -> Freed:
        """Works until it is let go."""
        gate.reached.set()
        await gate.opened.wait()
        return Freed(n=held.n)

    @flock.agent
    async def loser(doomed: Doomed) -> Never:
        """Always fails."""
        raise RuntimeError(f"it failed: {doomed.why}")

    @flock.agent
    async def matcher(left: Left, right: Right) -> Pair:
        """Joins two halves."""
        return Pair()

    @flock.agent
    async def releaser(release: Release, ctx: Context) -> Released | None:
        """Asks before it acts."""
        approval = await ctx.ask("Deploy?", type=Approval)
        return Released(by=approval.by) if approval.granted else None

    @flock.agent(labels=["cleared"])
    async def either(half: Left | Right) -> None:
        """Takes whatever half comes."""

    return flock
