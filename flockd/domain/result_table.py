"""Results as a table: a line for each, a column for each field that any of them has. What a batch's CSV looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

PLAIN = "result"
"""The column of results that are no objects."""


class ResultTable:
    """The columns of some results. Show it all of them (`see`) before asking for the first line."""

    def __init__(self) -> None:
        self._columns: dict[str, None] = {}

    def see(self, result: Any) -> None:
        """The fields of a result become columns, in the order in which they first come."""
        self._columns.update(dict.fromkeys(_fields(result)))

    @property
    def headings(self) -> list[str]:
        return list(self._columns)

    def line(self, result: Any) -> list[str]:
        """The cells of a result: text as it is, nothing for null, anything else as JSON."""
        fields = _fields(result)
        return [_cell(fields.get(column)) for column in self._columns]


def _fields(result: Any) -> Mapping[str, Any]:
    if isinstance(result, Mapping):
        return result
    return {} if result is None else {PLAIN: result}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
