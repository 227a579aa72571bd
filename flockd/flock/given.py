"""Values that options of thinking have in common, checked while an agent is declared."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from flockd.domain.budget import Budget
from flockd.engines.llm.thinking import McpServer, Seen
from flockd.flock.declaration import DeclarationError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"https?://[^/\s].*")

Made = TypeVar("Made", Budget, McpServer, Seen)


def made(owner: str, option: str, kind: type[Made], given: Mapping[str, Any], example: str) -> Made:
    """A value of a class by a table of what it takes."""
    wanted: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }
    try:
        return kind(**wanted)
    except (TypeError, ValueError) as error:
        said = str(error).partition("() ")[2] or str(error)  # of a TypeError: what is missing or not known
        raise DeclarationError(f"{owner}: {option}: {said}: write {example}") from None


def url(owner: str, option: str, given: object) -> str | None:
    """The address of a server over HTTP."""
    if given is None or (isinstance(given, str) and _ADDRESS.fullmatch(given)):
        return given
    raise DeclarationError(
        f'{owner}: {option} is {given!r}: give it the URL of a server, as "http://127.0.0.1:11434/v1"'
    )


def variable(owner: str, option: str, given: object) -> str | None:
    """The name of an environment variable. What is none is not repeated: it may be a key."""
    if given is None or (isinstance(given, str) and _VARIABLE.fullmatch(given)):
        return given
    raise DeclarationError(
        f"{owner}: {option} is no name of an environment variable: give it the name, not the value itself"
    )


def seconds(owner: str, option: str, given: object) -> float | None:
    """A number of them."""
    if given is None:
        return None
    if not isinstance(given, (int, float)) or not is_number(given) or given <= 0:
        raise DeclarationError(f"{owner}: {option} is {given!r}: give it a number of seconds")
    return float(given)


def is_number(given: object) -> bool:
    """Whether it is a number that is one."""
    return isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given)
