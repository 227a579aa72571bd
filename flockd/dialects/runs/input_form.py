"""What an agent takes, as callers of this dialect write it: fields of its one input type, or an object per type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from flockd.board import Publication
from flockd.dialects.problems import with_fields
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.errors import FieldProblem, InvalidInput, nearest


class InputForm:
    """The inputs of one agent.

    An agent with one input type takes that type's fields. One that joins several takes `{"TypeName": {…}}` with
    all of them (a list where it takes several of one type). One that wakes on any of several takes
    `{"TypeName": {…}}` with one of them, or the fields of the first: its own, where other agents hand over to it.
    One that only its schedule starts takes nothing.
    """

    def __init__(self, agent: Agent, types: Types) -> None:
        subscription = agent.subscription
        self._agent = agent.name
        self._needed = dict(subscription.needed)
        self._types = {name: types[name] for name in self._needed}
        self._any = subscription.mode == "any"
        takes_fields = self._any or len(subscription.types) == 1
        self._first = self._types[subscription.types[0]] if takes_fields else None
        """The type whose fields are taken; None where the inputs are an object with what it takes of each type."""
        self._root = self._schema()
        self._properties: Mapping[str, Any] = self._root.get("properties", {})
        self._required = frozenset(self._root.get("required", ()))
        self._takes_any_name = self._first is not None and _is_open(self._root)

    def _schema(self) -> dict[str, Any]:
        """The JSON Schema of the whole: that of an object keyed by types, or the one type's own."""
        if self._first is None:
            return {
                "properties": {name: {"type": "object"} for name in self._needed},
                "required": list(self._needed),
            }
        schema = self._first.schema
        return resolved(schema, schema) | {"$defs": schema.get("$defs", {})}

    # -- fields ---------------------------------------------------------------------------------------------

    def has(self, field: str) -> bool:
        """Whether the inputs may have this field. One with an alias has two names."""
        if self._takes_any_name or field in self._properties or (self._any and field in self._types):
            return True
        return self._first is not None and field in getattr(self._first.model, "model_fields", ())

    def unknown(self, path: str, field: str) -> FieldProblem:
        """The problem of a field, named at `path`, that the inputs cannot have."""
        near = nearest(field, self._properties)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(self._properties) or 'none'}"
        return FieldProblem(path, f"{self._agent} takes no field {field}; {hint}", "unknown_field")

    def value(self, field: str, cell: str) -> Any:
        """A cell of a CSV as this field's value: text where the type takes text, elsewhere JSON if it is JSON.

        Whatever stays text is for the type's own lax rules: `True` is a boolean and `007` a number to pydantic.
        """
        if _takes_text(self._root, self._properties.get(field, {})):
            return cell
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError:
            return cell

    def needs_text(self, field: str) -> bool:
        """Whether this field must be given and may be the empty text."""
        return field in self._required and _takes_text(self._root, self._properties.get(field, {}))

    # -- values ---------------------------------------------------------------------------------------------

    def publications(self, inputs: Mapping[str, Any]) -> list[Publication]:
        """The artifacts that these inputs are, each valid for its type.

        Raises InvalidInput with every bad field, as `inputs.<path>`.
        """
        if self._first is None:
            self._check_names(inputs)
        elif not (self._any and len(inputs) == 1 and next(iter(inputs)) in self._types):
            return [_publication(self._first, inputs, "inputs")]
        found: list[Publication] = []
        problems: list[FieldProblem] = []
        for name, given in inputs.items():
            try:
                found += self._of_type(name, given)
            except InvalidInput as invalid:
                problems += _problems(invalid)
        if problems:
            raise InvalidInput.of(problems)
        return found

    def _check_names(self, inputs: Mapping[str, Any]) -> None:
        """Raises InvalidInput unless all types of a join are there and nothing else."""
        problems = [self.unknown(f"inputs.{name}", name) for name in inputs if name not in self._needed]
        problems += [
            FieldProblem(f"inputs.{name}", "Field required", "missing")
            for name in self._needed
            if name not in inputs
        ]
        if problems:
            raise InvalidInput.of(problems)

    def _of_type(self, name: str, given: Any) -> list[Publication]:
        artifact_type, count, path = self._types[name], self._needed[name], f"inputs.{name}"
        if self._any or count == 1:
            return [_publication(artifact_type, given, path)]
        if not isinstance(given, list) or len(given) != count:
            raise InvalidInput.field(path, f"{self._agent} takes a list of {count} of these", "wrong_count")
        return [_publication(artifact_type, one, f"{path}.{index}") for index, one in enumerate(given)]


def _publication(artifact_type: ArtifactType, value: Any, path: str) -> Publication:
    """Raises InvalidInput with the type's findings at `path`."""
    payload = orjson.dumps(value)
    try:
        artifact_type.parse(payload)
    except InvalidInput as invalid:
        raise with_fields(invalid, lambda field: path + field.removeprefix("payload")) from None
    return Publication(artifact_type.name, payload)


def _problems(invalid: InvalidInput) -> list[FieldProblem]:
    assert invalid.details is not None, "whoever refuses a field names it"
    return [FieldProblem(**problem) for problem in invalid.details["errors"]]


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether an object's schema asks for more than the fields that it names, or names none."""
    return bool(schema.get("additionalProperties", "properties" not in schema))


def resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema, or what it refers to within `root`."""
    while "$ref" in schema:
        schema = root.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2], {})
    return dict(schema)


def _takes_text(root: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Whether a value of this schema may be text."""
    schema = resolved(root, schema)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return any(_takes_text(root, choice) for choice in choices)
    if "enum" in schema:
        return any(isinstance(value, str) for value in schema["enum"])
    types = schema.get("type", "string")
    return "string" in (types if isinstance(types, list) else [types])
