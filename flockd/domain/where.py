"""`where` on a subscription: a predicate over one candidate, and what it says of itself when somebody asks why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from flockd.domain.predicate import Expression, Path

if TYPE_CHECKING:
    from flockd.domain.subscription import Candidate

Where = Callable[["Candidate"], bool]
"""May raise anything: no match."""

_SHOWN_CHARS = 200
"""Of a value in a sentence."""


@dataclass(frozen=True, slots=True)
class WherePayload:
    """An expression over the payload."""

    expression: Expression

    def __call__(self, candidate: Candidate) -> bool:
        return self.expression(candidate.document)


@dataclass(frozen=True, slots=True)
class WhereValue:
    """An author's function of the validated value."""

    function: Callable[[Any], object]

    def __call__(self, candidate: Candidate) -> bool:
        return bool(self.function(candidate.value))


def shown(where: Callable[[Any], Any]) -> str:
    """A predicate, or a path to a key, as its author wrote it; of a function its name."""
    if isinstance(where, WherePayload):
        return where.expression.text
    if isinstance(where, Path):
        return where.text
    function = where.function if isinstance(where, WhereValue) else where
    return str(getattr(function, "__qualname__", type(function).__name__))


def describe(where: Where, candidate: Candidate) -> str:
    """The predicate, what it says of this candidate, and the values that it read, where it can tell."""
    try:
        said = "is true" if where(candidate) else "is false"
    except Exception as error:  # the author's predicate may raise anything
        said = f"raised {type(error).__name__}: {error}, which is no match"
    if isinstance(where, WherePayload):
        values = where.expression.values(candidate.document)
        read = ", ".join(f"{path} is {_value(value)}" for path, value in values.items())
        return f"where {shown(where)!r} {said}{f': {read}' if read else ''}"
    return f"where {shown(where)} {said}"


def _value(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
