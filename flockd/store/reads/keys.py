"""Reads of idempotency keys."""

from __future__ import annotations

from flockd.store.reads.base import PAGE_MAX, NounReads


class KeyReads(NounReads):
    async def old_keys(self, older_than: int) -> list[bytes]:
        """Digests of the oldest records that were made before this moment, at most 500."""
        rows = await self._rows(
            "SELECT digest FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?",
            (older_than, PAGE_MAX),
        )
        return [row[0] for row in rows]
