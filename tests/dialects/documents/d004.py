"""Document 004: the API of the multi-agent orchestrator."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from .rows import Call, Command, Elsewhere, Row
from .shape import Shape, a_percentage, a_time, an_id, having, list_of, maybe, text

POST = "POST %s\nContent-Type: application/json\n\n"
CALCULATOR = """\
{
    "requirements": "Create a calculator",
    "workflow_type": "full"
}
"""
API = CALCULATOR.replace("Create a calculator", "Create a simple API")
INVALID = """\
{
    "requirements": "Test",
    "workflow_type": "invalid"
}
"""
CUSTOM = """\
{
    "requirements": "Create a calculator",
    "workflow_type": "full",
    "configuration": {"language": "python"},
    "priority": "high"
}
"""
EXECUTE = POST % "/execute-workflow"
EXECUTE_CUSTOM = POST % "/custom/execute"
STATUS = "GET /workflow-status/{id}"
SESSION = {"{id}": "session_id"}
PREFLIGHT = """\
OPTIONS /execute-workflow
Origin: https://yourdomain.com
Access-Control-Request-Method: POST
"""
OTHER_HOST = """\
GET /health
Host: evil.example
"""
SHORT = """\
POST /execute-workflow
Content-Type: application/json
X-Request-ID: request-1

{"requirements": "ab"}
"""

ACCEPTED = {
    "session_id": an_id,
    "status": "accepted",
    "message": str,
    "created_at": a_time,
    "estimated_completion": maybe(a_time),
}
QUEUED = ACCEPTED | {"status": "queued", "message": "Workflow queued for execution"}
PROGRESS = {
    "session_id": an_id,
    "status": "running",
    "progress": a_percentage,
    "current_phase": maybe(str),
    "phases_completed": list_of(str),
    "errors": list_of({"agent": str, "phase": maybe(str), "error": str}),
    "partial_results": maybe(dict),
    "created_at": a_time,
}
COMPLETED = PROGRESS | {
    "status": "completed",
    "progress": 100.0,
    "current_phase": None,
    "phases_completed": [str],
    "results": dict,
    "started_at": a_time,
    "completed_at": a_time,
    "generated_code": text("def "),
}
FAILED = PROGRESS | {
    "status": "failed",
    "errors": [{"agent": "your_agent", "phase": "work", "error": text("nothing to say")}],
    "failed_at": a_time,
}
TYPES = {"workflow_types": having("full")}
ERROR: Shape = {
    "error": "INVALID_INPUT",
    "message": str,
    "details": {"field": "requirements", "issue": "too short"},
    "timestamp": a_time,
    "request_id": "request-1",
}
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}
POSTGRES = "postgresql+asyncpg://user:password@localhost/db"
NOT_YET = "authentication, limits and CORS come with a later version"

# fmt: off
DOCUMENT_004: tuple[Row, ...] = (
    Call("execute a workflow", EXECUTE + CALCULATOR, ACCEPTED),
    Call("status of a workflow", STATUS, COMPLETED, after=EXECUTE + CALCULATOR, ids=SESSION),
    Call("status of an unknown workflow", STATUS, {"detail": str}, 404),
    Call("workflow types", "GET /workflow-types", TYPES),
    Call("health", "GET /health", {"status": "ok"}),
    Call("metrics", "GET /metrics", text("^# TYPE ")),
    Call("custom workflow", EXECUTE_CUSTOM + CUSTOM, QUEUED),
    Call("custom workflow: its progress while it runs", STATUS, PROGRESS, after=EXECUTE_CUSTOM + '{"requirements": "hang", "workflow_type": "yours"}', ids=SESSION, at_once=True),
    Call("custom workflow: its results", STATUS, COMPLETED, after=EXECUTE_CUSTOM + CUSTOM, ids=SESSION),
    Call("custom workflow: an error", STATUS, FAILED, after=EXECUTE_CUSTOM + '{"requirements": "fail", "workflow_type": "yours"}', ids=SESSION),
    Call("custom workflow: a type is required", EXECUTE_CUSTOM + '{"requirements": "Create a calculator"}', {"detail": str, "details": {"field": "workflow_type"}}, 400),
    Call("custom workflow: an unknown type", EXECUTE_CUSTOM + INVALID, {"detail": text("^Unknown workflow type: invalid")}, 400),
    Call("custom workflow: a priority that is none", EXECUTE_CUSTOM + CUSTOM.replace("high", "urgent"), {"detail": str, "details": {"field": "priority"}}, 400),
    Elsewhere("WebSocket: ping and pong", "dialects/test_documents.py::test_the_socket_of_a_session"),
    Elsewhere("WebSocket: a session live", "dialects/test_workflows_socket.py::test_a_session_live"),
    Call("a protected endpoint", POST % "/protected/execute-workflow" + CALCULATOR, {"error": "NOT_FOUND"}, 404, not_yet=NOT_YET),
    Elsewhere("rate limiting", "dialects/test_documents.py::test_no_rate_is_limited_yet"),
    Call("version 1", POST % "/api/v1/execute-workflow" + CALCULATOR, ACCEPTED),
    Call("version 2", POST % "/api/v2/execute-workflow" + CALCULATOR, ACCEPTED | {"correlation_id": an_id}),
    Call("version 1: status", "GET /api/v1/workflow-status/{id}", COMPLETED, after=EXECUTE + CALCULATOR, ids=SESSION),
    Call("version 2: status", "GET /api/v2/workflow-status/{id}", COMPLETED, after=EXECUTE + CALCULATOR, ids=SESSION),
    Call("the standard error", SHORT, ERROR, 400),
    Call("unit test: execute a workflow", EXECUTE + CALCULATOR, ACCEPTED),
    Call("unit test: an invalid workflow type", EXECUTE + INVALID, {"detail": text("Unknown workflow type")}, 400),
    Call("integration test: the full workflow", STATUS, COMPLETED, after=EXECUTE + API, ids=SESSION),
    Elsewhere("the unit and integration tests as files", "dialects/test_workflows_document.py::test_the_tests_of_the_document_pass"),
    Call("OpenAPI", "GET /openapi.json", {"openapi": text(r"^3\."), "info": {"title": str, "version": str, "description": str}, "paths": dict}),
    Call("Swagger UI", "GET /docs", text("<!doctype html>")),
    Call("ReDoc", "GET /redoc", text("<!doctype html>")),
    Call("response caching", "GET /workflow-types", TYPES, headers={"Cache-Control": "max-age=300", "ETag": str}),
    Command("a database server", ("flockd", "serve", "--port", "0", "--store", POSTGRES), "PostgreSQL comes with a later version", not_yet="PostgreSQL comes with a later version"),
    Call("CORS", PREFLIGHT, {"error": "METHOD_NOT_ALLOWED"}, 405, not_yet=NOT_YET),
    Call("trusted hosts", OTHER_HOST, {"status": "ok"}, not_yet=NOT_YET),
    Call("security headers", "GET /health", {"status": "ok"}, headers=SECURITY),
)
# fmt: on
