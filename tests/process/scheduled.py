"""The flock of tests.process.flocks with all that scheduling adds, and what each of its publications must come to.

`flock` has timers that never end; `untimed` is the same without them, so that a board can come to rest.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from flockd import AgentError, BatchSpec, Context, Every, Flock, JoinSpec

from . import flocks
from .flocks import Numbered, Outcome

PACK = 4
"""Parcels of one package."""
GATHERED = {"Left": "pairer", "Right": "pairer", "Parcel": "packer"}
"""The types that are gathered over workflows, and by whom."""
STEPS = Path("steps")
"""In the daemon's directory: a file for each step of each run, a line for each thing that happened to it."""
EXPIRED = -1
"""What a question answers by itself."""

untimed = Flock(name="scheduled")
untimed.include(flocks.flock)


class Left(Numbered):
    """One half of a pair."""

    key: str


class Right(Numbered):
    """The other half."""

    key: str


class Pair(Numbered):
    """Two halves of one key."""

    other: int


class Parcel(Numbered):
    """What is packed with others."""


class Package(Numbered):
    """Several parcels."""

    parcels: list[int]


class Weight(Numbered):
    """An item of a batch."""


class Weighed(Numbered):
    """Its end."""


class Spend(Numbered):
    """Work in steps, whose first attempts fail between them."""

    failures: int


class Spent(Numbered):
    """What the steps gave."""

    tokens: list[str]


class Wish(Numbered):
    """What somebody has to be asked about."""

    seconds: float | None
    """How long the question waits."""


class Granted(Numbered):
    """The answer."""

    answer: int
    token: str
    """Of the step before the question."""


class Errand(Numbered):
    """Work of which each customer gets one at a time."""

    customer: str


class Done(Numbered):
    """Its end."""


class Later(Numbered):
    """What no agent sees before its time."""


class Arrived(Numbered):
    """Its end."""


class Buried(Numbered):
    """What follows the error of a run that failed for good."""

    run_id: str


class Tick(Numbered):
    """What a timer publishes."""


class Tock(Numbered):
    """Its end."""


class Swept(Numbered):
    """What an agent makes that a timer starts."""


@untimed.agent(join=JoinSpec(by="key", within="1s"))
async def pairer(left: Left, right: Right) -> Pair:
    """Pairs halves, over workflows."""
    return Pair(n=left.n, other=right.n)


@untimed.agent(batch=BatchSpec(size=PACK, timeout="1s"))
async def packer(parcels: list[Parcel]) -> Package:
    """Packs what there is."""
    return Package(n=0, parcels=[parcel.n for parcel in parcels])


@untimed.agent(retries=1, backoff="200ms")
async def weigher(weight: Weight, ctx: Context) -> Weighed:
    """Fails at every third first attempt, after a while in which its batch may be paused."""
    await asyncio.sleep(0.05)
    if weight.n % 3 == 0 and ctx.attempt == 1:
        raise RuntimeError("the scales are not level")
    return Weighed(n=weight.n)


@untimed.agent(retries=2, backoff="100ms")
async def spender(work: Spend, ctx: Context) -> Spent:
    """Does two steps, and fails between them as often as it is told."""
    first = await pay(ctx, "first")
    if ctx.attempt <= work.failures:
        raise RuntimeError(f"attempt {ctx.attempt} of {work.failures} that fail")
    return Spent(n=work.n, tokens=[first, await pay(ctx, "second")])


@untimed.agent
async def genie(wish: Wish, ctx: Context) -> Granted:
    """Does a step, and asks."""
    token = await pay(ctx, "price")
    answer = await ctx.ask(f"What is number {wish.n}?", type=int, timeout=wish.seconds, default=EXPIRED)
    return Granted(n=wish.n, answer=answer, token=token)


@untimed.agent(max_concurrency=1, concurrency_key="customer")
async def runner(errand: Errand) -> Done:
    """One at a time for each customer."""
    await asyncio.sleep(0.01)
    return Done(n=errand.n)


@untimed.agent
async def watchman(later: Later) -> Arrived:
    """Sees what has become visible."""
    return Arrived(n=later.n)


@untimed.agent
async def undertaker(error: AgentError) -> Buried:
    """Is woken by each run that failed for good."""
    return Buried(n=0, run_id=error.run_id)


@untimed.agent
async def ticker(tick: Tick) -> Tock:
    """Answers a timer."""
    return Tock(n=tick.n)


@untimed.agent(consumes=[])
async def sweeper() -> Swept:
    """Is started by a timer."""
    return Swept(n=0)


flock = Flock(name="scheduled")
flock.include(untimed)
flock.schedule("tick", Every("1s"), publish=Tick(n=0))
flock.schedule("sweep", Every("1s", jitter="500ms"), run="sweeper")


async def pay(ctx: Context, name: str) -> str:
    """A step whose effect is a line in its file, and a second line once it was recorded."""
    file = STEPS / f"{ctx.run_id}-{name}"
    token = await ctx.step(name, effect, file)
    note(file, "recorded", token)
    return token


async def effect(file: Path) -> str:
    """Never the same token twice. The pause makes room for a kill between the effect and its record."""
    token = uuid.uuid4().hex
    note(file, "did", token)
    await asyncio.sleep(0)
    return token


def note(file: Path, what: str, token: str) -> None:
    STEPS.mkdir(exist_ok=True)
    with file.open("ab", buffering=0) as lines:
        lines.write(f"{what} {token}\n".encode())


def outcome(kind: str, payload: dict[str, Any]) -> Outcome:
    """The outcome of publishing `payload` as an artifact of type `kind`, in its own workflow."""
    done = "completed"
    if kind in GATHERED:  # what becomes of them is not of their workflow alone
        return Outcome(Counter(), Counter())
    mine: dict[str, tuple[tuple[str, ...], dict[tuple[str, str], int]]] = {
        "Doomed": (("AgentError", "Buried"), {("loser", "dead"): 1, ("undertaker", done): 1}),
        "Weight": (("Weighed",), {("weigher", done): 1}),
        "Spend": (("Spent",), {("spender", done): 1}),
        "Wish": (("Granted",), {("genie", done): 1}),
        "Errand": (("Done",), {("runner", done): 1}),
        "Later": (("Arrived",), {("watchman", done): 1}),
        "Tick": (("Tock",), {("ticker", done): 1}),
    }
    if kind in mine:
        artifacts, runs = mine[kind]
        return Outcome(Counter(artifacts), Counter(runs))
    return flocks.outcome(kind, payload)
