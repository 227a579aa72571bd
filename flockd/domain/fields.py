"""Fields as text: `name: type | description, …`, the short form in which a configuration declares a type.

Types are str, int, float, bool, dict, list and Any, `list[T]`, `dict[str, T]`, `Literal['a', 'b']`,
`Optional[T]` (also written `T | None`), and inside brackets `A | B`. An optional field may be left out and is
null then; there are no other defaults. A comma inside a description belongs to it unless another `name:`
follows.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, NoReturn, Optional, Union, get_args

import pydantic

_FIELD_FOLLOWS = re.compile(r"\s*(?:[^\W\d]\w*\s*:|$)")
_NULLABLE = re.compile(r"\s*None\s*(?:\||$)")
_TYPES = "str, int, float, bool, dict, list, Any, list[…], dict[str, …], Literal['…', …] and Optional[…]"
_PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "dict": dict[str, Any],
    "list": list[Any],
    "Any": Any,
}


class Field(NamedTuple):
    """One field as it was read."""

    name: str
    type: Any
    """What pydantic understands as a type."""
    description: str | None = None

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        return type(None) in get_args(self.type)


def parse_fields(text: str) -> tuple[Field, ...]:
    """The fields of `text`. Raises ValueError with a sentence that names the character (counted from 1)."""
    fields: dict[str, Field] = {}
    for part in _parts(text):
        field = _field(text, part)
        if field.name in fields:
            _fail(text, part.start, f"the field {field.name} stands here a second time")
        fields[field.name] = field
    return tuple(fields.values())


def model_of(name: str, text: str, description: str | None = None) -> type[pydantic.BaseModel]:
    """A pydantic model with these fields. Raises ValueError as `parse_fields` does."""
    definitions: dict[str, Any] = {
        field.name: (
            field.type,
            pydantic.Field(None if field.optional else ..., description=field.description),
        )
        for field in parse_fields(text)
    }
    try:
        with warnings.catch_warnings():
            # A field may be called "json" or "schema": it only hides a method that pydantic has given up.
            warnings.simplefilter("ignore", UserWarning)
            return pydantic.create_model(name, __doc__=description, **definitions)
    except (NameError, TypeError, ValueError, pydantic.PydanticUserError) as error:
        raise ValueError(f"the fields {text!r} make no model: {str(error).splitlines()[0]}") from error


class _Part(NamedTuple):
    """One field: its name from `start`, its type after `colon`, its description after `bar`, up to `end`."""

    start: int
    colon: int
    bar: int
    end: int


def _parts(text: str) -> Iterator[_Part]:
    """The fields of `text`; a missing `colon` or `bar` is `end`. A comma may follow the last one."""
    start, colon, bar, depth, quote = 0, -1, -1, 0, ""

    def part(end: int) -> _Part:
        first = start + _indent(text[start:end])
        return _Part(first, end if colon < 0 else colon, end if bar < 0 else bar, end)

    for at, character in enumerate(text):
        described = bar >= 0
        if quote:
            quote = "" if character == quote else quote
        elif character == "," and not depth and (not described or _FIELD_FOLLOWS.match(text, at + 1)):
            yield part(at)
            start, colon, bar = at + 1, -1, -1
        elif described:
            continue
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(depth - 1, 0)
        elif character == ":" and not depth and colon < 0:
            colon = at
        elif character == "|" and not depth:
            bar = at
    if start == 0 or text[start:].strip():
        yield part(len(text))


def _field(text: str, part: _Part) -> Field:
    name = text[part.start : min(part.colon, part.bar)].strip()
    if not name:
        _fail(text, part.start, "a field is expected here, as name: type | description")
    if not name.isidentifier() or name.startswith("_"):
        _fail(
            text,
            part.start,
            f"{name!r} is no field: a name has letters, digits and _, and begins with a letter",
        )
    if part.colon == part.end:
        _fail(text, part.start, f"the field {name} has no type: write {name}: str")
    first = part.colon + 1 + _indent(text[part.colon + 1 : part.bar])
    kind = _TypeReader(text, first).read_text(text[first : part.bar].rstrip())
    rest = text[part.bar + 1 : part.end]
    if nullable := _NULLABLE.match(rest):
        kind, rest = Optional[kind], rest[nullable.end() :]  # noqa: UP045  # `kind` is a value here
    return Field(name, kind, " ".join(rest.split()) or None)


class _TypeReader:
    """Turns one written type into the type; nothing is evaluated."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at

    def read_text(self, spelled: str) -> Any:
        if not spelled:
            _fail(self._text, self._at, f"a type is expected here: {_TYPES}")
        try:
            node = ast.parse(" ".join(spelled.splitlines()), mode="eval").body
            return self._read(node)
        except (SyntaxError, RecursionError, MemoryError):
            _fail(self._text, self._at, f"{spelled!r} is no type; there are {_TYPES}")

    def _read(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name) if name in _PLAIN:
                return _PLAIN[name]
            case ast.Constant(value=None):
                return None
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return Union[self._read(left), self._read(right)]  # noqa: UP007  # made of values
            case ast.Subscript(value=ast.Name(id="list"), slice=inner):
                return list[self._read(inner)]  # type: ignore[misc]  # made of values
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), inner])):
                return dict[str, self._read(inner)]  # type: ignore[misc]  # made of values
            case ast.Subscript(value=ast.Name(id="dict")):
                self._fail(node, "a dict is written dict[str, …]: the keys of JSON are strings")
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                return Optional[self._read(inner)]  # noqa: UP045  # made of values
            case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=inner)):
                return Literal[tuple(self._constant(value) for value in inner)]
            case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
                return Literal[self._constant(inner)]
        self._fail(node, f"{ast.unparse(node)!r} is no type; there are {_TYPES}")

    def _constant(self, node: ast.expr) -> str | int | None:
        match node:
            case ast.Constant(value=(str() | int() | None) as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                return -value
        self._fail(node, "Literal takes strings in quotes, whole numbers, True, False and None")

    def _fail(self, node: ast.expr, problem: str) -> NoReturn:
        _fail(self._text, self._at + node.col_offset, problem)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _fail(text: str, at: int, problem: str) -> NoReturn:
    raise ValueError(f"the fields {text!r}: at character {at + 1}: {problem}")


_WORDS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict",
    "array": "list",
    "null": "None",
}
"""The types of JSON Schema as fields name them."""


