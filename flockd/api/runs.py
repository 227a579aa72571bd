"""Runs: every piece of work of an agent, the dead ones too."""

from __future__ import annotations

import orjson
from aiohttp import web

from flockd.api.bodies import RetryBody
from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset, identity, page
from flockd.api.queries import RunPage
from flockd.board import Redriven
from flockd.domain.moment import iso
from flockd.errors import InvalidInput, NotFound
from flockd.routing import Call
from flockd.store.reads import Total


async def list_runs(call: Call[RunPage, None]) -> bytes:
    """List runs, the newest first."""
    query = call.query
    check_offset(call.app, query)
    found, total = await call.app[READS].runs(
        agent=None if query.agent is None else call.app[BOARD].agents.name_of(query.agent),
        state=query.state,
        error=query.error,
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


async def retry_run(call: Call[None, None]) -> bytes | web.StreamResponse:
    """Start a dead run again.

    Under the same id, with fresh retries, in the next round of its workflow.
    """

    def render(redriven: Redriven) -> bytes:
        return orjson.dumps(redriven.runs[0].document())

    run_id = identity(call, "run_id", "Run")
    redriven = await call.app[BOARD].redrive(
        (run_id,), render=render, strict=True, idempotency=idempotency(call, call.parsed)
    )
    return render(redriven) if redriven.answer is None else again(redriven.answer)


async def retry_runs(call: Call[None, RetryBody]) -> bytes | web.StreamResponse:
    """Start many dead runs again.

    Those that are named, or the oldest ones that fit, in one transaction. None of a cancelled workflow.
    """
    wanted = call.body
    if wanted.run_ids is not None and (beside := wanted.model_fields_set - {"run_ids"}):
        raise InvalidInput.field(min(beside), "Cannot be given together with run_ids", "ambiguous")
    if wanted.run_ids is not None:
        run_ids, fitting = wanted.run_ids, Total(len(wanted.run_ids), exact=True)
    else:
        run_ids, fitting = await call.app[READS].dead_letters(
            agent=None if wanted.agent is None else call.app[BOARD].agents.name_of(wanted.agent),
            correlation_id=wanted.correlation_id,
            error=wanted.error,
            died_before=wanted.died_before,
            limit=wanted.limit,
        )

    def render(redriven: Redriven) -> bytes:
        before = redriven.at if wanted.died_before is None else min(wanted.died_before, redriven.at)
        refused = redriven.refused if wanted.run_ids is not None else ()  # of the others somebody was faster
        answer = {
            "runs": [run.document() for run in redriven.runs],
            "retried": len(redriven.runs),
            "refused": [
                {"run_id": run_id, "error": error.code, "message": error.message} for run_id, error in refused
            ],
            "remaining": fitting.count - len(run_ids),
            "remaining_exact": fitting.exact,
            "died_before": iso(max(before, 0)),  # nothing died before the epoch
        }
        return orjson.dumps(answer)

    redriven = await call.app[BOARD].redrive(
        run_ids, render=render, idempotency=idempotency(call, call.parsed)
    )
    return render(redriven) if redriven.answer is None else again(redriven.answer)
