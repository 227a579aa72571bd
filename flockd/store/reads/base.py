"""What the reads of every noun share: the connections, the bound of counting, and how one statement is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import aiosqlite

from flockd.store.sqlite import Readers

PAGE_MAX = 500
"""Rows of one read: an open cursor pins the write-ahead log, and a page is held in memory."""


class Total(NamedTuple):
    """How many there are; where it is not exact, there are more."""

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a total
    exact: bool


class NounReads:
    """Each read is one statement, read to its end and closed before anything else is awaited; so it sees one
    snapshot."""

    def __init__(self, readers: Readers, *, count_max: int = 10_000) -> None:
        self._readers = readers
        self._count_max = count_max
        """How far is counted what no maintained count knows."""

    async def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        async with self._readers.connection() as connection:
            return await rows_of(connection, sql, parameters)

    async def _row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        rows = await self._rows(sql, parameters)
        return rows[0] if rows else None

    def _total(self, counted: int) -> Total:
        """Of a count that stopped one past the bound."""
        return Total(min(counted, self._count_max), counted <= self._count_max)


async def rows_of(
    connection: aiosqlite.Connection, sql: str, parameters: Sequence[Any] = ()
) -> list[sqlite3.Row]:
    """All rows of one statement."""
    return cast(list[sqlite3.Row], await connection.execute_fetchall(sql, parameters))
