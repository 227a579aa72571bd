"""What the documents leave to their readers: agents that never end or fail, a flow and a workflow of one's own.

The types that the documents only name are in `CONFIG`; the demo has everything else.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from pydantic import BaseModel, Field

from flockd import Flock

CONFIG = f"""\
modules = ["flockd.demo", "{__name__}"]

[shutdown]
grace_seconds = 0.1

[batch]
dir = "batches"

[[types]]
name = "YourArtifactType"
fields = "field1: str, field2: str"

[[types]]
name = "YourType"
fields = "field1: str"

[[types]]
name = "OrderRequest"
fields = "product_id: str, quantity: int"

[[types]]
name = "CustomerData"
fields = "name: str"
"""

flock = Flock()


class Endless(BaseModel):
    """What nobody ever finishes."""


class Failing(BaseModel):
    """What nobody can do."""


class Nothing(BaseModel):
    """What comes of both."""


@flock.agent
async def endless_agent(asked: Endless) -> Nothing:
    """Works for ever."""
    await asyncio.Event().wait()
    return Nothing()


@flock.agent
async def failing_agent(asked: Failing) -> Nothing:
    """Fails."""
    fail()


class YourFlowRequest(BaseModel):
    """As document 003 has it."""

    param1: str = Field(description="Parameter description")
    param2: int = Field(default=10, ge=1, le=100)


class YourFlowResult(BaseModel):
    """As document 003 has it."""

    output_field: str


class YourState(BaseModel):
    """What the flow works on."""

    param1: str = ""
    param2: int = 0
    output_field: str = ""


class YourFlow:
    """A flow: it fails or hangs where it is told to."""

    def __init__(self) -> None:
        self.state = YourState()

    async def kickoff_async(self) -> None:
        await work(self.state.param1)
        self.state.output_field = f"{self.state.param1}, {self.state.param2} times"


flock.flow(YourFlow, name="your_flow", request=YourFlowRequest, result=YourFlowResult)


class YourRequirements(BaseModel):
    """What your workflow begins with."""

    requirements: str


@flock.agent
async def your_agent(asked: YourRequirements) -> Nothing:
    """Fails or hangs where it is told to."""
    await work(asked.requirements)
    return Nothing()


flock.workflow("yours", start=YourRequirements, phases={"work": [Nothing]}, description="Your own workflow.")


async def work(what: str) -> None:
    """Do this."""
    if what == "fail":
        fail()
    if what == "hang":
        await asyncio.Event().wait()


def fail() -> NoReturn:
    raise RuntimeError("nothing to say")
