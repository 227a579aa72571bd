"""`where` expressions: JMESPath syntax, a listed subset of it, compiled to closures.

The library parses; only nodes whose cost is bounded by the expression's length are accepted (a projection of 181
characters can freeze a loop for seconds). Semantics are JMESPath's: `<` of anything but numbers is null, and null,
false, "", [] and {} are false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jmespath.exceptions
import jmespath.parser

Evaluate = Callable[[Any], Any]
Compiled = TypeVar("Compiled")

_ALLOWED = "fields, indexes, literals, comparisons, &&, ||, !, contains, starts_with, ends_with and length"
_ORDERINGS = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


class Expression:
    """A compiled `where`: a predicate over plain JSON data."""

    __slots__ = ("_evaluate", "_paths", "text")

    def __init__(self, text: str, evaluate: Evaluate, paths: Mapping[str, Evaluate]) -> None:
        self.text = text
        """As its author wrote it."""
        self._evaluate = evaluate
        self._paths = paths

    def __call__(self, document: Any) -> bool:
        return _truth(self._evaluate(document))

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it looks in the document, in the order of the expression."""
        return tuple(self._paths)

    def values(self, document: Any) -> dict[str, Any]:
        """What stands in the document where the expression looks, by path, in the order of the expression."""
        return {path: evaluate(document) for path, evaluate in self._paths.items()}


def compile_where(expression: str) -> Expression:
    """A predicate over plain JSON data.

    Raises ValueError with a sentence for bad syntax, a node outside the subset, or an expression nested too deeply.
    """

    def compiled(tree: dict[str, Any]) -> Expression:
        return Expression(expression, _compile(tree), {path: _compile(node) for path, node in _paths(tree)})

    return _compiled(expression, "where", compiled, _ALLOWED)


class Path:
    """A compiled field path: the value at it in plain JSON data, None where there is none."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, evaluate: Evaluate) -> None:
        self.text = text
        """As its author wrote it."""
        self._evaluate = evaluate

    def __call__(self, document: Any) -> Any:
        return self._evaluate(document)


def compile_path(path: str) -> Path:
    """A field path of plain JSON data. Raises ValueError with a sentence."""

    def step(node: dict[str, Any]) -> Evaluate:
        if node["type"] not in ("field", "index", "subexpression", "index_expression"):
            raise _Outside(f"a {node['type'].replace('_', ' ')}")
        for child in node["children"]:
            step(child)
        return _compile(node)

    return Path(path, _compiled(path, "the field path", step, "fields and indexes"))


def _compiled(
    expression: str, what: str, compile_node: Callable[[dict[str, Any]], Compiled], allowed: str
) -> Compiled:
    try:
        tree: Any = jmespath.parser.Parser().parse(expression).parsed
        return compile_node(tree)
    except jmespath.exceptions.JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{what} {expression!r} is not a JMESPath expression: {reason}") from None
    except _Outside as outside:
        raise ValueError(f"{what} {expression!r} uses {outside}; what may be used: {allowed}") from None
    except RecursionError:
        raise ValueError(f"{what} {expression[:60]!r}… is nested too deeply") from None


class _Outside(Exception):
    """A node that the subset does not have."""


def _compile(node: dict[str, Any]) -> Evaluate:
    compiler = _COMPILERS.get(node["type"])
    if compiler is None:
        raise _Outside(f"a {node['type'].replace('_', ' ')}")
    return compiler(node)


def _paths(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The widest parts of an expression that only look something up, as they are written."""
    path = _path(node)
    if path:
        yield path, node
    else:
        for child in node["children"]:
            yield from _paths(child)


def _path(node: dict[str, Any]) -> str | None:
    """Of a lookup; empty where the document itself is meant, None for anything else."""
    match node["type"]:
        case "field":
            name: str = node["value"]
            return name if name.isidentifier() else f'"{name}"'
        case "index":
            return f"[{node['value']}]"
        case "identity":
            return ""
        case "current":
            return "@"
        case "subexpression" | "index_expression":
            steps = [_path(child) for child in node["children"]]
            if None in steps:
                return None
            return "".join(
                f".{step}" if at and step and not step.startswith("[") else step or ""
                for at, step in enumerate(steps)
            )
    return None


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
