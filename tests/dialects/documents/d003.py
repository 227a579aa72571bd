"""Document 003: the API for flows."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from .rows import Call, Command, Elsewhere, Row
from .shape import a_time, an_id, one_of, text

EXECUTE = """\
curl -X POST "http://127.0.0.1:8000/api/v1/poem-flow/execute" \\
  -H "Content-Type: application/json" \\
  -d '{"sentence_count": 3}'
"""
STATUS = """\
curl "http://127.0.0.1:8000/api/v1/poem-flow/execution/550e8400-e29b-41d4-a716-446655440000"
"""
ALL = 'curl "http://127.0.0.1:8000/api/v1/executions"'
BY_NAME = 'curl "http://127.0.0.1:8000/api/v1/executions?flow_name=poem_flow"'
BY_STATUS = 'curl "http://127.0.0.1:8000/api/v1/executions?status=completed"'
COMBINED = 'curl "http://127.0.0.1:8000/api/v1/executions?flow_name=poem_flow&status=completed&limit=10"'
YOUR_FLOW = """\
POST /api/v1/your-flow/execute
Content-Type: application/json

{"param1": "%s", "param2": %s}
"""
YOUR_STATUS = "GET /api/v1/your-flow/execution/{execution_id}"
EXECUTION_ID = {"{execution_id}": "execution_id"}
THAT_ID = {"550e8400-e29b-41d4-a716-446655440000": "execution_id"}

PENDING = {
    "execution_id": an_id,
    "status": "pending",
    "message": text("^Poem flow execution initiated with ID: [0-9a-f-]{36}$"),
}
COMPLETED = {
    "execution_id": an_id,
    "flow_name": "poem_flow",
    "status": "completed",
    "created_at": a_time,
    "started_at": a_time,
    "completed_at": a_time,
    "result": {"sentence_count": 3, "poem": str},
    "error": None,
}
ANY = COMPLETED | {
    "flow_name": str,
    "status": one_of("pending", "running", "completed", "failed"),
    "started_at": one_of(None, a_time),
    "completed_at": one_of(None, a_time),
    "result": one_of(None, dict),
    "error": one_of(None, str),
}
YOURS = COMPLETED | {"flow_name": "your_flow", "result": {"output_field": "a poem, 10 times"}}
FAILED = YOURS | {"status": "failed", "result": None, "error": text("nothing to say$")}
RUNNING = YOURS | {"status": "running", "completed_at": None, "result": None}


def executions(shape: object) -> dict[str, object]:
    return {"executions": [shape], "total": int, "limit": int, "offset": 0}


# fmt: off
DOCUMENT_003: tuple[Row, ...] = (
    Elsewhere("run the server", "process/test_entry_points.py::test_run_api_takes_the_arguments_of_serve"),
    Command("run the server on a custom host and port", ("flockd", "serve", "--host", "0.0.0.0", "--port", "8080"), 'set auth.mode = "open"', not_yet="authentication comes with a later version; until then nobody is let in from outside by accident"),
    Elsewhere("run the server with auto-reload", "unit/cli/test_serve.py::test_a_change_starts_the_child_again"),
    Call("Swagger UI", "GET /docs", text("<!doctype html>")),
    Call("ReDoc", "GET /redoc", text("<!doctype html>")),
    Call("trigger a flow execution", EXECUTE, PENDING),
    Call("check the status of an execution", STATUS, COMPLETED, after=EXECUTE, ids=THAT_ID),
    Call("check the status of an unknown execution", STATUS, {"detail": "Not found"}, 404),
    Call("list all executions", ALL, executions(ANY), after=EXECUTE),
    Call("filter executions by flow name", BY_NAME, executions(ANY | {"flow_name": "poem_flow"}), after=EXECUTE),
    Call("filter executions by status", BY_STATUS, executions(ANY | {"status": "completed"}), after=EXECUTE),
    Call("combine filters", COMBINED, executions(COMPLETED) | {"limit": 10}, after=EXECUTE),
    Call("your flow: models with a default", YOUR_FLOW.replace(', "param2": %s', "") % "a poem", PENDING | {"message": str}),
    Call("your flow: its result", YOUR_STATUS, YOURS, after=YOUR_FLOW % ("a poem", 10), ids=EXECUTION_ID),
    Call("your flow: a parameter out of its bounds", YOUR_FLOW % ("a poem", 101), {"detail": str, "details": {"field": "param2"}}, 400),
    Call("your flow: a required parameter that is missing", YOUR_FLOW.replace('"param1": "%s", ', "") % 10, {"detail": str, "details": {"field": "param1"}}, 400),
    Call("your flow: an error", YOUR_STATUS, FAILED, after=YOUR_FLOW % ("fail", 10), ids=EXECUTION_ID),
    Call("your flow: while it runs", YOUR_STATUS, RUNNING, after=YOUR_FLOW % ("hang", 10), ids=EXECUTION_ID, at_once=True),
    Call("your flow: the id of another flow", YOUR_STATUS, {"detail": "Not found"}, 404, after=EXECUTE, ids=EXECUTION_ID),
    Call("your flow: a router with a tag of its own", "GET /openapi.json", {"paths": {"/api/v1/your-flow/execute": {"post": {"tags": ["your-flow"]}}}}),
    Elsewhere("a flow of CrewAI", "process/test_crewai.py::test_a_flow_of_crewai_works_unchanged"),
    Elsewhere("environment variables", "unit/test_config.py::test_each_layer_wins_over_those_below_it"),
    Call("test the health endpoint", "curl http://127.0.0.1:8000/health", {"status": "ok"}),
    Call("test the root endpoint", "curl http://127.0.0.1:8000/", {"name": str, "version": str, "docs": "/docs"}),
    Elsewhere("import errors", "unit/test_loading.py::test_a_failed_import_names_the_folders_and_the_line"),
    Elsewhere("flow not found: src/ is on the path", "unit/test_loading.py::test_a_target_in_src_and_in_a_package_and_behind_an_attribute"),
    Elsewhere("port already in use", "process/test_shutdown.py::test_a_busy_port_names_the_option"),
)
# fmt: on
