"""One thing that verification looks at."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """A statement that selects what is wrong, and the sentence of one such row; ids are 16-byte blobs."""

    sql: str
    sentence: str
