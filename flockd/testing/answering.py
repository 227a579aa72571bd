"""A scripted model as pydantic-ai asks it: requests as a test reads them, and its answers as a model sends them.

This module imports pydantic-ai: only tests of agents that think with a language model import it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    RetryPromptPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_core import to_json

from flockd.testing.scripted import Asked, ScriptedModel, ToolCall

_PIECE_CHARACTERS = 16
"""Answers come in pieces of this size, so that live text is more than one piece."""


class Answering(FunctionModel):
    """Asks a script."""

    def __init__(self, script: ScriptedModel) -> None:
        super().__init__(stream_function=self._stream, model_name="scripted")
        self._script = script

    async def _stream(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        answer = await self._script.answer(asked_of(messages, info))
        if isinstance(answer, BaseException):
            raise answer
        calls = [answer] if isinstance(answer, ToolCall) else answer
        if isinstance(calls, list) and calls and all(isinstance(call, ToolCall) for call in calls):
            for index, call in enumerate(calls):
                yield {index: DeltaToolCall(call.tool, _text(call.arguments), tool_call_id=f"call-{index}")}
            return
        if isinstance(answer, str):
            for piece in pieces(answer):
                yield piece
            return
        for said in _said(answer, info.model_request_parameters):
            yield said


def asked_of(messages: Sequence[ModelMessage], info: AgentInfo) -> Asked:
    """A request as a test reads it."""
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    parts = [part for request in requests for part in request.parts]
    returned = {part.tool_name: part.content for part in parts if isinstance(part, ToolReturnPart)}
    prompts = [
        part.content if isinstance(part.content, str) else _text(part.content)
        for part in parts
        if isinstance(part, (UserPromptPart, RetryPromptPart))
    ]
    return Asked(
        prompt=prompts[-1] if prompts else "",
        instructions=info.instructions or "",
        tools=tuple(tool.name for tool in info.function_tools),
        returned=returned,
        outputs=tuple(name for name, _ in _outputs(info.model_request_parameters)),
    )


def pieces(text: str) -> Iterator[str]:
    """The text as a model would send it; an empty one is one piece."""
    for start in range(0, len(text) or 1, _PIECE_CHARACTERS):
        yield text[start : start + _PIECE_CHARACTERS]


def _said(value: Any, parameters: ModelRequestParameters) -> Iterator[str | DeltaToolCalls]:
    """A value in the way in which the model was asked for one: as JSON, in an envelope for one of several types, or
    as the call of a tool."""
    outputs = _outputs(parameters)
    name = _kind(value, outputs)
    if parameters.output_tools:
        for number, piece in enumerate(pieces(_text(value))):
            yield {0: DeltaToolCall(None if number else name, piece, tool_call_id="call-output")}
    elif len(outputs) > 1:
        yield from pieces(_text({"result": {"kind": name, "data": orjson.loads(to_json(value))}}))
    else:
        yield from pieces(_text(value))


def _outputs(parameters: ModelRequestParameters) -> list[tuple[str, dict[str, Any]]]:
    """The types that the model may answer with, by name, with their schemas."""
    if parameters.output_tools:
        return [(tool.name, tool.parameters_json_schema) for tool in parameters.output_tools]
    output = parameters.output_object
    if output is None:
        return []
    if output.name is not None:
        return [(output.name, output.json_schema)]
    choices = output.json_schema.get("properties", {}).get("result", {}).get("anyOf", ())
    definitions = {key: output.json_schema[key] for key in ("$defs",) if key in output.json_schema}
    return [
        (choice["properties"]["kind"]["const"], {**definitions, **choice["properties"]["data"]})
        for choice in choices
    ]


def _kind(value: Any, outputs: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Which of the types a value is: by the name of its class, else the first whose schema takes it."""
    names = [name for name, _ in outputs]
    if type(value).__name__ in names or len(names) < 2:
        return type(value).__name__ if type(value).__name__ in names else "".join(names)
    plain = orjson.loads(to_json(value))
    fitting = (name for name, schema in outputs if Draft202012Validator(schema).is_valid(plain))
    return next(fitting, names[0])


def _text(value: Any) -> str:
    return to_json(value).decode()
