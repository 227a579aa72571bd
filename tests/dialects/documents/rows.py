"""The kinds of rows of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .shape import Shape


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its answer.

    `text` is the request: a command of curl, or the line with method and path, headers, a blank line and the body.
    Where a document writes a name or an id that is another one each time, `ids` says what to put for it: a field of the
    answer to the call `after`, or else the word itself (`{client}` in it is who sends it). That call is sent first, and
    what it started waited for, unless `at_once`. `not_yet` is why the answer is not the documented one.
    """

    name: str
    text: str
    answer: Shape
    status: int = 200
    headers: Mapping[str, Shape] = field(default_factory=dict)
    after: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    at_once: bool = False
    not_yet: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A client in Python, at whose top level `await` may stand.

    `before` holds what the document leaves out (imports, a client), `after` prints what came of it; `changed` is what
    stands otherwise in the document: what it writes, what we write, and `because`.
    """

    name: str
    text: str
    prints: str
    before: str = ""
    after: str = ""
    changed: tuple[str, str] = ("", "")
    because: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of flockd, or a Python program, that ends by itself: what it prints, and its exit code."""

    name: str
    words: tuple[str, ...]
    prints: str
    code: int = 1
    not_yet: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An example that another test tries whole: its file below `tests/` and its name."""

    name: str
    test: str


Row = Call | Program | Command | Elsewhere
