"""Source code as it is submitted, and the one way in which the demo's agents parse it."""

import ast
import re
import threading
import warnings
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SOURCE_MAX_CHARACTERS = 200_000
"""Some 6,000 lines. A syntax tree takes up to 700 bytes for each character of dense source, and CPython lets
no other thread run while it parses: this bounds an analysis in memory (150 MiB) and in what it holds up."""

FSTRING_MAX_CHARACTERS = 20_000
"""Of one f-string. CPython 3.11 is quadratic in it: it is through this much in 50 ms, and would hold up everything
for three seconds over one as long as a source may be."""

_MESSAGE_MAX_CHARACTERS = 300
_SOURCE_NAME = "<submission>"

# A comment or a string, each to its end or, where none comes, to where its end is missed. The quantifiers are
# possessive: each character is read once, whatever the source.
_COMMENT_OR_STRING = re.compile(
    r"""\#[^\n]*+
    | (?P<f>\b(?i:rf|fr|f))?+
      (?: "{3} (?: [^"\\] | \\. | "(?!"") )*+ (?:"{3})?
        | '{3} (?: [^'\\] | \\. | '(?!'') )*+ (?:'{3})?
        | " (?: [^"\\\n] | \\. )*+ "?
        | ' (?: [^'\\\n] | \\. )*+ '? )
    """,
    re.VERBOSE | re.DOTALL,
)

parsing = threading.Lock()
"""Whoever parses holds it. `catch_warnings` swaps the filters of the whole process: two threads in it would restore
each other's. And before CPython 3.11.8 two threads that parse share one count of how deep they are (its issue
106905), and one of them fails with a SystemError."""


class CodeSubmission(BaseModel):
    """Source code to be reviewed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "import os\n\nprint(nme)\n", "language": "python"}]}
    )

    code: str = Field(max_length=SOURCE_MAX_CHARACTERS, description="The source text")
    language: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=64)] = Field(
        default="python",
        description="The demo's agents read python; a submission in another language wakes none of them",
    )
    filename: str | None = Field(
        default=None, max_length=255, description="Where the source comes from, for display"
    )


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the compiler says about a place in the source: line from 1, column from 1 (in characters)."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class ParsedSource:
    """A syntax tree, or None with the error that prevented it; and the compiler's warnings."""

    tree: ast.Module | None
    error: Complaint | None
    warnings: tuple[Complaint, ...]


def parse_source(code: str) -> ParsedSource:
    """Parse Python of the version that the daemon runs on. Never raises, whatever `code` holds.

    `ast.parse` answers odd input with four kinds of exception: SyntaxError; ValueError for what it cannot
    read; and MemoryError or RecursionError for brackets, operators or attributes nested too deep.
    """
    nul = code.find("\0")
    if nul >= 0:  # said without a line by CPython, and with a different exception in each of its versions
        return ParsedSource(None, Complaint(*_place(code, nul), "Syntax error: NUL character in source"), ())
    for found in _COMMENT_OR_STRING.finditer(code):
        if found["f"] and len(found[0]) > FSTRING_MAX_CHARACTERS:
            said = f"Unreadable source: an f-string of more than {FSTRING_MAX_CHARACTERS:,} characters"
            return ParsedSource(None, Complaint(*_place(code, found.start()), said), ())
    tree, error = None, None
    with parsing, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            tree = ast.parse(code, filename=_SOURCE_NAME)
        except SyntaxError as failure:
            line, column = max(failure.lineno or 1, 1), max(failure.offset or 1, 1)
            error = Complaint(line, column, clip(f"Syntax error: {failure.msg}"))
        except ValueError as failure:
            error = Complaint(1, 1, clip(f"Unreadable source: {failure}"))
        except (MemoryError, RecursionError):
            error = Complaint(1, 1, "Nested too deeply to be analysed")
    # Other threads' warnings that fell into the window are told apart by their file.
    own = tuple(Complaint(w.lineno, 1, clip(str(w.message))) for w in heard if w.filename == _SOURCE_NAME)
    return ParsedSource(tree, error, own)


def _place(code: str, position: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    return code.count("\n", 0, position) + 1, position - code.rfind("\n", 0, position)


def clip(message: str) -> str:
    """Shorten a message that quotes the source: a name or a string in it may be as long as the source."""
    if len(message) <= _MESSAGE_MAX_CHARACTERS:
        return message
    return message[: _MESSAGE_MAX_CHARACTERS - 1] + "…"
