"""Checking input against the models of a route: every bad field is named, a misspelt one with its nearest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar, get_args

from multidict import MultiMapping
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flockd.errors import FieldProblem, InvalidInput, nearest

Model = TypeVar("Model", bound=BaseModel)

PROBLEMS_MOST = 100
"""Bad fields that one answer names: the first ones."""


def validated(model: type[Model], value: Any, prefix: str = "") -> Model:
    """`value` as the model. Raises InvalidInput with dotted paths that begin with `prefix`."""
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        raise InvalidInput.of(_problems(model, invalid, prefix)) from None


def validated_query(model: type[Model] | None, given: MultiMapping[str]) -> Model | None:
    """A query string as the model: a repeated name is a list where the model has one, else an error."""
    many = _list_fields(model) if model is not None else frozenset()
    values: dict[str, str | list[str]] = {}
    for name in given:
        if name in many:
            values[name] = given.getall(name)
        elif len(given.getall(name)) > 1:
            raise InvalidInput.field(name, "May be given only once", "repeated")
        else:
            values[name] = given[name]
    if model is not None:
        return validated(model, values)
    if values:
        raise InvalidInput.of([_unknown(name, ()) for name in values], "This route takes no query parameters")
    return None


def _problems(model: type[BaseModel], invalid: ValidationError, prefix: str) -> list[FieldProblem]:
    found = []
    for error in islice(
        invalid.errors(include_url=False, include_context=False, include_input=False), PROBLEMS_MOST
    ):
        path = ".".join([*filter(None, [prefix]), *map(str, error["loc"])])
        if error["type"] == "extra_forbidden":
            found.append(_unknown(path, _names_beside(model, error)))
        else:
            found.append(FieldProblem(path, _in_words_of_json(error["msg"]), error["type"]))
    return found


def _in_words_of_json(message: str) -> str:
    """A sentence of pydantic's for who sends JSON and knows nothing of Python."""
    for pythons, ours in _WORDS:
        message = message.replace(pythons, ours)
    return message


_WORDS = (
    ("Unable to extract tag using discriminator", "Must have the field"),
    ("Input should be a valid dictionary or object to extract fields from", "Input should be an object"),
    ("Input should be a valid tuple", "Input should be a valid list"),
    ("Tuple should have", "List should have"),
    ("Value error, ", ""),
)


def _unknown(path: str, known: tuple[str, ...]) -> FieldProblem:
    near = nearest(path.rpartition(".")[2], known)
    return FieldProblem(
        path, f"Unknown field; did you mean {near}?" if near else "Unknown field", "unknown_field"
    )


def _names_beside(model: type[BaseModel], error: ErrorDetails) -> tuple[str, ...]:
    """The names that the object has in which the unknown field stands."""
    here = [model]
    for part in error["loc"][:-1]:
        # A part of the path that is no field is an index, or the tag of a union.
        stepped = [
            nested for place in here if part in place.model_fields for nested in _models_of(place, str(part))
        ]
        here = stepped or here
    return tuple(name for place in here for name in _wire_names(place))


def _models_of(model: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    pending = [model.model_fields[field].annotation]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            pending.extend(get_args(annotation))


def _wire_names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    found = _LIST_FIELDS.get(model)
    if found is None:
        properties = model.model_json_schema()["properties"]
        found = frozenset(name for name, schema in properties.items() if schema.get("type") == "array")
        _LIST_FIELDS[model] = found
    return found


_LIST_FIELDS: dict[type[BaseModel], frozenset[str]] = {}
