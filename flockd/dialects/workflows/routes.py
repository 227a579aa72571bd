"""The routes of workflows."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from dataclasses import replace

from flockd.dialects.workflows import catalogue, shapes, socket, start, status
from flockd.errors import Forbidden, NotFound, Unavailable, UpgradeRequired
from flockd.routing import Route

# fmt: off
_FIRST: tuple[Route, ...] = (
    Route("POST", "/execute-workflow", start.execute_workflow, "workflows", body=shapes.WorkflowBody, response=shapes.WorkflowAccepted, publishes=True),
    Route("GET", "/workflow-status/{session_id}", status.workflow_status, "workflows", response=shapes.WorkflowProgress, errors=(NotFound,)),
    Route("GET", "/workflow-types", catalogue.workflow_types, "workflows", response=shapes.WorkflowTypes),
)

WORKFLOW_ROUTES: tuple[Route, ...] = (
    *_FIRST,
    Route("POST", "/custom/execute", start.execute_custom, "workflows", body=shapes.CustomWorkflowBody, response=shapes.WorkflowQueued, publishes=True),
    Route("GET", "/ws/{session_id}", socket.follow_session, "workflows", query=shapes.SessionFollowed, response_media=(), errors=(NotFound, Forbidden, UpgradeRequired, Unavailable)),

    # The same operations: the OpenAPI document has them once.
    *(replace(route, path=f"/api/v1{route.path}", documented=False) for route in _FIRST),

    Route("POST", "/api/v2/execute-workflow", start.execute_workflow_v2, "workflows", body=shapes.WorkflowBody, response=shapes.WorkflowAcceptedV2, publishes=True),
    Route("GET", "/api/v2/workflow-status/{session_id}", status.workflow_status_v2, "workflows", response=shapes.WorkflowProgressV2, errors=(NotFound,)),
    Route("GET", "/api/v2/workflow-types", catalogue.workflow_types, "workflows", response=shapes.WorkflowTypes, operation="workflow_types_v2"),
)
# fmt: on
