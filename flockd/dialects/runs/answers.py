"""What the runs dialect answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from flockd.api.answers import Artifact
from flockd.api.wire_types import Id, Time

Status = Literal["starting", "running", "completed", "failed"]


class FlockAPIResponse(BaseModel):
    """A run."""

    run_id: Id = Field(description="Of its correlation: the native routes and the streams know it, too.")
    status: Status
    result: Any = Field(
        description="The fields of the output; of several of one type the last; of several types an object "
        "keyed by type; null where there is none. Of /run/flock: the last artifact that an agent made."
    )
    started_at: Time
    completed_at: Time | None
    error: str | None
    results: list[Any] = Field([], description="Only of an agent that published several of one type.")
    artifacts: list[Artifact] = Field(
        [], description="Only of /run/flock: all that the agents of the workflow made."
    )


class FlockBatchResponse(BaseModel):
    """A batch."""

    batch_id: Id
    status: Status = Field(description="`failed` only if no item succeeded, or it was cancelled.")
    results: list[Any] | None = Field(
        description="A place for each item, in their order; null until it has completed, and where it failed."
    )
    started_at: Time
    completed_at: Time | None
    error: str | None
    total_items: int
    completed_items: int = Field(description="Items that ended, the failed ones too.")
    failed_items: int
    progress_percentage: float = Field(description="0 to 100; 100 only when all items have ended.")


class FlockAgentEntry(BaseModel):
    """An agent."""

    name: str
    description: str
    input_schema: str = Field(description="`name: type | description, …`")
    output_schema: str | None = Field(description="The same; null where it publishes nothing.")
    hand_off: str | list[str] | None = Field(
        description="The agent that its outputs wake, or a list of several."
    )


class FlockAgentList(BaseModel):
    """Every agent, by name."""

    agents: list[FlockAgentEntry]
