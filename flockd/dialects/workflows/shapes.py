"""What the routes of workflows take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from flockd.api.bodies import BodyModel, PriorityWord
from flockd.api.queries import QueryModel
from flockd.api.wire_types import Id, QueryBool, QuerySeq, Time

_REQUIREMENTS_MIN = 3
StatusWord = Literal["queued", "running", "completed", "failed"]


def _long_enough(requirements: str) -> str:
    if len(requirements) < _REQUIREMENTS_MIN:
        raise PydanticCustomError("too_short", "too short")
    return requirements


class _Requested(BodyModel):
    requirements: Annotated[str, AfterValidator(_long_enough)] = Field(
        description="What is to be done.",
        examples=["Create a calculator"],
        json_schema_extra={"minLength": _REQUIREMENTS_MIN},
    )
    configuration: dict[str, Any] | None = Field(
        default_factory=dict,
        description="Further fields of the artifact that starts the workflow.",
        json_schema_extra={"default": {}},
    )
    priority: PriorityWord | None = Field(
        None,
        description="For every run of the workflow; without it each agent's own, else normal.",
    )


class WorkflowBody(_Requested):
    """A workflow that is asked for."""

    workflow_type: str = Field("full", description="Which one: a name of `/workflow-types`.")


class CustomWorkflowBody(_Requested):
    """A workflow that is asked for by its name."""

    workflow_type: str = Field(description="Which one: a name of `/workflow-types`.", examples=["full"])


class _Started(BaseModel):
    session_id: Id
    status: Literal["accepted"]
    message: str
    created_at: Time
    estimated_completion: Time | None = Field(
        description="By the median of the latest completed ones; null without any."
    )


class WorkflowAccepted(_Started):
    """The workflow is durable and will run."""


class WorkflowQueued(_Started):
    """The workflow is durable and will run."""

    status: Literal["queued"]  # type: ignore[assignment]  # document 004 has a word of its own for each route


class WorkflowAcceptedV2(_Started):
    """The workflow is durable and will run; with what it is natively."""

    correlation_id: Id
    artifact_id: Id = Field(description="Of the artifact that started it.")
    seq: int = Field(description="Of that artifact's event.")


class SessionErrorEntry(BaseModel):
    """Why something of a session went wrong."""

    agent: str = Field(description="Empty where no agent is to blame.")
    phase: str = Field(description="Empty where it happened in none.")
    error: str


class WorkflowProgress(BaseModel):
    """How far a session is. When it has completed, each result is a field of its own, too."""

    model_config = ConfigDict(extra="allow")

    session_id: Id
    status: StatusWord
    progress: float = Field(ge=0, le=100, description="Never falls; 100 only when it has completed.")
    current_phase: str | None
    phases_completed: list[str] = Field(description="In the order in which they were done.")
    errors: list[SessionErrorEntry]
    partial_results: dict[str, Any] | None = Field(description="What is there until it has completed.")
    results: dict[str, Any] | None = Field(
        description="The fields of what its phases gave, once it has completed."
    )
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    failed_at: Time | None


class WorkflowProgressV2(WorkflowProgress):
    """How far a session is, with what it is natively."""

    correlation_id: Id
    artifact_id: Id = Field(description="Of the artifact that started it.")
    seq: int = Field(description="Of the last event that is taken into account.")


class WorkflowType(BaseModel):
    """A workflow that can be asked for."""

    name: str
    description: str
    phases: list[str]
    engine: str = Field(
        description="The kinds of the agents that do it, joined by +.", examples=["function+llm"]
    )


class WorkflowTypes(BaseModel):
    """Every workflow that can be asked for, in the order of declaration."""

    workflow_types: list[str]
    workflows: list[WorkflowType]


class SessionFollowed(QueryModel):
    """Which part of a session is sent."""

    after: QuerySeq = Field(0, description="Only what came of events past this seq.")
    close: QueryBool = Field(False, description="Whether the socket is closed when the session is over.")
