"""Waiting for the end of a workflow's round, woken by the log alone, and what the round came to."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from flockd.board import Published
from flockd.domain.artifact import Artifact
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
    if ended is None or not published.fresh or ended.artifacts is None:
        return await _read(reads, published)
    errors = [(agent, str(orjson.loads(data)["error"]["message"])) for agent, data in ended.errors]
    return Outcome(ended.event.at, _state(ended.event.kind), ended.artifacts, errors)


async def _wait_again(hub: Hub, reads: Reads, published: Published, timeout_seconds: float) -> Outcome:
    """The publication was made by an earlier request: its round may have ended long ago."""
    with hub.watch_end(published.correlation_id) as watch:
        outcome = await _read(reads, published)
        if outcome.ended_at is None and await watch.ended(published.round, timeout_seconds) is not None:
            outcome = await _read(reads, published)
        return outcome


async def _read(reads: Reads, published: Published) -> Outcome:
    found = await reads.round(published.correlation_id, published.round)
    if found is None:  # the board was emptied while somebody waited
        raise NotFound(f"The workflow {published.correlation_id} is no longer on the board")
    errors = [(agent, str(orjson.loads(error)["message"])) for agent, error in found.errors]
    return Outcome(found.ended_at, _state(found.ended), found.artifacts, errors)


def _state(ended: EventKind | None) -> str:
    """The wire's word for a round, by the event that ended it."""
    if ended is None:
        return "active"
    return "completed" if ended is EventKind.correlation_completed else "failed"
