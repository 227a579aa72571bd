"""Waiting for the end of a workflow's round, woken by the log alone, and what the round came to."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from flockd.board import Published
from flockd.domain.artifact import Artifact
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.errors import NotFound
from flockd.store.reads import Reads
from flockd.streams.hub import EndWatch, Hub


class Outcome(NamedTuple):
    """A round, ended or as far as it is."""

    ended_at: int | None
    """Milliseconds; None: it goes on."""
    state: str
    """One of the wire's words."""
    artifacts: list[Artifact]
    """Produced by agents, by seq."""
    errors: list[tuple[str, str]]
    """(agent, message) of the runs that ended dead."""


async def wait(
    hub: Hub, reads: Reads, published: Published, watch: EndWatch, timeout_seconds: float
) -> Outcome:
    """The round that `published` belongs to. `watch` began before it (of a replay it is not used).

    Raises Unavailable, with the id of the workflow, when the daemon stops.
    """
    if published.replayed:
        return await _wait_again(hub, reads, published, timeout_seconds)
    ended = await watch.ended(published.round, timeout_seconds)
    if ended is None or not published.fresh or watch.artifacts is None:
        return await _read(reads, published)
    state = "completed" if ended.kind is EventKind.correlation_completed else "failed"
    errors = [(agent, str(orjson.loads(data)["error"]["message"])) for agent, data in watch.errors]
    return Outcome(ended.at, state, watch.artifacts, errors)


async def _wait_again(hub: Hub, reads: Reads, published: Published, timeout_seconds: float) -> Outcome:
    """The publication was made by an earlier request: its round may have ended long ago."""
    with hub.watch_end(published.correlation_id) as watch:
        outcome = await _read(reads, published)
        if outcome.ended_at is None and await watch.ended(published.round, timeout_seconds) is not None:
            outcome = await _read(reads, published)
        return outcome


async def _read(reads: Reads, published: Published) -> Outcome:
    correlation = await reads.correlation(published.correlation_id)
    if correlation is None:  # the board was emptied while somebody waited
        raise NotFound(f"The workflow {published.correlation_id} is no longer on the board")
    artifacts = await reads.round_artifacts(correlation)
    dead = await reads.round_errors(correlation)
    errors = [(agent, str(orjson.loads(error)["message"])) for agent, error in dead]
    return Outcome(_ended_at(correlation, published.round), correlation.wire_state, artifacts, errors)


def _ended_at(correlation: Correlation, round: int) -> int | None:
    if correlation.state is CorrelationState.active and correlation.round <= round:
        return None
    return correlation.completed_at if correlation.completed_at is not None else correlation.last_activity_at
