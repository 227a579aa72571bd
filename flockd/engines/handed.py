"""The engine of an agent that others hand their outputs to: it makes the agent's own input of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import orjson

from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Context, Engine, Output, Threads
from flockd.errors import AgentFailed, InvalidInput

_READS_ARTIFACTS = ("llm", "http")
"""Engines that tell a model or a service what they were given as JSON, under the name of its type."""


class HandedEngine:
    """Another engine, which only sees inputs of the type that it was written for."""

    def __init__(self, engine: Engine, handed: Mapping[str, ArtifactType]) -> None:
        """An input of a type in `handed` reaches `engine` as a value of the type there, with the fields it has."""
        self.kind = engine.kind
        self._engine = engine
        self._handed = dict(handed)

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """The outputs of the other engine. Raises AgentFailed where the fields do not fit."""
        (artifact,), (value,) = context.inputs, inputs
        if own := self._handed.get(artifact.type):
            payload = _known_fields(artifact.payload, own)
            try:
                value = own.parse(payload)
            except InvalidInput as invalid:
                raise AgentFailed(
                    f"the {artifact.type} that {artifact.produced_by} handed on makes no {own.name}: "
                    f"{invalid.message}"
                ) from None
            if self.kind in _READS_ARTIFACTS:
                context = copy(context)
                context.inputs = (artifact._replace(type=own.name, payload=payload),)
        return await self._engine.run([value], context, threads)


def _known_fields(payload: bytes, own: ArtifactType) -> bytes:
    """Of a payload the fields that the agent's own type knows: a strict one refuses others."""
    known = own.schema.get("properties")
    if known is None:
        return payload
    return orjson.dumps({name: value for name, value in orjson.loads(payload).items() if name in known})
