"""Runs: every piece of work of an agent, the dead ones too."""

from __future__ import annotations

import orjson

from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset, identity, page
from flockd.api.queries import RunPage
from flockd.errors import NotFound
from flockd.routing import Call


async def list_runs(call: Call[RunPage, None]) -> bytes:
    """List runs, the newest first."""
    query = call.query
    check_offset(call.app, query)
    found, total = await call.app[READS].runs(
        agent=query.agent,
        state=query.state,
        correlation_id=query.correlation_id,
        limit=query.limit,
        offset=query.offset,
    )
    return orjson.dumps({"runs": [run.document() for run in found], **page(query, total)})


async def get_run(call: Call[None, None]) -> bytes:
    """Read one run."""
    run_id = identity(call, "run_id", "Run")
    run = await call.app[READS].run(run_id)
    if run is None:
        raise NotFound(f"Run not found: {run_id}")
    return orjson.dumps(run.document())


async def cancel_run(call: Call[None, None]) -> bytes:
    """End a run.

    One that is over stays as it is.
    """
    run = await call.app[BOARD].cancel_run(identity(call, "run_id", "Run"))
    return orjson.dumps(run.document())


async def retry_run(call: Call[None, None]) -> bytes:
    """Start a dead run again.

    Under the same id, with fresh retries, in the next round of its workflow.
    """
    run = await call.app[BOARD].retry_run(identity(call, "run_id", "Run"))
    return orjson.dumps(run.document())
