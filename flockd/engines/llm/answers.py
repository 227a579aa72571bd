"""The typed output of an agent, as pydantic-ai asks a model for it.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_ai import ModelRetry, NativeOutput, PromptedOutput, StructuredDict, ToolOutput
from pydantic_ai.exceptions import UserError
from pydantic_core import CoreSchema, core_schema
from typing_extensions import is_typeddict

from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Output
from flockd.engines.llm.thinking import OutputMode
from flockd.errors import InvalidInput

_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_-]")
_LABEL_CHARACTERS = 60
"""Providers take names of 64 of those characters."""


def answers_of(types: Iterable[ArtifactType], mode: OutputMode) -> Any:
    """What to give an Agent as its `output_type`: the answer is one of the types, and comes as an `Output`.

    A type of a model is validated by pydantic, one of a JSON Schema by the schema; what does not fit is the model's to
    mend. Raises ValueError with a sentence for a JSON Schema that models cannot be given: one that refers to itself.
    """
    shapes = list(types)
    functions = [_function(one, label) for one, label in zip(shapes, labels_of(shapes), strict=True)]
    match mode:
        case "native":
            return NativeOutput(functions)
        case "prompted":
            return PromptedOutput(functions)
        case "tool":
            return [ToolOutput(function, name=function.__name__) for function in functions]


def labels_of(types: Sequence[ArtifactType]) -> list[str]:
    """What models call each type: its name, made of what providers allow, and told from the others."""
    labels: list[str] = []
    for one in types:
        base = _NOT_IN_LABELS.sub("_", one.name)[:_LABEL_CHARACTERS]
        numbered = (f"{base}_{number}" for number in count(2))
        labels.append(base if base not in labels else next(each for each in numbered if each not in labels))
    return labels


def _function(artifact_type: ArtifactType, label: str) -> Callable[[Any], Awaitable[Output]]:
    """A function whose only parameter is the value: so pydantic-ai names the type, whatever it is made of.

    A coroutine function, since pydantic-ai would call a plain one in a thread.
    """
    name = artifact_type.name
    shape = _class_of(artifact_type, label)

    async def answer(value: Any) -> Output:
        if not issubclass(shape, _Held):
            return Output(name, value)
        if artifact_type.model is not None:
            return Output(name, value.value)
        try:
            return Output(name, artifact_type.check(value.value))
        except InvalidInput as invalid:
            raise ModelRetry(invalid.message) from None

    answer.__name__ = answer.__qualname__ = label
    answer.__doc__ = artifact_type.description
    answer.__annotations__ = {"value": shape, "return": Output}
    return answer


def _class_of(artifact_type: ArtifactType, label: str) -> type[Any]:
    """A class whose instances are the values: by their class pydantic-ai tells one of several types from another, and
    tells the model what the schema is called.
    """
    model: Any = artifact_type.model
    if model is None:
        return _held(_document(artifact_type), label, is_object=True)
    is_class = isinstance(model, type) and not is_typeddict(model)
    is_root = is_class and issubclass(model, RootModel)
    if is_class and not is_root and artifact_type.schema.get("title") in (label, None):
        return cast(type[Any], model)
    is_object = not is_root and (is_class or is_typeddict(model))
    return _held(model, label, is_object=is_object)


class _Held:
    """A value that has no class of its own."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _held(shape: Any, label: str, *, is_object: bool) -> type[_Held]:
    class Held(_Held):
        __is_model_like__ = is_object
        """For pydantic-ai: what is an object by itself is not asked for within another."""

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            return core_schema.no_info_after_validator_function(cls, handler.generate_schema(shape))

        @classmethod
        def __get_pydantic_json_schema__(
            cls, schema: CoreSchema, handler: GetJsonSchemaHandler
        ) -> JsonSchemaValue:
            document = handler.resolve_ref_schema(handler(schema))
            return {**document, "title": label} if is_object else document

    return Held


def _document(artifact_type: ArtifactType) -> Any:
    """A dict that models are told by the JSON Schema. Raises ValueError."""
    elsewhere = next(
        (ref for ref in _references(artifact_type.schema) if not ref.startswith("#/$defs/")), None
    )
    if elsewhere is not None:
        raise ValueError(
            f"a model cannot be asked for {artifact_type.name}: its schema refers to {elsewhere!r}, and what it refers "
            "to must be in its $defs"
        )
    try:
        return StructuredDict(dict(artifact_type.schema), name=artifact_type.name)
    except UserError as error:
        raise ValueError(f"a model cannot be asked for {artifact_type.name}: {error.message}") from error


def _references(schema: Any) -> Iterator[str]:
    """Where a JSON Schema refers to, in all of its parts."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)
