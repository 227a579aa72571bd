"""Moments: milliseconds since the Unix epoch, UTC, as int; on the wire `YYYY-MM-DDTHH:MM:SS.mmmZ`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

HOUR_MS = 3_600_000


def now_ms() -> int:
    """The wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=4096)
def iso(moment: int) -> str:
    """The wire form. Cached, since all events of one commit carry one moment."""
    return (
        datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{moment % 1000:03d}Z"
    )


def parse_iso(text: str) -> int:
    """Milliseconds of an ISO 8601 time; a naive one is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds() * 1000 + 0.5)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
