"""Starting workflows: a name and requirements in, the artifact that sets the workflow off on the board."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import Any

import orjson
from aiohttp import web

from flockd.api.idempotency import again, idempotency
from flockd.api.keys import BOARD, READS
from flockd.api.publication import correlation_id, priority
from flockd.board import Publication, Published
from flockd.dialects.keys import WORKFLOWS
from flockd.dialects.problems import PROBLEMS_MAX, with_fields
from flockd.dialects.workflows.shapes import CustomWorkflowBody, WorkflowBody
from flockd.domain.moment import iso
from flockd.domain.workflow import Workflow
from flockd.errors import FieldProblem, FlockdError, InvalidInput, nearest
from flockd.routing import Call

DIALECT = "workflows"
_REQUIREMENTS = "requirements"


async def execute_workflow(call: Call[None, WorkflowBody]) -> bytes | web.StreamResponse:
    """Start a workflow.

    Answered once it is durable; it is followed by its `session_id`.
    """
    return await _start(call, _workflow(call), status="accepted", message="Workflow accepted for execution")


async def execute_custom(call: Call[None, CustomWorkflowBody]) -> bytes | web.StreamResponse:
    """Start a workflow that is named."""
    return await _start(call, _workflow(call), status="queued", message="Workflow queued for execution")


async def execute_workflow_v2(call: Call[None, WorkflowBody]) -> bytes | web.StreamResponse:
    """Start a workflow, strictly.

    Unknown keys of `configuration` are refused, and the answer says what the workflow is natively.
    """
    workflow = _workflow(call)
    _refuse_unknown(call, workflow)
    return await _start(
        call, workflow, status="accepted", message="Workflow accepted for execution", native=True
    )


async def _start(
    call: Call[None, Any], workflow: Workflow, *, status: str, message: str, native: bool = False
) -> bytes | web.StreamResponse:
    body, app = call.body, call.app
    estimate = await _estimate_ms(call, workflow)

    def answer(results: Sequence[Published | FlockdError]) -> bytes:
        (published,) = results
        assert isinstance(published, Published)  # what is refused keeps no answer
        said: dict[str, Any] = {
            "session_id": published.correlation_id,
            "status": status,
            "message": message,
            "created_at": iso(published.at),
            "estimated_completion": None if estimate is None else iso(published.at + estimate),
        }
        if native:
            said |= {
                "correlation_id": published.correlation_id,
                "artifact_id": published.artifact_id,
                "seq": published.seq,
            }
        return orjson.dumps(said)

    publication = Publication(
        workflow.start,
        orjson.dumps(_payload(body)),
        correlation_id=correlation_id(call.request, None),
        priority=priority(body.priority),
    )
    try:
        published = await app[BOARD].publish(
            publication,
            dialect=DIALECT,
            name=workflow.name,
            idempotency=idempotency(call, call.parsed, answer),
        )
    except InvalidInput as invalid:
        raise with_fields(invalid, _field) from None
    return answer([published]) if published.answer is None else again(published.answer)


def _workflow(call: Call[None, Any]) -> Workflow:
    """The one that is asked for. Raises InvalidInput."""
    workflows, name = call.app[WORKFLOWS], call.body.workflow_type
    found = workflows.get(name)
    if found is None:
        near = nearest(name, workflows)
        issue = f"Unknown workflow type; did you mean {near}?" if near else "Unknown workflow type"
        raise InvalidInput.field("workflow_type", issue, "unknown_workflow", f"Unknown workflow type: {name}")
    return found


def _payload(body: WorkflowBody | CustomWorkflowBody) -> dict[str, Any]:
    """The artifact that starts the workflow. Raises InvalidInput where the requirements are given twice."""
    configuration = body.configuration or {}
    if _REQUIREMENTS in configuration:
        raise InvalidInput.field(
            f"configuration.{_REQUIREMENTS}", "Stands beside configuration, not in it", "ambiguous"
        )
    return {_REQUIREMENTS: body.requirements, **configuration}


def _field(path: str) -> str:
    """The field of the body that a field of the payload came from."""
    inner = path.removeprefix("payload").removeprefix(".")
    if inner == _REQUIREMENTS or inner.startswith(f"{_REQUIREMENTS}."):
        return inner
    return f"configuration.{inner}" if inner else "configuration"


def _refuse_unknown(call: Call[None, WorkflowBody], workflow: Workflow) -> None:
    """Raises InvalidInput for keys of `configuration` that the start type has no field for."""
    schema = call.app[BOARD].types.named(workflow.start).schema
    if "$ref" in schema:  # a model that refers to itself
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    if schema.get("additionalProperties"):
        return
    known = [name for name in schema.get("properties", {}) if name != _REQUIREMENTS]
    unknown = (key for key in call.body.configuration or {} if key not in {*known, _REQUIREMENTS})
    problems = []
    for key in islice(unknown, PROBLEMS_MAX):
        near = nearest(key, known)
        hint = f"; did you mean {near}?" if near else ""
        problems.append(FieldProblem(f"configuration.{key}", f"Unknown field{hint}", "unknown_field"))
    if problems:
        raise InvalidInput.of(problems)


async def _estimate_ms(call: Call[None, Any], workflow: Workflow) -> int | None:
    """How long it will take, by the median of its latest completed ones; None where there is none."""
    durations = await call.app[READS].durations(DIALECT, workflow.name)
    return int(median(durations)) if durations else None
