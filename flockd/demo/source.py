"""Source code as it is submitted, and the one way in which the demo's agents parse it."""

import ast
import threading
import warnings
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SOURCE_MAX_CHARACTERS = 200_000
"""Some 6,000 lines. A syntax tree takes up to 700 bytes for each character of dense source, and CPython lets
no other thread run while it parses: this bounds an analysis in memory (150 MiB) and in what it holds up."""

_MESSAGE_MAX_CHARACTERS = 300
_SOURCE_NAME = "<submission>"

# `catch_warnings` swaps the filters of the whole process: two threads in it would restore each other's.
_parsing = threading.Lock()


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
        line, column = code.count("\n", 0, nul) + 1, nul - code.rfind("\n", 0, nul)
        return ParsedSource(None, Complaint(line, column, "Syntax error: NUL character in source"), ())
    tree, error = None, None
    with _parsing, warnings.catch_warnings(record=True) as heard:
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


def clip(message: str) -> str:
    """Shorten a message that quotes the source: a name or a string in it may be as long as the source."""
    if len(message) <= _MESSAGE_MAX_CHARACTERS:
        return message
    return message[: _MESSAGE_MAX_CHARACTERS - 1] + "…"
