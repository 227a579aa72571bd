"""Reads of batches: how far one is, and what each of its items came to."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.batch import Batch, ItemState
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.store.reads.base import PAGE_MAX, NounReads
from flockd.store.rows import ARTIFACT_COLUMNS, BATCH_COLUMNS, artifact_from, batch_from

_JOINED_COLUMNS = ", ".join(f"a.{column}" for column in ARTIFACT_COLUMNS.split(", "))


class ItemResult(NamedTuple):
    """What an item of a batch came to, or as far as it is."""

    item: int
    """Its place, from 0."""
    state: ItemState
    error: str | None
    """Of a failed one: why."""
    correlation_id: str | None
    """Of the work on it; None where it has not begun or was refused."""
    outputs: list[Artifact]
    """Of agents, by seq; only of completed items."""


class BatchReads(NounReads):
    async def batch(self, correlation_id: str) -> Batch | None:
        """The batch of this id; None where there is none, or where it is no id."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return None
        row = await self._row(f"SELECT {BATCH_COLUMNS} FROM batches WHERE id = ?", (id_bytes(parsed),))
        return None if row is None else batch_from(row)

    async def unwritten_batches(self) -> list[str]:
        """Ids of the batches whose results are still to be written into a file."""
        rows = await self._rows(
            "SELECT id FROM batches INDEXED BY batches_unwritten WHERE unwritten ORDER BY id"
        )
        return [id_text(row[0]) for row in rows]

    async def batch_items(self, correlation_id: str, after: int, limit: int) -> list[ItemResult]:
        """The items after this place (-1: from the first), at most `limit` of them and never over 500, in order."""
        batch = id_bytes(correlation_id)
        limit = min(limit, PAGE_MAX)
        items: dict[int, ItemResult] = {}
        for item, state, error, correlation, reason, died in await self._rows(
            "SELECT i.item, i.state, i.error, i.correlation, c.reason, (SELECT error FROM runs r "
            "INDEXED BY runs_by_correlation WHERE i.state = 'failed' AND r.tenant = c.tenant "
            "AND r.correlation = i.correlation AND r.state = 'dead' ORDER BY r.ord LIMIT 1) "
            "FROM batch_items i LEFT JOIN correlations c ON c.id = i.correlation "
            "WHERE i.batch = ? AND i.item > ? ORDER BY i.item LIMIT ?",
            (batch, after, limit),
        ):
            items[item] = ItemResult(
                item,
                ItemState(state),
                _why(error, reason, died) if state == ItemState.failed else None,
                None if correlation is None else id_text(correlation),
                [],
            )
        for row in await self._rows(
            f"SELECT i.item, {_JOINED_COLUMNS} FROM (SELECT item, state, correlation FROM batch_items "
            "WHERE batch = ? AND item > ? ORDER BY item LIMIT ?) AS i "
            "CROSS JOIN correlations c ON c.id = i.correlation "
            "CROSS JOIN artifacts a INDEXED BY artifacts_by_correlation "
            "ON a.tenant = c.tenant AND a.correlation = i.correlation "
            "WHERE i.state = 'completed' AND a.run IS NOT NULL ORDER BY a.seq",
            (batch, after, limit),
        ):
            if row[0] in items:  # the second look may be later than the first
                items[row[0]].outputs.append(artifact_from(row[1:]))
        return list(items.values())


def _why(refused: str | None, reason: str | None, died: bytes | None) -> str:
    """Why an item failed: its input was refused, a run of it died, a limit ended it, or somebody did."""
    if refused is not None:
        return refused
    if died is not None:
        return str(orjson.loads(died)["message"])
    return reason or "Cancelled"
