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
        self._ended = asyncio.Event()

    def take(self, item: Item) -> None:
        super().take(item)
        if item.body is None or item.kind not in {_BEGINS, *ENDS}:
            return
        if item.kind == _BEGINS:
            self.open.add(item.body["correlation_id"])
        else:
            self.open.discard(item.body["correlation_id"])
            self._ended.set()

    async def settled(self, head: int) -> None:
        """Wait until everything up to this seq has been seen, and all that began has ended."""
        self.aim(head)
        await self.served.wait()
        while self.open:
            self._ended.clear()
            await self._ended.wait()
