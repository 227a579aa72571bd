"""The graph of a workflow: artifact → run → artifact."""

from __future__ import annotations

from typing import Any

import orjson

from flockd.api.keys import READS
from flockd.api.listing import identity
from flockd.api.queries import GraphWanted
from flockd.domain.moment import iso
from flockd.errors import NotFound
from flockd.routing import Call
from flockd.store.reads import GrownArtifact, GrownRun


async def correlation_graph(call: Call[GraphWanted, None]) -> bytes:
    """Draw how a workflow grew.

    Which artifacts went into which runs, and what those made; of a large one its beginning.
    """
    correlation_id, reads = identity(call, "correlation_id", "Correlation"), call.app[READS]
    if await reads.correlation(correlation_id) is None:
        raise NotFound(f"Correlation not found: {correlation_id}")
    growth = await reads.growth(correlation_id, call.query.limit)
    here = {artifact.id for artifact in growth.artifacts}
    runs = {run.id for run in growth.runs}
    edges = [{"from": one, "to": run.id} for run in growth.runs for one in run.inputs if one in here]
    edges += [{"from": one.run_id, "to": one.id} for one in growth.artifacts if one.run_id in runs]
    return orjson.dumps(
        {
            "nodes": [*map(_artifact, growth.artifacts), *map(_run, growth.runs)],
            "edges": edges,
            "truncated": not growth.is_whole,
        }
    )


def _artifact(artifact: GrownArtifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "kind": "artifact",
        "seq": artifact.seq,
        "type": artifact.type,
        "produced_by": artifact.produced_by,
        "correlation_id": artifact.correlation_id,
        "created_at": iso(artifact.created_at),
        "payload_size": artifact.payload_bytes,
    }


def _run(run: GrownRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "kind": "run",
        "agent": run.agent,
        "state": run.state,
        "reason": run.reason,
        "attempt": run.attempt,
        "correlation_id": run.correlation_id,
        "created_at": iso(run.created_at),
        "started_at": None if run.started_at is None else iso(run.started_at),
        "completed_at": None if run.completed_at is None else iso(run.completed_at),
    }
