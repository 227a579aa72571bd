"""An OpenAPI 3.1 document as 3.0.3, for generators that know no newer one."""

from __future__ import annotations

from typing import Any

_DROPPED = frozenset(
    {"$id", "$schema", "propertyNames", "patternProperties", "contentMediaType", "unevaluatedProperties"}
)
"""Keywords of JSON Schema that 3.0 does not have, and without which a schema only says less."""


def to_openapi_30(document: dict[str, Any]) -> dict[str, Any]:
    """A converted copy."""
    converted: dict[str, Any] = _converted(document, is_names=False)
    return {**converted, "openapi": "3.0.3"}


def _converted(value: Any, *, is_names: bool) -> Any:
    """`is_names`: the keys of this object are names that somebody chose, and not keywords."""
    if isinstance(value, list):
        return [_converted(one, is_names=False) for one in value]
    if not isinstance(value, dict):
        return value
    if is_names:
        return {name: _converted(one, is_names=False) for name, one in value.items()}
    result = {
        key: one if key in ("default", "example", "enum") else _converted(one, is_names=key in _MAPS)
        for key, one in _as_30(value).items()
    }
    return result


_MAPS = frozenset({"properties", "schemas", "paths", "responses", "headers", "content"})


def _as_30(schema: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if isinstance(schema.get("examples"), list):
        schema["example"] = schema.pop("examples")[0]
    if isinstance(schema.get("type"), list):
        types = schema.pop("type")
        schema |= {"anyOf": [{"type": one} for one in types]}
    for name in ("Minimum", "Maximum"):
        bound = schema.get(f"exclusive{name}")
        if bound is not None and not isinstance(bound, bool):
            schema |= {name.lower(): bound, f"exclusive{name}": True}
    if isinstance(schema.get("anyOf"), list):
        schema = _nullable(schema)
    if "prefixItems" in schema:
        schema["items"] = {"anyOf": schema.pop("prefixItems")}
    if "$ref" in schema and len(schema) > 1:
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf` with a null branch becomes `nullable`."""
    branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
    if len(branches) == len(schema["anyOf"]):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"} | {"nullable": True}
    if len(branches) == 1 and "$ref" in branches[0]:
        return rest | {"allOf": branches}
    return rest | (_as_30(branches[0]) if len(branches) == 1 else {"anyOf": branches})
