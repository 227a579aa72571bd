"""Running one agent, or the workflow that it starts, and reading how a run stands."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, HUB, READS, SETTINGS
from flockd.api.publication import correlation_id
from flockd.api.waiting import Outcome, wait
from flockd.board import Published
from flockd.dialects.runs import RUNS
from flockd.dialects.runs.bodies import FlockAPIRequest
from flockd.dialects.runs.input_form import InputForm
from flockd.domain.artifact import Artifact
from flockd.domain.correlation import Correlation
from flockd.domain.event import EventKind
from flockd.domain.identity import new_id
from flockd.domain.moment import iso
from flockd.domain.run import Run
from flockd.errors import NotFound
from flockd.routing import Call
from flockd.store.reads import Reads


async def run_single_agent(call: Call[None, FlockAPIRequest]) -> bytes | web.StreamResponse:
    """Run one agent alone.

    What it publishes wakes nobody. Without async_run: waits for it, at most `limits.sync_wait_seconds`; then the
    status is `running`, and the work goes on.
    """
    return await _run(call, cascade=False)


async def run_flock(call: Call[None, FlockAPIRequest]) -> bytes | web.StreamResponse:
    """Run the workflow that an agent starts.

    What it publishes wakes other agents; the result is the last artifact that any of them made. Waits as
    /run/agent does.
    """
    return await _run(call, cascade=True)


async def get_flock_run(call: Call[None, None]) -> bytes:
    """Tell how a run stands."""
    reads, given = call.app[READS], call.part("run_id")
    correlation = await reads.correlation(given)
    if correlation is None or correlation.dialect != RUNS:
        raise NotFound("Run not found")
    first = await _first_run(reads, correlation.id)
    outcome = await _outcome(reads, correlation)
    if outcome.ended_at is not None and correlation.completed_at is None:  # it has ended since the first look
        correlation = await reads.correlation(correlation.id) or correlation
    waits = first is not None and first.started_at is None
    cascade = first is not None and first.cascade
    return _document(correlation, outcome, cascade, status="starting" if waits else None)


async def _run(call: Call[None, FlockAPIRequest], *, cascade: bool) -> bytes | web.StreamResponse:
    """Start the run, wait for it unless it is asynchronous, and answer how it stands."""
    app, body = call.app, call.body
    board, reads, hub = app[BOARD], app[READS], app[HUB]
    record = idempotency(call, call.parsed)
    agent = board.agents.spelled(body.agent_name)
    named = correlation_id(call.request, None)
    run_id = named or new_id()
    outcome: Outcome | None = None
    with hub.watch_end(run_id) as watch:  # made before the run: what ends in between would not be seen
        if agent is None:
            cascade = False
            published = await board.refuse(
                body.agent_name,
                f"Agent '{body.agent_name}' not found",
                dialect=RUNS,
                correlation_id=run_id,
                idempotency=record,
            )
        else:
            inputs = InputForm(agent, board.types).publications(body.inputs)
            published = await board.run_agent(
                agent,
                [one._replace(correlation_id=run_id, correlation_is_new=named is None) for one in inputs],
                cascade=cascade,
                dialect=RUNS,
                correlation_id=run_id,
                idempotency=record,
            )
            if published.answer is None and not body.async_run:
                outcome = await wait(hub, reads, published, watch, app[SETTINGS].sync_wait_seconds)
    if published.answer is not None:
        return again(published.answer)
    correlation = await _row(reads, published)
    if outcome is None and agent is None:
        outcome = await _outcome(reads, correlation)
    if outcome is None:  # the same answer for every caller with one key, however far the work is
        answer = _document(correlation, _NOTHING_YET, cascade, status="starting")
    else:
        answer = _document(correlation, outcome, cascade)
    if record is not None and (body.async_run or (outcome is not None and outcome.ended_at is not None)):
        await board.keep_answer(record.digest, answer, published)
    return again(answer) if published.replayed else answer


_NOTHING_YET = Outcome(None, "active", [], [])


async def _row(reads: Reads, published: Published) -> Correlation:
    correlation = await reads.correlation(published.correlation_id)
    if correlation is None:  # the board was emptied in between
        raise NotFound("Run not found")
    return correlation


async def _first_run(reads: Reads, run_id: str) -> Run | None:
    """The run that was asked for; None where there was no such agent."""
    newest, total = await reads.runs(correlation_id=run_id, limit=1)
    if total.count > 1:
        newest, _ = await reads.runs(correlation_id=run_id, limit=1, offset=total.count - 1)
    return newest[0] if newest else None


async def _outcome(reads: Reads, correlation: Correlation) -> Outcome:
    """The latest round of a run, ended or as far as it is."""
    found = await reads.round(correlation.id, correlation.round)
    if found is None:
        raise NotFound("Run not found")
    errors = [(agent, str(orjson.loads(error)["message"])) for agent, error in found.errors]
    if found.ended is None:
        return Outcome(None, "active", found.artifacts, errors)
    completed = found.ended is EventKind.correlation_completed
    return Outcome(found.ended_at, "completed" if completed else "failed", found.artifacts, errors)


def _document(
    correlation: Correlation, outcome: Outcome, cascade: bool, *, status: str | None = None
) -> bytes:
    """A run as this dialect shows it. `status` is the word for one that goes on, if it is not `running`."""
    over = outcome.ended_at is not None
    artifacts = outcome.artifacts
    document: dict[str, Any] = {
        "run_id": correlation.id,
        "status": outcome.state if over else status or "running",
        "result": None,
        "started_at": iso(correlation.started_at),
        "completed_at": None if outcome.ended_at is None else iso(outcome.ended_at),
        "error": _error(correlation, outcome) if over else None,
    }
    if over and artifacts:
        document["result"] = _payload(artifacts[-1]) if cascade else _result(artifacts)
        if not cascade and len(artifacts) > 1 and len({one.type for one in artifacts}) == 1:
            document["results"] = [_payload(one) for one in artifacts]
    if cascade:
        document["artifacts"] = [one.document() for one in artifacts]
    return orjson.dumps(document)


def _result(artifacts: list[Artifact]) -> Any:
    """Of one type: the last; of several: keyed by type, with a list where there are several of one."""
    by_type: dict[str, list[orjson.Fragment]] = {}
    for artifact in artifacts:
        by_type.setdefault(artifact.type, []).append(_payload(artifact))
    if len(by_type) == 1:
        return _payload(artifacts[-1])
    return {name: payloads[0] if len(payloads) == 1 else payloads for name, payloads in by_type.items()}


def _payload(artifact: Artifact) -> orjson.Fragment:
    return orjson.Fragment(artifact.payload)


def _error(correlation: Correlation, outcome: Outcome) -> str | None:
    """Why a run that is over failed, or what failed in one that has a result all the same."""
    if outcome.state == "failed":
        if correlation.outcome == "cancelled":
            return "Cancelled"
        if correlation.reason is not None:
            return correlation.reason
    return outcome.errors[0][1] if outcome.errors else None
