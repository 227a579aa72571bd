"""The runs dialect: the table of contents."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from dataclasses import replace

from flockd.dialects.runs import agents, batches, runs
from flockd.dialects.runs import answers as answer
from flockd.dialects.runs import bodies as body
from flockd.errors import NotFound, TooLarge, Unavailable
from flockd.routing import Route

# fmt: off
_ROUTES: tuple[Route, ...] = (
    Route("POST", "/run/agent", runs.run_single_agent, "flock", body=body.FlockAPIRequest, response=answer.FlockAPIResponse, publishes=True),
    Route("POST", "/run/flock", runs.run_flock, "flock", body=body.FlockAPIRequest, response=answer.FlockAPIResponse, publishes=True),
    Route("POST", "/run/batch", batches.run_batch, "flock", body=body.FlockBatchRequest, response=answer.FlockBatchResponse, errors=(TooLarge,), publishes=True, bulk=True),
    Route("GET", "/run/{run_id}", runs.get_flock_run, "flock", response=answer.FlockAPIResponse, errors=(NotFound,)),

    Route("GET", "/batch/{batch_id}", batches.get_batch, "flock", query=body.BatchDetail, response=answer.FlockBatchResponse, errors=(NotFound,)),
    Route("POST", "/batch/{batch_id}/cancel", batches.cancel_batch, "flock", response=answer.FlockBatchResponse, errors=(NotFound, Unavailable)),

    Route("GET", "/agents", agents.list_flock_agents, "flock", response=answer.FlockAgentList),
)
# fmt: on

RUNS_ROUTES = (
    *_ROUTES,
    # Where later versions of that server mounted them. The same operations: the OpenAPI document has them once.
    *(replace(route, path=f"/api{route.path}", documented=False) for route in _ROUTES),
)
