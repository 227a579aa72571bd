"""The bodies that the runs dialect takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from flockd.api.bodies import BodyModel, Flag
from flockd.api.queries import QueryModel
from flockd.api.wire_types import QueryBool

AgentName = Annotated[str, Field(min_length=1, max_length=200)]


class FlockAPIRequest(BodyModel):
    """What an agent is run on."""

    agent_name: AgentName = Field(
        description="The agent, in any spelling of its name.", examples=["text_analyzer"]
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description='The fields of its input type; for an agent with several, {"TypeName": {…}}.',
        examples=[{"text": "Flock makes building agents easy and fun!"}],
    )
    async_run: Flag = Field(False, description="Answer at once, and let the caller poll /run/{run_id}.")


def _items_or_text(value: Any) -> Any:
    if not isinstance(value, (list, str)):
        raise PydanticCustomError(
            "batch_inputs", "Must be a list of objects, CSV text, or the path of a CSV file below batch.dir"
        )
    if not value:
        raise PydanticCustomError("too_short", "At least one item is needed")
    return value


def _never_temporal(value: Any) -> Any:
    if value is not None and value is not False:
        raise PydanticCustomError(
            "use_temporal", "Must be false or null: a batch survives a restart without another engine"
        )
    return value


BatchInputs = Annotated[
    list[Any] | str,
    BeforeValidator(_items_or_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "object"}, "minItems": 1},
                {"type": "string", "minLength": 1},
            ]
        }
    ),
]


class FlockBatchRequest(BodyModel):
    """What an agent is run on, many times."""

    agent_name: AgentName = Field(
        description="The agent that starts each item's workflow.", examples=["text_analyzer"]
    )
    batch_inputs: BatchInputs = Field(
        description="The items: objects, or CSV text (with a line break), or the path of a CSV file below "
        "batch.dir.",
        examples=[[{"text": "What a fine day."}, {"text": "What a dreadful day."}]],
    )
    input_mapping: dict[str, str] | None = Field(
        None, description="Key or column of an item → input field; other keys keep their names."
    )
    static_inputs: dict[str, Any] | None = Field(None, description="Fields of every item; an item's own win.")
    parallel: Flag = Field(True, description="False: one item at a time.")
    max_workers: int = Field(5, strict=True, ge=1, description="Items at a time; at most batch.workers.")
    use_temporal: Annotated[Literal[False] | None, BeforeValidator(_never_temporal)] = Field(
        None, description="Must be false or null."
    )
    box_results: Flag = Field(True, description="Changes nothing over HTTP.")
    return_errors: Flag = Field(
        False, description='The result of a failed item is {"error": …} instead of null.'
    )
    silent_mode: Flag = Field(True, description="Changes nothing over HTTP.")
    write_to_csv: str | None = Field(
        None, min_length=1, description="A file below batch.dir that gets the results when the batch ends."
    )


class BatchDetail(QueryModel):
    """How much of a batch."""

    results: QueryBool = Field(True, description="False: `results` is null, for those who only follow it.")
