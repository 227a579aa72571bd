"""How a request to a model is known again, and its answer kept, when a run starts anew.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import ModelRequestParameters

from flockd.engines.memory import Memory

_PASSING = {"timestamp", "run_id", "conversation_id", "metadata", "usage", "provider_url"}
"""What differs from one attempt to the next, though the same is asked."""
_UNKEPT: Any = {"__all__": {"provider_url"}}
"""An address may have a password in it."""
_UNSAID: Any = {"__all__": {**dict.fromkeys(_PASSING, True), "parts": {"__all__": {"timestamp", "metadata"}}}}


class Request(NamedTuple):
    """One request, as far as it says what is asked."""

    digest: str
    size: int
    """Bytes of all that is sent, at least: a token has one or more of them."""


def request_of(
    messages: Sequence[ModelMessage], settings: Mapping[str, Any] | None, parameters: ModelRequestParameters
) -> Request:
    """The same for the same words, settings, tools and output, whenever and by whichever process they are asked."""
    said = ModelMessagesTypeAdapter.dump_json(list(messages), exclude=_UNSAID)
    wanted = orjson.dumps(
        [parameters, settings], default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
    digest = hashlib.sha256(said)
    digest.update(wanted)
    return Request(digest.hexdigest()[:32], len(said) + len(wanted))


def _plain(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else type(value).__qualname__


def written(response: ModelResponse) -> bytes:
    """Raises ValueError for what is no text: half of a pair of surrogates."""
    return ModelMessagesTypeAdapter.dump_json([response], exclude=_UNKEPT)


def read(recorded: bytes) -> ModelResponse:
    (response,) = ModelMessagesTypeAdapter.validate_json(recorded)
    assert isinstance(response, ModelResponse)
    return response


class Generation(NamedTuple):
    """Answers recorded since the last one that was no use. A failure that is an answer's fault begins another."""

    number: int

    @classmethod
    async def of(cls, memory: Memory) -> Generation:
        """The one that this attempt of the run is in."""
        number = 0
        while await memory.recall(_ended(number)) is not None:
            number += 1
        return cls(number)

    async def end(self, memory: Memory) -> None:
        """The next attempt asks the model anew: the same answers would fail it again."""
        await memory.record(_ended(self.number), b"true")

    def step(self, request: Request) -> str:
        return f"model/{self.number}/{request.digest}"


def _ended(number: int) -> str:
    return f"model/redo/{number}"
