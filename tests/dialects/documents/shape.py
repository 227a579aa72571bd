"""The shape of an answer.

A type stands for a value of it, a function for a value of which it is true; `{…}` for an object that has at least
these fields, `[shape]` for a list that is not empty and whose members are all like that; everything else for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

Shape = Any

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def differences(shape: Shape, got: Any, at: str = "answer") -> Iterator[str]:
    """What is not as the shape says, a sentence each."""
    if isinstance(shape, dict):
        yield from _of_object(shape, got, at)
    elif isinstance(shape, list):
        yield from _of_list(shape, got, at)
    elif not _fits(shape, got):
        yield f"{at} is not {getattr(shape, '__name__', repr(shape))}: {got!r}"


def _of_object(shape: dict[str, Shape], got: Any, at: str) -> Iterator[str]:
    if not isinstance(got, dict):
        yield f"{at} is no object: {got!r}"
        return
    for name, member in shape.items():
        if name in got:
            yield from differences(member, got[name], f"{at}.{name}")
        else:
            yield f"{at} has no {name}: {got!r}"


def _of_list(shape: list[Shape], got: Any, at: str) -> Iterator[str]:
    (member,) = shape
    if not isinstance(got, list) or not got:
        yield f"{at} is no list with anything in it: {got!r}"
        return
    for place, one in enumerate(got):
        yield from differences(member, one, f"{at}[{place}]")


def _fits(shape: Shape, got: Any) -> bool:
    if isinstance(shape, type):
        return isinstance(got, shape) and (shape is bool or not isinstance(got, bool))
    if callable(shape):
        return bool(shape(got))
    return type(got) is type(shape) and bool(got == shape)


def an_id(got: Any) -> bool:
    return isinstance(got, str) and _ID.fullmatch(got) is not None


def a_time(got: Any) -> bool:
    """UTC, with milliseconds."""
    return isinstance(got, str) and _TIME.fullmatch(got) is not None and bool(datetime.fromisoformat(got))


def a_number(got: Any) -> bool:
    return isinstance(got, (int, float)) and not isinstance(got, bool)


def a_percentage(got: Any) -> bool:
    return a_number(got) and 0 <= got <= 100


def maybe(shape: Shape) -> Callable[[Any], bool]:
    """That, or null."""
    return one_of(None, shape)


def one_of(*shapes: Shape) -> Callable[[Any], bool]:
    def one_of_them(got: Any) -> bool:
        return any(not list(differences(shape, got)) for shape in shapes)

    one_of_them.__name__ = f"one of {shapes}"
    return one_of_them


def list_of(shape: Shape) -> Callable[[Any], bool]:
    """A list of these, or an empty one."""

    def a_list_of_them(got: Any) -> bool:
        return isinstance(got, list) and not any(list(differences(shape, one)) for one in got)

    a_list_of_them.__name__ = f"a list of {shape}"
    return a_list_of_them


def having(shape: Shape) -> Callable[[Any], bool]:
    """A list in which at least one is like that."""

    def a_list_with_it(got: Any) -> bool:
        return isinstance(got, list) and any(not list(differences(shape, one)) for one in got)

    a_list_with_it.__name__ = f"a list with {shape}"
    return a_list_with_it


def text(pattern: str) -> Callable[[Any], bool]:
    """A text in which this is found."""

    def a_text_with_it(got: Any) -> bool:
        return isinstance(got, str) and re.search(pattern, got, re.MULTILINE) is not None

    a_text_with_it.__name__ = f"a text with {pattern!r}"
    return a_text_with_it