def written_fields(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in the form that `parse_fields` reads: what its types are called there, and descriptions.

    What has no form there (an object in an object) is named, or called `dict`, and defaults are not told.
    """
    return ", ".join(
        " | ".join(filter(None, (f"{name}: {_type_text(field)}", _description(field))))
        for name, field in schema.get("properties", {}).items()
    )


def _description(field: Mapping[str, Any] | bool) -> str:
    return "" if isinstance(field, bool) else " ".join(field.get("description", "").split())


def _type_text(field: Mapping[str, Any] | bool) -> str:
    match field:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"const": constant}:
            return f"Literal[{constant!r}]"
        case {"enum": [*constants]}:
            return f"Literal[{', '.join(map(repr, constants))}]"
        case {"anyOf": [*choices]} | {"oneOf": [*choices]}:
            return " | ".join(map(_type_text, choices))
        case {"allOf": [only]}:
            return _type_text(only)
        case {"type": "array", "items": items} if items:
            return f"list[{_type_text(items)}]"
        case {"type": "object", "additionalProperties": dict() as held} if held:
            return f"dict[str, {_type_text(held)}]"
        case {"type": [*names]}:
            return " | ".join(_WORDS.get(name, "Any") for name in names)
        case {"type": str(name)}:
            return _WORDS.get(name, "Any")
    return "Any"
