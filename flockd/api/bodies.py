"""The bodies that the routes take. Other fields are refused, with the nearest of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from flockd.api.wire_types import Id, Moment
from flockd.domain.visibility import Visibility

PriorityWord = Literal["critical", "high", "normal", "low"]
Seconds = Annotated[float, Field(strict=True, ge=1, le=300, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


def empty_list(description: str) -> Any:
    """A list that may be left out. A factory, since pydantic copies a default `[]` deeply for every request."""
    return Field(default_factory=list, description=description, json_schema_extra={"default": []})


class BodyModel(BaseModel):
    """A JSON object: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InputBody(BodyModel):
    """One artifact as a client gives it."""

    type: str = Field(min_length=1, description="The artifact type.", examples=["CodeSubmission"])
    payload: Any = Field(
        default_factory=dict,
        description="What the type's schema asks for; without it the empty object.",
        examples=[{"code": "def foo(): pass", "language": "python"}],
    )
    tags: list[Annotated[str, Field(min_length=1)]] = empty_list(
        "Words to find it by; its outputs inherit them."
    )
    partition_key: str | None = Field(None, description="A key to group artifacts by.")
    visibility: Visibility | None = Field(None, description="Which agents see it; without it all of them.")


class ArtifactBody(InputBody):
    """A publication."""

    correlation_id: Id | None = Field(
        None,
        description="The workflow that it belongs to; without it, or the header X-Correlation-ID, a new one.",
    )
    priority: PriorityWord | None = Field(
        None, description="For every run of its workflow; without it each agent's own."
    )


class Filters(BodyModel):
    """Which of the produced artifacts the answer shows."""

    type_names: list[str] = empty_list("Of these types; any of them.")
    produced_by: list[str] = empty_list("By these agents; any of them.")


class SyncBody(ArtifactBody):
    """A publication whose workflow is waited for."""

    timeout: Seconds = Field(30.0, description="Seconds to wait for the end of the workflow.")
    filters: Filters | None = None


class BulkBody(BodyModel):
    """Many publications in one transaction."""

    items: list[SkipValidation[ArtifactBody]] = Field(
        min_length=1, description="Each is checked by itself: a bad one does not spoil the others."
    )


class RunBody(BodyModel):
    """What one agent is run on."""

    inputs: list[InputBody] = empty_list("One artifact for each that the agent takes.")
    timeout: Seconds = Field(300.0, description="Seconds to wait for the agent.")
    cascade: Flag = Field(
        False, description="Whether what it publishes wakes other agents; then they are waited for, too."
    )
    correlation_id: Id | None = Field(
        None, description="The workflow that it belongs to; without it a new one."
    )
    priority: PriorityWord | None = None


class AnswerBody(BodyModel):
    """The answer to a question."""

    answer: Any = Field(description="What the question's schema asks for.", examples=[True])


class RetryBody(BodyModel):
    """Which dead runs start again: those that are named, or the oldest of those that fit; without any field, of all."""

    run_ids: list[Id] | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="These, whatever became of them; no other field beside it.",
    )
    agent: str | None = Field(None, description="Of this agent.")
    correlation_id: Id | None = Field(None, description="Of this workflow.")
    error: str | None = Field(None, description="Whose error has this code.", examples=["AGENT_FAILED"])
    died_before: Moment | None = Field(
        None,
        description="Only those that died before this time: that of the first answer, to see none twice.",
    )
    limit: int = Field(
        100, strict=True, ge=1, le=500, description="At most so many; they share one transaction."
    )


class ResetBody(BodyModel):
    """Says that the board is really to be emptied."""

    confirm: Literal[True] = Field(description="Must be true.")
