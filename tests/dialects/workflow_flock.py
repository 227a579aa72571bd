"""Workflows that do what a test tells them."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from flockd import Context, Flock


class Requirements(BaseModel):
    """What is to be built."""

    requirements: str
    language: str = "python"
    files: int = Field(1, ge=1, le=9)


class Plan(BaseModel):
    """The parts that it will have."""

    steps: list[str]


class Code(BaseModel):
    """What was written."""

    generated_code: str
    summary: str


class Report(BaseModel):
    """What trying it came to."""

    passed: int
    summary: str


class Chore(BaseModel):
    """The start of a workflow whose work is held in one place."""

    requirements: str


class Done(BaseModel):
    """The end of it."""

    n: int


class Lonely(BaseModel):
    """The start of a workflow that nobody works on."""

    requirements: str


class Stage:
    """Where the agents of a workflow wait, each at a door of its own."""

    def __init__(self, *open_for: str) -> None:
        self.begun: list[str] = []
        """Who came, in order: an agent, or the requirements of a chore."""
        self.failing: set[str] = set()
        """Agents that fail when they are let through."""
        self._doors = {name: asyncio.Event() for name in ("planner", "coder", "tester", "worker")}
        self._came = asyncio.Event()
        for name in open_for:
            self._doors[name].set()

    def open(self, *names: str) -> None:
        """Let these agents through, or all of them."""
        for name in names or self._doors:
            self._doors[name].set()

    async def enter(self, agent: str, word: str = "") -> None:
        self.begun.append(word or agent)
        self._came.set()
        await self._doors[agent].wait()
        if agent in self.failing:
            raise RuntimeError(f"{agent} has no idea")

    async def until_begun(self, count: int) -> None:
        """Returns when so many have come."""
        async with asyncio.timeout(20):
            while len(self.begun) < count:
                self._came.clear()
                await self._came.wait()


def make_flock(stage: Stage) -> Flock:
    """A flock of its own for each test."""
    flock = Flock(name="workflows")

    @flock.agent
    async def planner(wanted: Requirements, ctx: Context) -> Plan:
        """Plans."""
        ctx.progress(0.5, "thinking")
        await stage.enter("planner")
        return Plan(steps=[wanted.requirements])

    @flock.agent(retries=1)
    async def coder(plan: Plan) -> Code:
        """Writes."""
        await stage.enter("coder")
        return Code(generated_code="\n".join(plan.steps), summary="written")

    @flock.agent
    async def tester(code: Code) -> Report:
        """Tries."""
        await stage.enter("tester")
        return Report(passed=1, summary="passed")

    @flock.agent(max_concurrency=1)
    async def worker(chore: Chore) -> Done:
        """Does one chore after the other."""
        await stage.enter("worker", chore.requirements)
        return Done(n=len(stage.begun))

    flock.type(Lonely)
    flock.workflow(
        "full",
        start=Requirements,
        phases={"plan": [Plan], "code": [Code], "test": [Report]},
        description="From requirements to tried code.",
    )
    flock.workflow("chore", start=Chore, phases={"work": [Done]})
    flock.workflow("lonely", start=Lonely, phases={"work": [Done]})
    return flock
