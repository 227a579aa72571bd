"""`where` expressions: JMESPath syntax, a listed subset of it, compiled to closures.

The library parses; only nodes whose cost is bounded by the expression's length are accepted (a projection of 181
characters can freeze a loop for seconds). Semantics are JMESPath's: `<` of anything but numbers is null, and null,
false, "", [] and {} are false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jmespath.exceptions
import jmespath.parser

Evaluate = Callable[[Any], Any]

_ALLOWED = "fields, indexes, literals, comparisons, &&, ||, !, contains, starts_with, ends_with and length"
_ORDERINGS = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


def compile_where(expression: str) -> Callable[[Any], bool]:
    """A predicate over plain JSON data.

    Raises ValueError with a sentence for bad syntax, a node outside the subset, or an expression nested too deeply.
    """
    try:
        tree: Any = jmespath.parser.Parser().parse(expression).parsed
        evaluate = _compile(tree)
    except jmespath.exceptions.JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"where {expression!r} is not a JMESPath expression: {reason}") from None
    except _Outside as outside:
        raise ValueError(f"where {expression!r} uses {outside}; what may be used: {_ALLOWED}") from None
    except RecursionError:
        raise ValueError(f"where {expression[:60]!r}… is nested too deeply") from None
    return lambda document: _truth(evaluate(document))


class _Outside(Exception):
    """A node that the subset does not have."""


def _compile(node: dict[str, Any]) -> Evaluate:
    compiler = _COMPILERS.get(node["type"])
    if compiler is None:
        raise _Outside(f"a {node['type'].replace('_', ' ')}")
    return compiler(node)


def _truth(value: Any) -> bool:
    return value is True or (value is not None and value is not False and value not in ("", [], {}))


def _field(node: dict[str, Any]) -> Evaluate:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _index(node: dict[str, Any]) -> Evaluate:
    at = node["value"]

    def evaluate(value: Any) -> Any:
        return value[at] if isinstance(value, list) and -len(value) <= at < len(value) else None

    return evaluate


def _chain(node: dict[str, Any]) -> Evaluate:
    steps = [_compile(child) for child in node["children"]]

    def evaluate(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return evaluate


def _literal(node: dict[str, Any]) -> Evaluate:
    constant = node["value"]
    return lambda _value: constant


def _comparator(node: dict[str, Any]) -> Evaluate:
    left, right = (_compile(child) for child in node["children"])
    kind = node["value"]
    if kind == "eq":
        return lambda value: _equal(left(value), right(value))
    if kind == "ne":
        return lambda value: not _equal(left(value), right(value))
    order = _ORDERINGS[kind]

    def evaluate(value: Any) -> bool | None:
        first, second = left(value), right(value)
        return order(first, second) if _is_number(first) and _is_number(second) else None

    return evaluate


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, bool) != isinstance(second, bool):  # in JSON, true is not 1
        return False
    return bool(first == second)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _and(node: dict[str, Any]) -> Evaluate:
    left, right = (_compile(child) for child in node["children"])

    def evaluate(value: Any) -> Any:
        first = left(value)
        return right(value) if _truth(first) else first

    return evaluate


def _or(node: dict[str, Any]) -> Evaluate:
    left, right = (_compile(child) for child in node["children"])

    def evaluate(value: Any) -> Any:
        first = left(value)
        return first if _truth(first) else right(value)

    return evaluate


def _not(node: dict[str, Any]) -> Evaluate:
    (inner,) = (_compile(child) for child in node["children"])
    return lambda value: not _truth(inner(value))


def _function(node: dict[str, Any]) -> Evaluate:
    name = node["value"]
    function, arity = _FUNCTIONS.get(name, (None, 0))
    if function is None:
        raise _Outside(f"the function {name}")
    if len(node["children"]) != arity:
        raise _Outside(f"{name} with {len(node['children'])} arguments instead of {arity}")
    arguments = [_compile(child) for child in node["children"]]
    return lambda value: function(*(argument(value) for argument in arguments))


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    return isinstance(container, list) and any(_equal(element, item) for element in container)


def _starts_with(text: Any, start: Any) -> bool:
    return isinstance(text, str) and isinstance(start, str) and text.startswith(start)


def _ends_with(text: Any, end: Any) -> bool:
    return isinstance(text, str) and isinstance(end, str) and text.endswith(end)


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, (str, list, dict)) else None


_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "contains": (_contains, 2),
    "starts_with": (_starts_with, 2),
    "ends_with": (_ends_with, 2),
    "length": (_length, 1),
}

_COMPILERS: dict[str, Callable[[dict[str, Any]], Evaluate]] = {
    "field": _field,
    "index": _index,
    "subexpression": _chain,
    "index_expression": _chain,
    "literal": _literal,
    "comparator": _comparator,
    "and_expression": _and,
    "or_expression": _or,
    "not_expression": _not,
    "function_expression": _function,
    "identity": lambda _node: lambda value: value,
    "current": lambda _node: lambda value: value,
}
