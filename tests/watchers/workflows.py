"""A watch that knows which workflows have not ended: how the end of the publishing's consequences is found."""

from __future__ import annotations

import asyncio

from tests.process.tail import ENDS

from .watch import Bodies, Item, Watch

_BEGINS = "correlation.started"


class Workflows(Watch):
    """Watches beginnings and ends from the start of the log on, and is checked like any other watch."""

    def __init__(self, bodies: Bodies) -> None:
        super().__init__("workflows", tuple(("kind", kind) for kind in (_BEGINS, *sorted(ENDS))), bodies)
        self.open: set[str] = set()
        self._moved = asyncio.Event()

    def take(self, item: Item) -> None:
        super().take(item)
        if item.body is not None and item.kind == _BEGINS:
            self.open.add(item.body["correlation_id"])
        elif item.body is not None and item.kind in ENDS:
            self.open.discard(item.body["correlation_id"])
        self._moved.set()

    async def until(self, seq: int, most: int) -> None:
        """Wait until everything up to this seq has been seen, and no more than so many workflows are open."""
        while (self.cursor or 0) < seq or len(self.open) > most:
            self._moved.clear()
            await self._moved.wait()
