"""Artifact types: a name and a schema, and the registry that knows them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema
import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from flockd.errors import FieldProblem, InvalidInput, nearest


class ArtifactType:
    """A name and a schema; made from a pydantic model (or anything pydantic validates) or from a JSON Schema.

    Values of a pydantic type are instances of its model; values of a JSON Schema type are plain dicts.
    """

    def __init__(
        self,
        name: str,
        model: Any | None = None,
        *,
        schema: Mapping[str, Any] | None = None,
        description: str | None = None,
        version: int = 1,
    ) -> None:
        if (model is None) == (schema is None):
            raise ValueError(f"artifact type {name}: give either a model or a JSON Schema")
        self.name = name
        self.version = version
        self.model = model
        if schema is not None:
            jsonschema.Draft202012Validator.check_schema(schema)
            self._adapter: TypeAdapter[Any] = TypeAdapter(Any)
            self._validator: jsonschema.Draft202012Validator | None = jsonschema.Draft202012Validator(schema)
            self.schema: dict[str, Any] = dict(schema)
        else:
            shape: Any = model
            self._adapter = TypeAdapter(shape)
            self._validator = None
            self.schema = self._adapter.json_schema()
        self.description = description or self.schema.get("description")

    def __repr__(self) -> str:
        return f"ArtifactType({self.name!r}, version={self.version})"

    def parse(self, payload: bytes) -> Any:
        """The value of a JSON payload. Raises InvalidInput with every bad field, each as `payload.<path>`."""
        if self._validator is not None:
            return self._parse_by_schema(payload)
        try:
            return self._adapter.validate_json(payload)
        except ValidationError as invalid:
            raise InvalidInput.of(problems_of(invalid, "payload")) from None

    def check(self, value: Any) -> Any:
        """The value as this type's, from an instance or from plain data. Raises InvalidInput."""
        if isinstance(self.model, type) and self.model is not Any and isinstance(value, self.model):
            return value
        return self.parse(value if isinstance(value, bytes) else to_json(value))

    def dump(self, value: Any) -> bytes:
        """The JSON that is stored: it parses back to an equal value.

        Raises InvalidInput for a number that JSON has no word for: pydantic writes null for NaN and the infinities.
        """
        dumped = self._adapter.dump_json(value, by_alias=True)
        if b"null" in dumped:
            field = _not_finite(self._adapter.dump_python(value, by_alias=True), "payload")
            if field is not None:
                raise InvalidInput.field(field, "JSON has neither NaN nor infinities", "finite_number")
        return dumped

    def _parse_by_schema(self, payload: bytes) -> Any:
        value = orjson.loads(payload)
        assert self._validator is not None
        problems = [
            FieldProblem(
                ".".join(["payload", *map(str, error.absolute_path)]), error.message, str(error.validator)
            )
            for error in self._validator.iter_errors(value)
        ]
        if problems:
            raise InvalidInput.of(problems)
        return value


def _not_finite(document: object, path: str) -> str | None:
    """The path of the first float that is no finite number."""
    below: Iterable[tuple[object, object]]
    match document:
        case float() if not math.isfinite(document):
            return path
        case dict():
            below = document.items()
        case list() | tuple() | set() | frozenset():
            below = enumerate(document)
        case _:
            return None
    return next((found for key, value in below if (found := _not_finite(value, f"{path}.{key}"))), None)


def problems_of(invalid: ValidationError, prefix: str = "") -> list[FieldProblem]:
    """pydantic's findings as field problems with dotted paths."""
    return [
        FieldProblem(".".join([prefix, *map(str, error["loc"])]).strip("."), error["msg"], error["type"])
        for error in invalid.errors(include_url=False, include_context=False, include_input=False)
    ]


class Types(Mapping[str, ArtifactType]):
    """The artifact types that this daemon knows, by name."""

    def __init__(self, types: Iterable[ArtifactType] = ()) -> None:
        self._by_name = {artifact_type.name: artifact_type for artifact_type in types}

    def __getitem__(self, name: str) -> ArtifactType:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def named(self, name: str) -> ArtifactType:
        """The type of this name. Raises InvalidInput with the nearest name and where to declare one."""
        found = self._by_name.get(name)
        if found is None:
            near = nearest(name, self._by_name)
            hint = f"; did you mean {near}?" if near else ""
            raise InvalidInput.field(
                "type",
                f"Unknown artifact type: {name}",
                "unknown_type",
                f"Unknown artifact type: {name}{hint} (declare it with @flock.type or as [[types]] in config.toml)",
            )
        return found
