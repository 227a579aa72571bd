"""What the routes of flows take and answer: the common shapes, and those that each flow's own models make."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, SkipValidation, create_model

from flockd.api.queries import Page
from flockd.api.wire_types import Id, Time
from flockd.domain.agent import Agent

StatusWord = Literal["pending", "running", "completed", "failed"]
_RESULT = "What the flow gave; null until it has completed."


class ExecutionPage(Page):
    """A page of executions, newest first."""

    flow_name: str | None = Field(None, description="Of this flow, in any spelling of its name.")
    status: StatusWord | None = Field(None, description="With this status.")


class AnyRequest(RootModel[Any]):
    """A request of whichever flow the path names; its own type checks it."""


class ExecutionResponse(BaseModel):
    """The execution is durable and will run."""

    execution_id: Id
    status: Literal["pending"]
    message: str = Field(
        examples=["Poem flow execution initiated with ID: 550e8400-e29b-41d4-a716-446655440000"]
    )


class ExecutionStatusResponse(BaseModel):
    """One execution of a flow."""

    execution_id: Id
    flow_name: str
    status: StatusWord
    created_at: Time
    started_at: Time | None = Field(description="When its flow began, the latest time if it was tried again.")
    completed_at: Time | None = Field(description="When it ended, well or not.")
    result: Any = Field(description=_RESULT)
    error: str | None = Field(description="Why it failed.")


class Executions(BaseModel):
    """A page of executions, newest first."""

    executions: list[ExecutionStatusResponse]
    total: int
    limit: int
    offset: int


def request_model(flow: Agent, request: type[BaseModel]) -> type[BaseModel]:
    """The body of a flow's `execute`: described by its request's model, and checked when it is put on the board."""
    base: Any = RootModel[Annotated[request, SkipValidation]]  # type: ignore[valid-type]  # made of values
    made: type[BaseModel] = create_model(
        f"{_camel(flow.name)}Request", __base__=base, __doc__=request.__doc__ or f"What {flow.name} takes."
    )
    return made


def status_model(flow: Agent, result: type[BaseModel]) -> type[BaseModel]:
    """The answer of a flow's `execution/{id}`, with its own result."""
    field: Any = (result | None, Field(description=_RESULT))
    made: type[BaseModel] = create_model(
        f"{_camel(flow.name)}Execution",
        __base__=ExecutionStatusResponse,
        __doc__=f"One execution of {flow.name}.",
        result=field,
    )
    return made


def _camel(name: str) -> str:
    """The name as the name of a class: "poem_flow" is PoemFlow."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
