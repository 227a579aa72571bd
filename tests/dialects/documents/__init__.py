"""The examples of the five documents, as data: a module for each document, with one row for each example in its order.

Requests and programs are quoted as the documents write them, because that is what their readers send; what a row
says about the answer is the documented shape, in the words of `shape`. What cannot work yet says why, and what comes
instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from .d000 import DOCUMENT_000
from .d001 import DOCUMENT_001
from .d002 import DOCUMENT_002
from .d003 import DOCUMENT_003
from .d004 import DOCUMENT_004
from .rows import Call, Command, Elsewhere, Program, Row

R = TypeVar("R", Call, Program, Command, Elsewhere)

DOCUMENTS: dict[str, tuple[Row, ...]] = {
    "000": DOCUMENT_000,
    "001": DOCUMENT_001,
    "002": DOCUMENT_002,
    "003": DOCUMENT_003,
    "004": DOCUMENT_004,
}


def rows(kind: type[R]) -> Iterator[tuple[str, R]]:
    """The rows of one kind, each with the number of its document."""
    for document, all_rows in DOCUMENTS.items():
        yield from ((document, row) for row in all_rows if isinstance(row, kind))
