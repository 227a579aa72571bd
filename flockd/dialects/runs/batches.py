"""Batches: starting one, how it stands, and ending it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, READS
from flockd.api.publication import correlation_id
from flockd.dialects.keys import BATCH, BatchSettings
from flockd.dialects.runs.batch_files import BATCH_FILES
from flockd.dialects.runs.batch_folder import BatchFolder
from flockd.dialects.runs.batch_items import ItemReader
from flockd.dialects.runs.batch_options import BatchOptions
from flockd.dialects.runs.batch_results import pages, result
from flockd.dialects.runs.bodies import BatchDetail, FlockBatchRequest
from flockd.dialects.runs.input_form import InputForm
from flockd.domain.batch import Batch
from flockd.domain.correlation import Correlation
from flockd.domain.moment import iso
from flockd.errors import InvalidInput, NotFound
from flockd.routing import Call
from flockd.store.reads import Reads


async def run_batch(call: Call[None, FlockBatchRequest]) -> bytes | web.StreamResponse:
    """Run an agent on many items.

    Each item starts a workflow of its own, `max_workers` of them at a time. Answered once the batch is durable;
    its progress and results are at /batch/{batch_id}.
    """
    app, body = call.app, call.body
    board, settings = app[BOARD], app[BATCH]
    agent = board.agents.spelled(body.agent_name)
    if agent is None:
        raise InvalidInput.field("agent_name", f"Agent '{body.agent_name}' not found", "unknown_agent")
    width = _width(body, settings)
    folder = BatchFolder(settings.dir)
    if body.write_to_csv is not None:
        await asyncio.to_thread(folder.target, body.write_to_csv)
    reader = ItemReader(InputForm(agent, board.types), body.input_mapping or {}, body.static_inputs or {})
    items = await reader.read(
        body.batch_inputs, folder, items_max=settings.items, file_bytes=settings.file_bytes
    )
    record = idempotency(call, call.parsed)
    writes = body.write_to_csv is not None
    starting = board.start_batch(
        agent,
        items,
        width=width,
        options=BatchOptions(body.return_errors, body.write_to_csv).dump(),
        correlation_id=correlation_id(call.request, None),
        idempotency=record,
        unwritten=writes,
    )
    published = await (app[BATCH_FILES].start(starting) if writes else starting)
    if published.answer is not None:
        return again(published.answer)
    batch, correlation = await _read(app[READS], published.correlation_id)
    answer = orjson.dumps(_fresh(batch, correlation))
    if record is not None:
        await board.keep_answer(record.digest, answer, published)
    return again(answer) if published.replayed else answer


async def get_batch(call: Call[BatchDetail, None]) -> bytes:
    """Tell how a batch stands, with the results so far."""
    return await _answer(call.app[READS], call.part("batch_id"), with_results=call.query.results)


async def cancel_batch(call: Call[None, None]) -> bytes:
    """End a batch.

    With every item that runs; those that are done keep their results. One that is over stays as it is.
    """
    reads, given = call.app[READS], call.part("batch_id")
    _, correlation = await _read(reads, given)
    await call.app[BOARD].cancel_correlation(correlation.id)
    return await _answer(reads, given, with_results=True)


def _width(body: FlockBatchRequest, settings: BatchSettings) -> int:
    """Items at a time. Raises InvalidInput past `batch.workers`."""
    if body.max_workers > settings.workers:
        raise InvalidInput.field("max_workers", f"At most {settings.workers} (batch.workers)", "too_large")
    return body.max_workers if body.parallel else 1


async def _read(reads: Reads, batch_id: str) -> tuple[Batch, Correlation]:
    """Raises NotFound."""
    correlation, batch = await reads.correlation(batch_id), await reads.batch(batch_id)
    if correlation is None or batch is None:
        raise NotFound("Batch not found")
    if batch.is_over and correlation.completed_at is None:  # it ended between the two looks
        correlation = await reads.correlation(batch_id) or correlation
    return batch, correlation


async def _answer(reads: Reads, batch_id: str, *, with_results: bool) -> bytes:
    # The row before the items: what it calls completed has all of its results.
    batch, correlation = await _read(reads, batch_id)
    document = _document(batch, correlation)
    if with_results:
        return_errors = BatchOptions.load(batch.options).return_errors
        document["results"] = [
            result(item, return_errors) async for page in pages(reads, batch.correlation_id) for item in page
        ]
    return orjson.dumps(document)


def _fresh(batch: Batch, correlation: Correlation) -> dict[str, Any]:
    """As it began: the same answer for every caller with one key, however far the batch is."""
    return {
        "batch_id": batch.correlation_id,
        "status": "starting",
        "results": [None] * batch.total,
        "started_at": iso(correlation.started_at),
        "completed_at": None,
        "error": None,
        "total_items": batch.total,
        "completed_items": 0,
        "failed_items": 0,
        "progress_percentage": 0.0,
    }


def _document(batch: Batch, correlation: Correlation) -> dict[str, Any]:
    """As it stands, without its results."""
    over = correlation.completed_at is not None
    status, error = _end(batch, correlation) if over else ("running", None)
    return {
        "batch_id": batch.correlation_id,
        "status": status,
        "results": None,
        "started_at": iso(correlation.started_at),
        "completed_at": None if correlation.completed_at is None else iso(correlation.completed_at),
        "error": error,
        "total_items": batch.total,
        "completed_items": batch.completed,
        "failed_items": batch.failed,
        # Rounded down: 100 says that all items have ended.
        "progress_percentage": batch.completed * 10_000 // batch.total / 100,
    }


def _end(batch: Batch, correlation: Correlation) -> tuple[str, str | None]:
    """The status and the error of a batch that is over.

    One that ended without a success has completed after all when an item of it, retried by hand, succeeds.
    """
    if correlation.outcome == "cancelled":
        return "failed", "Cancelled"
    if correlation.wire_state == "failed" and batch.is_over and batch.failed < batch.total:
        return "completed", None
    return correlation.wire_state, correlation.reason
