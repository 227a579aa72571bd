"""A recorded model as pydantic-ai asks it: what was asked before is answered from the file.

This module imports pydantic-ai: only tests of agents that think with a language model import it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings

from flockd.engines.llm.catalog import Models
from flockd.engines.llm.choice import Choice, canonical
from flockd.engines.llm.model import has_ended
from flockd.engines.outside import LlmDefaults
from flockd.testing.recorded import RecordedModel
from flockd.testing.scripted import ScriptedModel, Unscripted

_SAID = frozenset({"part_kind", "content", "tool_name", "args"})
"""What of a part of a message says what is asked; ids and times differ each time."""
_QUESTION_CHARACTERS = 200


class Replaying(FunctionModel):
    """Answers from a file, and from the real model where it is recording."""

    def __init__(self, recorded: RecordedModel) -> None:
        super().__init__(stream_function=_not_asked, model_name="recorded")
        self._recorded = recorded
        self._entries = _read(recorded)
        self._used: Counter[str] = Counter()
        self._catalog = Models(LlmDefaults(), {})

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The recorded answer; of a question that was recorded several times, each in its turn. Raises Unscripted."""
        question = _question(messages)
        key = hashlib.sha256(orjson.dumps(question)).hexdigest()[:32]
        answers = [entry["answer"] for entry in self._entries if entry["key"] == key]
        if answers:
            answer = answers[min(self._used[key], len(answers) - 1)]
            self._used[key] += 1
            yield CompletedStreamedResponse(
                _response(answer), model_request_parameters=model_request_parameters, replay_events=True
            )
            return
        model = await self._real()
        if model is None:
            said = str(question[-1])[:_QUESTION_CHARACTERS]
            raise Unscripted(
                f"{self._recorded.path} has no answer to this: {said}: record it with "
                'RecordedModel(…, record="the name of a model")'
            )
        async with model.request_stream(
            messages, model_settings, model_request_parameters, run_context
        ) as stream:
            yield stream
            response = stream.get()
            if has_ended(response) and response.finish_reason != "length":  # else it is half of an answer
                self._keep(key, question, response)

    async def _real(self) -> Model | None:
        """What is asked where nothing is recorded. Raises ValueError where it cannot be made."""
        recorded, record = self._recorded, self._recorded.record
        if isinstance(record, str):
            choice = Choice(canonical(record, recorded.base_url), recorded.base_url, recorded.api_key_env)
            return (await self._catalog.served(choice)).model
        return record.model() if isinstance(record, ScriptedModel) else record

    def _keep(self, key: str, question: list[Any], response: ModelResponse) -> None:
        """Add an answer to the file, whole or not at all, and to what others have added meanwhile."""
        (answer,) = ModelMessagesTypeAdapter.dump_python([response], mode="json")
        self._entries = [*_read(self._recorded), {"key": key, "asked": question, "answer": answer}]
        self._used[key] += 1
        path = self._recorded.path
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(orjson.dumps({"answers": self._entries}, option=orjson.OPT_INDENT_2) + b"\n")
        os.replace(new, path)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        await self._catalog.close()
        return await super().__aexit__(exc_type, exc_val, exc_tb)


def _read(recorded: RecordedModel) -> list[dict[str, Any]]:
    """The answers in the file; where there is no file, none, if they are to be recorded."""
    try:
        text = recorded.path.read_bytes()
    except FileNotFoundError:
        if recorded.record is not None:
            return []
        raise ValueError(
            f'there are no recorded answers at {recorded.path}: RecordedModel(…, record="the name of a model") '
            "records them"
        ) from None
    try:
        entries: list[dict[str, Any]] = orjson.loads(text)["answers"]
        for entry in entries:
            _response(entry["answer"])
            entry["key"]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"{recorded.path} has no recorded answers: {error}") from None
    return entries


def _question(messages: Sequence[ModelMessage]) -> list[Any]:
    """What is asked, as plain data: the same whenever it is asked, and whichever model."""
    question: list[Any] = []
    for message in ModelMessagesTypeAdapter.dump_python(list(messages), mode="json"):
        if instructions := message.get("instructions"):
            question.append({"instructions": instructions})
        question += [
            {key: part[key] for key in sorted(_SAID & part.keys())} for part in message.get("parts", ())
        ]
    return question


def _response(answer: Any) -> ModelResponse:
    (response,) = ModelMessagesTypeAdapter.validate_python([answer])
    assert isinstance(response, ModelResponse), "an answer is a response"
    return response


def _not_asked(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
    raise AssertionError("request_stream answers")
