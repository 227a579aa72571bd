"""Reads of timers: how far the schedule of each has come."""

from __future__ import annotations

from flockd.domain.timer import TimerProgress
from flockd.store.reads.base import NounReads
from flockd.store.rows import TIMER_COLUMNS, timer_from


class TimerReads(NounReads):
    async def timers(self) -> list[TimerProgress]:
        """All of them, by name: as many as are declared, and at a start those of the last daemon."""
        rows = await self._rows(f"SELECT {TIMER_COLUMNS} FROM timers ORDER BY name")
        return [timer_from(row) for row in rows]

    async def next_firing(self) -> int | None:
        """When the first timer is due."""
        row = await self._row(
            "SELECT due_at FROM timers INDEXED BY timers_due WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1"
        )
        return None if row is None else row[0]
