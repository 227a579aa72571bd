"""What the routes of agents answer, for the OpenAPI document; see `answers`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from flockd.api.bodies import PriorityWord


class Join(BaseModel):
    """One artifact of each type whose keys are equal, of any workflow."""

    by: str | dict[str, str] = Field(description="The path to the key, or one for each type.")
    within_seconds: float = Field(description="How long an artifact waits for its partners.")


class Gathered(BaseModel):
    """Several artifacts at once."""

    size: int
    timeout_seconds: float = Field(description="Then it takes what is there.")
    by: str | None = Field(description="The path to a key, where it gathers those of one.")


class Subscription(BaseModel):
    """What wakes an agent."""

    types: list[str]
    mode: Literal["all", "any"] = Field(description="all: one artifact of each; any: one of one of them.")
    where: str | None = Field(
        description="What must be true of the payload; of a function in the author's code its name."
    )
    from_agents: list[str] = Field(description="Only artifacts of these producers; empty: of any.")
    tags: list[str] = Field(description="Only artifacts that carry all of these.")
    join: Join | None
    batch: Gathered | None


class Rate(BaseModel):
    """At most so many starts in any such period."""

    starts: int
    period_seconds: float


class Agent(BaseModel):
    """One agent."""

    name: str
    description: str
    subscriptions: list[Subscription]
    outputs: list[str]
    kind: str = Field(description="Of its engine.")
    labels: list[str]
    tenant: str | None
    priority: PriorityWord | None = Field(description="Null: normal, unless its workflow says otherwise.")
    max_concurrency: int = Field(description="Runs at once; of one key, where there is a concurrency_key.")
    concurrency_key: str | None = Field(description="The path to that key in the payload.")
    rate: Rate | None
    retries: int = Field(description="Attempts after the first one.")
    timeout_seconds: float = Field(description="For one attempt.")
    status: Literal["idle", "running", "paused"] = Field(
        description="paused: none of its runs starts; some may still run."
    )
    running: int
    queued: int
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None


class Agents(BaseModel):
    """Every agent, by name."""

    agents: list[Agent]


class TypeCounts(BaseModel):
    """Artifacts by type."""

    total: int
    by_type: dict[str, int]


class History(BaseModel):
    """What an agent did."""

    total_executions: int
    total_artifacts_consumed: int
    total_artifacts_produced: int
    execution_timeline: dict[str, int] = Field(
        description="Hour → runs.", examples=[{"2026-11-21T02:00:00Z": 4}]
    )
    produced: TypeCounts
    consumed: TypeCounts


class AgentHistory(BaseModel):
    """What an agent did with the artifacts that the filters select."""

    agent_id: str
    summary: History
