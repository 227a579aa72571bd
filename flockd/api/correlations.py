"""Correlations: how a workflow stands, which there are, and ending one."""

from __future__ import annotations

from typing import Any

import orjson

from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset, identity, page
from flockd.api.queries import CorrelationPage
from flockd.domain.identity import parse_id
from flockd.routing import Call


async def correlation_status(call: Call[None, None]) -> bytes:
    """Tell how a workflow stands.

    Of an id that nobody used (or that is none), too: its state is `not_found`, so that polling needs no
    special case.
    """
    given, reads = call.part("correlation_id"), call.app[READS]
    correlation_id = parse_id(given)
    correlation = None if correlation_id is None else await reads.correlation(correlation_id)
    if correlation is None:
        return orjson.dumps(_not_found(correlation_id or given))
    return orjson.dumps(correlation.document() | {"unjoined": await reads.unjoined(correlation.id)})


def _not_found(correlation_id: str) -> dict[str, Any]:
    return {
        "correlation_id": correlation_id,
        "id": correlation_id,
        "state": "not_found",
        "outcome": None,
        "reason": None,
        "paused": False,
        "has_pending_work": False,
        "artifact_count": 0,
        "error_count": 0,
        "round": 0,
        "dialect": None,
        "name": None,
        "priority": None,
        "batch_id": None,
        "causes": [],
        "started_at": None,
        "last_activity_at": None,
        "completed_at": None,
        "usage": None,
        "unjoined": [],
    }


async def list_correlations(call: Call[CorrelationPage, None]) -> bytes:
    """List workflows, the newest first."""
    query = call.query
    check_offset(call.app, query)
    found, total = await call.app[READS].correlations(
        state=query.state, name=query.name, dialect=query.dialect, limit=query.limit, offset=query.offset
    )
    return orjson.dumps(
        {"correlations": [correlation.document() for correlation in found], **page(query, total)}
    )


async def cancel_correlation(call: Call[None, None]) -> bytes:
    """End a workflow.

    With every open run of it. One that is over stays as it is.
    """
    correlation_id = identity(call, "correlation_id", "Correlation")
    correlation = await call.app[BOARD].cancel_correlation(correlation_id)
    return orjson.dumps(correlation.document())


async def pause_correlation(call: Call[None, None]) -> bytes:
    """Let nothing of a workflow start.

    What runs goes on, and what would start waits until it is resumed, over restarts, too. One that is paused, or
    over, stays as it is.
    """
    return await _paused(call, True)


async def resume_correlation(call: Call[None, None]) -> bytes:
    """Let a paused workflow go on.

    One that is not paused stays as it is.
    """
    return await _paused(call, False)


async def _paused(call: Call[None, None], paused: bool) -> bytes:
    correlation_id = identity(call, "correlation_id", "Correlation")
    correlation = await call.app[BOARD].pause_correlation(correlation_id, paused)
    return orjson.dumps(correlation.document())
