"""Problems of a payload, as its sender knows its fields: in the body of a dialect, a payload is no field."""

from __future__ import annotations

from collections.abc import Callable

from flockd.errors import FieldProblem, InvalidInput

PROBLEMS_MAX = 100
"""Problems that an error lists where a client may make as many as a body holds."""


def with_fields(invalid: InvalidInput, named: Callable[[str], str]) -> InvalidInput:
    """The same problems, each with the name that `named` gives its field (a dotted path)."""
    errors = (invalid.details or {}).get("errors", ())
    problems = [FieldProblem(named(one["field"]), one["message"], one["code"]) for one in errors]
    return InvalidInput.of(problems) if problems else invalid
