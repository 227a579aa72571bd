"""Timers: what this daemon does by itself, and when."""

from __future__ import annotations

import orjson

from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset
from flockd.api.queries import Page
from flockd.routing import Call


async def list_timers(call: Call[Page, None]) -> bytes:
    """List timers."""
    query, declared = call.query, call.app[BOARD].timers
    check_offset(call.app, query)
    timers = [
        declared[progress.name].document(progress)
        for progress in await call.app[READS].timers()
        if progress.name in declared
    ]
    shown = timers[query.offset : query.offset + query.limit]
    return orjson.dumps({"timers": shown, "total": len(timers), "limit": query.limit, "offset": query.offset})
