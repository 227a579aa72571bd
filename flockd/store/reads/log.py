"""Reads of the log: pages of events, where it stands, and the counts of all time."""

from __future__ import annotations

from typing import NamedTuple

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.event import Event
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.store.reads.base import PAGE_MAX, NounReads
from flockd.store.rows import ARTIFACT_COLUMNS, EVENT_COLUMNS, artifact_from, event_from

_EVENT_WIDTH = EVENT_COLUMNS.count(",") + 1
_JOINED_COLUMNS = ", ".join(
    [f"e.{column}" for column in EVENT_COLUMNS.split(", ")]
    + [f"a.{column}" for column in ARTIFACT_COLUMNS.split(", ")]
)


class LogPosition(NamedTuple):
    """Where the log stands."""

    log_id: str
    """Cursors of another log are not cursors of this one."""
    head: int
    """The seq of the last event; 0 before the first."""
    complete_from: int
    """Every event from this seq on is there."""


class LogReads(NounReads):
    async def events(self, after: int, limit: int, max_bytes: int) -> list[Event]:
        """What follows this seq in the log, with its artifacts: at most `limit` events, never over 500.

        Ends with the event that reaches `max_bytes` of data and payloads; so there is at least one if any
        follows.
        """
        return await self._events(
            "SELECT seq, data, artifact FROM events WHERE seq > ?", (after,), limit, max_bytes
        )

    async def correlation_events(
        self, correlation_id: str, after: int, limit: int, max_bytes: int
    ) -> list[Event]:
        """As `events`, but only those of one correlation; empty where it is no id, too."""
        parsed = parse_id(correlation_id)
        if parsed is None:
            return []
        return await self._events(
            "SELECT seq, data, artifact FROM events INDEXED BY events_by_correlation "
            "WHERE correlation = ? AND seq > ?",
            (id_bytes(parsed), after),
            limit,
            max_bytes,
        )

    async def _events(
        self, found: str, parameters: tuple[object, ...], limit: int, max_bytes: int
    ) -> list[Event]:
        rows = await self._rows(
            f"SELECT {_JOINED_COLUMNS} FROM "
            "(SELECT e.seq, sum(length(e.data) + ifnull(length(a.payload), 0)) OVER (ORDER BY e.seq "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM "
            f"({found} ORDER BY seq LIMIT ?) AS e "
            "LEFT JOIN artifacts a ON a.seq = e.artifact) AS page "
            "CROSS JOIN events e ON e.seq = page.seq LEFT JOIN artifacts a ON a.seq = e.artifact "
            "WHERE page.before IS NULL OR page.before < ?",
            (*parameters, min(limit, PAGE_MAX), max_bytes),
        )
        events = [
            event_from(
                row[:_EVENT_WIDTH], None if row[_EVENT_WIDTH] is None else artifact_from(row[_EVENT_WIDTH:])
            )
            for row in rows
        ]
        return sorted(events, key=lambda event: event.seq)

    async def log_position(self) -> LogPosition:
        row = await self._row("SELECT log_id, next_seq - 1, complete_from FROM log")
        assert row is not None, "a migrated store has its row of the log"
        return LogPosition(id_text(row[0]), row[1], row[2])

    async def totals(self) -> dict[str, int]:
        """All that was ever published and executed: `{"artifacts", "executions"}`."""
        rows = await self._rows(
            "SELECT a, n FROM counters WHERE tenant = ? AND kind = 'alltime'", (DEFAULT_TENANT,)
        )
        return {"artifacts": 0, "executions": 0} | {row[0]: row[1] for row in rows}

    async def old_keys(self, older_than: int) -> list[bytes]:
        """Digests of idempotency records made before a moment: a page of them, oldest first."""
        rows = await self._rows(
            "SELECT digest FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT 500", (older_than,)
        )
        return [row[0] for row in rows]
