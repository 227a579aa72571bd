"""Artifacts: publish (at once, waiting, many) and read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from flockd.api import json_body
from flockd.api.bodies import ArtifactBody, BulkBody, SyncBody
from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, HUB, READS, SETTINGS
from flockd.api.listing import check_offset, error_entries, identity, page
from flockd.api.publication import accepted, correlation_id, publication
from flockd.api.queries import ArtifactDetail, ArtifactPage, ArtifactsWanted, BulkMode
from flockd.api.validation import validated
from flockd.api.waiting import wait
from flockd.board import Idempotency, Publication, Published
from flockd.domain.artifact import Artifact
from flockd.domain.identity import new_id
from flockd.domain.moment import iso
from flockd.errors import FieldProblem, FlockdError, InvalidInput, NotFound, TooLarge
from flockd.routing import Call
from flockd.store.reads import Reads


async def publish_artifact(call: Call[None, ArtifactBody]) -> bytes | web.StreamResponse:
    """Publish an artifact.

    Answered once it and the runs that it wakes are durable.
    """
    request, app = call.request, call.app
    wanted = publication(call.body, app[SETTINGS])
    given = correlation_id(request, wanted.correlation_id)
    if given != wanted.correlation_id:
        wanted = wanted._replace(correlation_id=given)
    published = await app[BOARD].publish(wanted, idempotency=idempotency(call, call.parsed, _single_answer))
    if published.answer is not None:
        return again(published.answer)
    return orjson.dumps(accepted(published))


def _single_answer(results: Sequence[Published | FlockdError]) -> bytes:
    (result,) = results
    assert isinstance(result, Published)  # a publication that fails keeps no answer
    return orjson.dumps(accepted(result))


async def publish_and_wait(call: Call[None, SyncBody]) -> bytes | web.StreamResponse:
    """Publish an artifact and wait for its workflow.

    For its own and no other. At the timeout: what is there so far, and the work goes on.
    """
    began = time.monotonic()
    app, body = call.app, call.body
    settings, reads = app[SETTINGS], app[READS]
    wanted = publication(body, settings)
    # The watch needs the id before the publication: what ends in between would not be seen.
    named = correlation_id(call.request, wanted.correlation_id)
    given = named or new_id()
    wanted = wanted._replace(correlation_id=given, correlation_is_new=named is None)
    record = idempotency(call, call.parsed)
    with app[HUB].watch_end(given) as watch:
        published = await app[BOARD].publish(wanted, idempotency=record)
        if published.answer is not None:
            return again(published.answer)
        outcome = await wait(app[HUB], reads, published, watch, min(body.timeout, settings.sync_wait_seconds))
    if record is None or outcome.ended_at is None:
        duration_ms = int((time.monotonic() - began) * 1000)
    else:
        # All answers to one key are equal, whoever of its callers waited and for how long.
        duration_ms = outcome.ended_at - await _published_at(reads, published)
    answer = orjson.dumps(
        {
            "correlation_id": published.correlation_id,
            "artifacts": [artifact.document() for artifact in outcome.artifacts if _shows(body, artifact)],
            "completed": outcome.ended_at is not None,
            "duration_ms": duration_ms,
            "state": outcome.state,
            "errors": error_entries(outcome.errors),
        }
    )
    if record is not None and outcome.ended_at is not None:
        await app[BOARD].keep_answer(record.digest, answer, published)
    return again(answer) if published.replayed else answer


def _shows(body: SyncBody, artifact: Artifact) -> bool:
    wanted = body.filters
    if wanted is None:
        return True
    return (not wanted.type_names or artifact.type in wanted.type_names) and (
        not wanted.produced_by or artifact.produced_by in wanted.produced_by
    )


async def _published_at(reads: Reads, published: Published) -> int:
    artifact = await reads.artifact(published.artifact_id)
    if artifact is None:
        raise NotFound(f"Artifact not found: {published.artifact_id}")
    return artifact.created_at


async def publish_bulk(call: Call[BulkMode, BulkBody | bytes]) -> bytes | web.StreamResponse:
    """Publish many artifacts in one transaction.

    A bad item is rejected and spoils no other, unless all or nothing is asked for.
    """
    settings = call.app[SETTINGS]
    items = _lines(call.body, settings.json_depth) if isinstance(call.body, bytes) else call.parsed["items"]
    if not items:
        raise InvalidInput.field("items", "At least one item is needed", "too_short")
    if len(items) > settings.bulk_items:
        raise TooLarge(
            f"At most {settings.bulk_items} items (limits.bulk_items)", details={"limit": settings.bulk_items}
        )
    wanted = [_bulk_item(call, item, index) for index, item in enumerate(items)]
    if call.query.atomic:
        _refuse_if_any_is_bad(wanted)
    outcome = await call.app[BOARD].publish_many(
        wanted, atomic=call.query.atomic, idempotency=_bulk_idempotency(call, items)
    )
    if outcome.replayed and outcome.answer is not None:
        return again(outcome.answer)
    return _bulk_answer(outcome.results)


class _BadLine(NamedTuple):
    """A line of NDJSON that cannot be read."""

    text: str
    issue: str


def _lines(body: bytes, depth_max: int) -> list[Any]:
    """The items of an NDJSON body; a bad line does not spoil the others. Empty lines do not count."""
    return [_line(line, depth_max) for line in body.splitlines() if line.strip()]


def _line(line: bytes, depth_max: int) -> Any:
    try:
        return json_body.parse(line, depth_max)
    except InvalidInput as bad:
        return _BadLine(line.decode(errors="replace"), bad.message)


def _bulk_item(call: Call[Any, Any], item: Any, index: int) -> Publication | FlockdError:
    prefix = f"items.{index}"
    try:
        if isinstance(item, _BadLine):
            raise InvalidInput.field(prefix, item.issue, "json_invalid")
        wanted = publication(validated(ArtifactBody, item, prefix), call.app[SETTINGS], f"{prefix}.")
        return wanted._replace(correlation_id=correlation_id(call.request, wanted.correlation_id))
    except FlockdError as bad:
        return bad


def _refuse_if_any_is_bad(wanted: Sequence[Publication | FlockdError]) -> None:
    problems = [
        FieldProblem(**problem)
        for result in wanted
        if isinstance(result, FlockdError) and result.details is not None
        for problem in result.details["errors"]
    ]
    if problems:
        raise InvalidInput.of(problems)


def _bulk_idempotency(call: Call[Any, Any], items: list[Any]) -> Idempotency | None:
    """JSON and NDJSON of the same items are the same request."""
    plain = [item.text if isinstance(item, _BadLine) else item for item in items]
    return idempotency(call, {"items": plain}, _bulk_answer)


def _bulk_answer(results: Sequence[Published | FlockdError]) -> bytes:
    items = [accepted(result) if isinstance(result, Published) else _rejected(result) for result in results]
    rejected = sum(isinstance(result, FlockdError) for result in results)
    return orjson.dumps({"items": items, "accepted": len(items) - rejected, "rejected": rejected})


def _rejected(error: FlockdError) -> dict[str, Any]:
    return {"status": "rejected", "error": error.code, "message": error.message, "details": error.details}


async def list_artifacts(call: Call[ArtifactPage, None]) -> bytes:
    """List artifacts.

    In the order of publication. The total is exact up to `limits.count_max`.
    """
    query, reads = call.query, call.app[READS]
    check_offset(call.app, query, "after")
    wanted = query.filter()
    artifacts = await reads.artifacts(
        wanted, limit=query.limit, offset=query.offset, after=query.after, descending=query.order == "desc"
    )
    total = await reads.count_artifacts(wanted)
    items = await _with_meta(reads, artifacts) if query.embed_meta else [one.document() for one in artifacts]
    return orjson.dumps({"items": items, "pagination": page(query, total)})


async def get_artifact(call: Call[ArtifactDetail, None]) -> bytes:
    """Read one artifact."""
    artifact_id = identity(call, "artifact_id", "Artifact")
    reads = call.app[READS]
    artifact = await reads.artifact(artifact_id)
    if artifact is None:
        raise NotFound(f"Artifact not found: {artifact_id}")
    if call.query.embed_meta:
        (document,) = await _with_meta(reads, [artifact])
        return orjson.dumps(document)
    return orjson.dumps(artifact.document())


async def summarize_artifacts(call: Call[ArtifactsWanted, None]) -> bytes:
    """Count artifacts."""
    return orjson.dumps({"summary": await call.app[READS].summary(call.query.filter())})


async def _with_meta(reads: Reads, artifacts: Sequence[Artifact]) -> list[dict[str, object]]:
    """With who took each of them. A consumption is there once its run has committed."""
    consumptions = await reads.consumptions(artifacts)
    documents = []
    for artifact in artifacts:
        taken = consumptions.get(artifact.id, [])
        document = artifact.document()
        document["consumptions"] = [
            {"consumer": one.consumer, "run_id": one.run_id, "consumed_at": iso(one.consumed_at)}
            for one in taken
        ]
        document["consumed_by"] = list(dict.fromkeys(one.consumer for one in taken))
        documents.append(document)
    return documents
