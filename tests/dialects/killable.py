"""Flows and a workflow whose work takes a while, for daemons that are killed meanwhile."""

import asyncio
import time

from pydantic import BaseModel

from flockd import Context, Flock

PACE_SECONDS = 0.1

flock = Flock(name="killable")


class Order(BaseModel):
    """What is asked for."""

    requirements: str
    n: int = 0


class Draft(BaseModel):
    """Its first form."""

    n: int


class Fair(BaseModel):
    """Its second."""

    n: int
    text: str


class Printed(BaseModel):
    """Its last."""

    printed: int


async def work(ctx: Context) -> None:
    for part in range(1, 4):
        await asyncio.sleep(PACE_SECONDS)
        ctx.progress(part / 4)


@flock.agent(max_concurrency=8)
async def drafter(order: Order, ctx: Context) -> Draft:
    """Drafts."""
    await work(ctx)
    return Draft(n=order.n)


@flock.agent(max_concurrency=8, retries=1)
async def copyist(draft: Draft, ctx: Context) -> Fair:
    """Writes it again, and spills the ink at every third first attempt."""
    await work(ctx)
    if draft.n % 3 == 0 and ctx.attempt == 1:
        raise RuntimeError("spilt the ink")
    return Fair(n=draft.n, text="fair")


@flock.agent(max_concurrency=8)
async def printer(fair: Fair, ctx: Context) -> Printed:
    """Prints it."""
    await work(ctx)
    return Printed(printed=fair.n)


flock.workflow("full", start=Order, phases={"draft": [Draft], "copy": [Fair], "print": [Printed]})


class CountState(BaseModel):
    """How far it has counted."""

    n: int = 0
    counted: int = 0


@flock.flow(name="count_flow", max_concurrency=8)
class CountFlow:
    """Counts, and blocks meanwhile."""

    state: CountState

    def kickoff(self) -> None:
        time.sleep(3 * PACE_SECONDS)
        self.state.counted = self.state.n
