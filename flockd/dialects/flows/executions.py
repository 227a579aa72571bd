"""Executing flows, and the executions that this gave: direct runs of a flow, in a workflow of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset
from flockd.api.publication import correlation_id
from flockd.board import Publication, Published
from flockd.dialects.flows.shapes import AnyRequest, ExecutionPage
from flockd.dialects.problems import with_fields
from flockd.domain.agent import Agent, Agents
from flockd.domain.moment import iso
from flockd.domain.names import fold
from flockd.errors import FlockdError, InvalidInput, NotFound
from flockd.routing import Call
from flockd.store.reads import Execution, ExecutionStatus
from flockd.store.reads.executions import DIALECT

KIND = "flow"
"""Of the agents that are flows."""


class FlowHandlers:
    """The handlers of one flow's own routes."""

    def __init__(self, flow: Agent) -> None:
        self._flow = flow

    async def execute(self, call: Call[None, AnyRequest]) -> bytes | web.StreamResponse:
        """Execute the flow."""
        return await _start(call, self._flow)

    async def execution(self, call: Call[None, None]) -> bytes:
        """Tell how an execution of the flow stands."""
        return await _read(call, self._flow)


async def execute_flow(call: Call[None, AnyRequest]) -> bytes | web.StreamResponse:
    """Execute the flow that the path names, in any spelling."""
    flow = _flow(call)
    if flow is None:
        raise NotFound(f"Flow not found: {call.part('flow_name')}")
    return await _start(call, flow)


async def flow_execution(call: Call[None, None]) -> bytes:
    """Tell how an execution of the flow that the path names stands."""
    return await _read(call, _flow(call))


async def list_executions(call: Call[ExecutionPage, None]) -> bytes:
    """List executions of all flows, the newest first."""
    query, app = call.query, call.app
    check_offset(app, query)
    name = query.flow_name
    known = None if name is None else app[BOARD].agents.spelled(name)
    found, total = await app[READS].executions(
        flow=name if known is None else known.name,
        status=None if query.status is None else ExecutionStatus(query.status),
        limit=query.limit,
        offset=query.offset,
    )
    return orjson.dumps(
        {
            "executions": [_document(execution) for execution in found],
            "total": total.count,
            "limit": query.limit,
            "offset": query.offset,
        }
    )


async def get_execution(call: Call[None, None]) -> bytes:
    """Tell how an execution stands, of whichever flow."""
    execution = await call.app[READS].execution(call.part("execution_id"))
    if execution is None:
        raise NotFound("Not found")
    return orjson.dumps(_document(execution))


def flows(agents: Agents) -> list[Agent]:
    return [agent for agent in agents.values() if agent.kind == KIND]


async def _start(call: Call[None, AnyRequest], flow: Agent) -> bytes | web.StreamResponse:
    def answer(results: Sequence[Published | FlockdError]) -> bytes:
        (published,) = results
        assert isinstance(published, Published)  # what is refused keeps no answer
        return orjson.dumps(
            {
                "execution_id": published.correlation_id,
                "status": "pending",
                "message": f"{_title(flow.name)} execution initiated with ID: {published.correlation_id}",
            }
        )

    (request,) = flow.subscription.types
    publication = Publication(
        request, orjson.dumps(call.parsed), correlation_id=correlation_id(call.request, None)
    )
    try:
        published = await call.app[BOARD].run_agent(
            flow, [publication], dialect=DIALECT, idempotency=idempotency(call, call.parsed, answer)
        )
    except InvalidInput as invalid:
        raise with_fields(invalid, _field) from None
    return answer([published]) if published.answer is None else again(published.answer)


def _field(path: str) -> str:
    """A field of the payload is a field of the body."""
    return path.removeprefix("payload").removeprefix(".")


async def _read(call: Call[Any, Any], flow: Agent | None) -> bytes:
    """Raises NotFound for an id of another flow, too."""
    execution = await call.app[READS].execution(call.part("execution_id"))
    if execution is None or flow is None or fold(execution.correlation.name) != fold(flow.name):
        raise NotFound("Not found")
    return orjson.dumps(_document(execution))


def _flow(call: Call[Any, Any]) -> Agent | None:
    agent = call.app[BOARD].agents.spelled(call.part("flow_name"))
    return agent if agent is not None and agent.kind == KIND else None


def _title(name: str) -> str:
    """The name in words: "poem_flow" is "Poem flow"."""
    words = name.replace("-", "_").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _document(execution: Execution) -> dict[str, Any]:
    correlation, run, status = execution.correlation, execution.run, execution.status
    result = execution.result if status is ExecutionStatus.completed else None
    return {
        "execution_id": correlation.id,
        "flow_name": correlation.name,
        "status": status,
        "created_at": iso(correlation.started_at),
        "started_at": None if run.started_at is None else iso(run.started_at),
        "completed_at": None if correlation.completed_at is None else iso(correlation.completed_at),
        "result": None if result is None else orjson.Fragment(result),
        "error": execution.error,
    }
