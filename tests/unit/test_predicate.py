"""`where`: our compiled subset against the jmespath library, and what it refuses."""

import json
from typing import Any

import jmespath
import jmespath.exceptions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.domain.predicate import compile_where

# Documents have a text, a number, items and anything, so that expressions can be typed: where the types of a
# function do not fit, the library raises, and there is nothing to compare.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, "", "a", "ab"]),
)
NAMES = st.sampled_from(["text", "number", "items", "anything"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=6,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["", "a", "ab", "ba"]),
        "number": st.integers(-2, 2) | st.just(0.5),
        "items": st.lists(VALUES, max_size=3),
        "anything": VALUES,
    },
)

PATHS = st.one_of(
    NAMES,
    NAMES.map(lambda name: f"@.{name}"),
    NAMES.map(lambda name: f"anything.{name}"),
    st.integers(-2, 2).map(lambda at: f"items[{at}]"),
    NAMES.map(lambda name: f"items[0].{name}"),
    st.just("@"),
)
LITERALS = SCALARS.map(lambda value: f"`{json.dumps(value)}`") | st.sampled_from(["'a'", "`[]`", "`{}`"])
NUMBERS = st.sampled_from(["number", "`0`", "`1`", "`-0.5`", "length(items)", "anything"])
TEXTS = st.sampled_from(["text", "'a'", "'ab'", "''", "anything"])
CONTAINERS = st.sampled_from(["items", "text", "'abc'", '`["a", 2, null]`', "anything"])


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def infix(left: st.SearchStrategy[str], operators: list[str]) -> st.SearchStrategy[str]:
        return st.tuples(left, st.sampled_from(operators), left).map(lambda parts: f"({' '.join(parts)})")

    def call(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(*arguments).map(lambda given: f"{name}({', '.join(given)})")

    return st.one_of(
        infix(inner, ["==", "!="]),
        infix(inner, ["&&", "||"]),
        infix(NUMBERS, ["<", "<=", ">", ">="]),
        inner.map(lambda operand: f"!({operand})"),
        call("contains", CONTAINERS, PATHS | LITERALS),
        call("starts_with", TEXTS, TEXTS),
        call("ends_with", TEXTS, TEXTS),
        call("length", CONTAINERS),
    )


EXPRESSIONS = st.recursive(PATHS | LITERALS, _combined, max_leaves=6)


def exactly(value: Any) -> str:
    """JSON that tells true from 1, but not 1.0 from 1."""
    return json.dumps(value, sort_keys=True).replace(".0", "")


class Differs(Exception):
    """The library leaves the specification here (see `Specified`)."""


class Specified(jmespath.visitor.TreeInterpreter):
    """The library's interpreter, which tells where it is not what the specification says.

    It orders strings, and Python's `True == 1` shows through inside lists and objects.
    """

    def visit_comparator(self, node: dict[str, Any], value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        if node["value"] in ("eq", "ne"):
            if isinstance(left, (list, dict)) and (left == right) != (exactly(left) == exactly(right)):
                raise Differs
        elif isinstance(left, str) or isinstance(right, str):
            raise Differs
        return super().visit_comparator(node, value)

    def visit_function_expression(self, node: dict[str, Any], value: Any) -> Any:
        if node["value"] == "contains":
            container, item = (self.visit(child, value) for child in node["children"])
            if isinstance(container, list) and (item in container) != (
                exactly(item) in [exactly(element) for element in container]
            ):
                raise Differs
        return super().visit_function_expression(node, value)


def searched(expression: str, document: Any) -> bool:
    """What the library finds, by JMESPath's notion of truth. Raises Differs where it gives no answer."""
    try:
        found = Specified().visit(jmespath.compile(expression).parsed, document)
    except (jmespath.exceptions.JMESPathError, TypeError):  # a type error: for us, no match
        raise Differs from None
    return not (found is None or found is False or found in ("", [], {}))


@settings(max_examples=300)
@given(EXPRESSIONS, DOCUMENTS)
def test_it_agrees_with_the_library(expression: str, document: Any) -> None:
    found = compile_where(expression)(document)
    try:
        assert found is searched(expression, document)
    except Differs:
        assert isinstance(found, bool)  # no library to agree with, but never an error either


REVIEW = {
    "language": "python",
    "lines": 120,
    "ratio": 0.5,
    "done": True,
    "empty": [],
    "none": None,
    "tags": ["a", "b", 1],
    "author": {"name": "Ada", "teams": [{"id": 7}]},
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("language == 'python'", True),
        ("language != 'python'", False),
        ("lines > `100` && lines <= `120`", True),
        ("lines < `100` || done", True),
        ("!done", False),
        ("empty", False),
        ("none", False),
        ("missing", False),
        ("missing.deeper[0].still", False),
        ("missing == `null`", True),
        ("author.teams[0].id == `7`", True),
        ("author.teams[-1].id == `7`", True),
        ("author.teams[1].id", False),
        ("contains(tags, 'a')", True),
        ("contains(tags, 'c')", False),
        ("contains(language, 'yth')", True),
        ("starts_with(language, 'py') && ends_with(language, 'on')", True),
        ("length(tags) == `3`", True),
        ("length(author)", True),
        ("\"language\" == 'python'", True),
        ("@.done", True),
        # JSON's true is not its 1, though Python's is.
        ("done == `1`", False),
        ("contains(tags, `true`)", False),
        # As specified: only numbers are ordered, anything else is null.
        ("language > 'a'", False),
        ("lines > 'a'", False),
        ("done > `0`", False),
        # A function of the wrong type matches nothing.
        ("contains(missing, 'a')", False),
        ("starts_with(lines, 'a')", False),
        ("length(lines)", False),
    ],
)
def test_what_holds(expression: str, holds: bool) -> None:
    assert compile_where(expression)(REVIEW) is holds


ALLOWED = "fields, indexes, literals, comparisons, &&, ||, !, contains, starts_with, ends_with and length"


@pytest.mark.parametrize(
    ("expression", "used"),
    [
        ("a[*]", "a projection"),
        ("a[]", "a projection"),
        ("a[?b]", "a filter projection"),
        ("*", "a value projection"),
        ("a[0:2]", "a projection"),
        ("a | b", "a pipe"),
        ("[a, b]", "a multi select list"),
        ("{x: a}", "a multi select dict"),
        ("sort(a)", "the function sort"),
        ("map(&b, a)", "the function map"),
        ("nonsense(a)", "the function nonsense"),
        ("length(a, b)", "length with 2 arguments instead of 1"),
        ("contains(a)", "contains with 1 arguments instead of 2"),
        ("a && (b || c[*])", "a projection"),
    ],
)
def test_what_is_outside_the_subset_is_refused(expression: str, used: str) -> None:
    with pytest.raises(ValueError) as refused:
        compile_where(expression)
    assert str(refused.value) == f"where {expression!r} uses {used}; what may be used: {ALLOWED}"


@pytest.mark.parametrize("expression", ["", "a ==", "a = 1", "'open", "a[", "a b"])
def test_bad_syntax_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a JMESPath expression: "):
        compile_where(expression)
