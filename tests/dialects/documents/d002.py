"""Document 002: the guide to the blackboard."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from .d002_programs import DASHBOARD, ORDER, PROGRAMS, TENANT, WAIT
from .rows import Call, Command, Elsewhere, Row
from .shape import a_time, an_id, list_of, maybe, text

PUBLISH = """\
POST /api/v1/artifacts
Content-Type: application/json

{
  "type": "YourArtifactType",
  "payload": {
    "field1": "value1",
    "field2": "value2"
  }
}
"""
SYNC = """\
POST /api/v1/artifacts/sync
Content-Type: application/json

{
  "type": "YourArtifactType",
  "payload": {
    "field1": "value1",
    "field2": "value2"
  },
  "timeout": 30.0,
  "filters": {
    "type_names": ["OutputType1", "OutputType2"],
    "produced_by": ["agent_name"]
  }
}
"""
LIST = "GET /api/v1/artifacts?type=YourType&limit=50&offset=0"
EVERY_PARAMETER = (
    "GET /api/v1/artifacts?type=YourType&produced_by=external&tag=tag1&tag=tag2&visibility=Public"
    "&correlation_id={correlation_id}&from=2025-10-19T00:00:00Z&to=2125-10-19T00:00:00Z&embed_meta=true"
)
RUN_AGENT = """\
POST /api/v1/agents/{agent_name}/run
Content-Type: application/json

{
  "inputs": [
    {
      "type": "CodeSubmission",
      "payload": {
        "code": "def foo(): pass",
        "language": "python"
      }
    }
  ]
}
"""
IDEMPOTENT = """\
POST /api/v1/artifacts/sync
Content-Type: application/json
X-Idempotency-Key: {unique-request-id}

{
  "type": "OrderRequest",
  "payload": {"product_id": "ABC123", "quantity": 1}
}
"""
POST = "POST /api/v1/artifacts\nContent-Type: application/json\n\n"
POST_SYNC = "POST /api/v1/artifacts/sync\nContent-Type: application/json\n\n"
YOUR_TYPE = POST + '{"type": "YourType", "payload": {"field1": "value1"}, "tags": ["tag1", "tag2"]}'
CODE = '{"type": "CodeSubmission", "payload": {"code": "print(nme)", "language": "python"}}'
ENDLESS = '{"type": "Endless"}'
FAILING = '{"type": "Failing"}'
STATUS = "GET /api/v1/correlations/{correlation_id}/status"
CORRELATION_ID = {"{correlation_id}": "correlation_id"}
ARTIFACT_ID = {"{artifact_id}": "artifact_id"}

ACCEPTED = {"status": "accepted", "artifact_id": an_id, "correlation_id": an_id, "seq": int}
ITEM = {
    "id": an_id,
    "type": "YourType",
    "payload": {"field1": "value1"},
    "produced_by": str,
    "visibility": dict,
    "visibility_kind": "Public",
    "created_at": a_time,
    "correlation_id": an_id,
    "partition_key": None,
    "tags": [text("^tag[12]$")],
    "version": 1,
}
META = {"consumptions": list, "consumed_by": list_of(str)}
SYNC_ANSWER = {"correlation_id": an_id, "artifacts": list, "completed": True, "duration_ms": int}
PRODUCED = {"id": an_id, "type": str, "payload": dict, "produced_by": str, "created_at": a_time}
SUMMARY = {"total_count": int, "by_type": dict, "by_producer": dict, "by_visibility": dict}
SUBSCRIPTION = {"types": list_of(str), "mode": str}
AGENT = {"name": str, "description": str, "subscriptions": [SUBSCRIPTION], "outputs": list_of(str)}
HISTORY = {
    "agent_id": "bug_detector",
    "summary": {
        "total_executions": int,
        "total_artifacts_consumed": int,
        "total_artifacts_produced": int,
        "execution_timeline": dict,
    },
}
STATE = {
    "correlation_id": an_id,
    "state": "completed",
    "has_pending_work": False,
    "artifact_count": int,
    "error_count": 0,
    "started_at": a_time,
    "last_activity_at": a_time,
}
NOT_FOUND_STATE = {
    "state": "not_found",
    "has_pending_work": False,
    "artifact_count": 0,
    "error_count": 0,
    "started_at": maybe(a_time),
    "last_activity_at": maybe(a_time),
}
METRICS = r"^blackboard_artifacts_total [\d.]+$(.|\n)*^blackboard_agents_count [\d.]+$(.|\n)*^blackboard_executions_total [\d.]+$"
REPLAYED = {"Idempotency-Replayed": "true"}
"""Of the answer to the same request again."""


def bad(field: str) -> dict[str, object]:
    """400 with the field in it; `detail` is what the document tells its readers to look at."""
    return {"detail": str, "error": "INVALID_INPUT", "details": {"field": field}}


def timeout(seconds: str) -> str:
    return SYNC.replace("30.0", seconds)


WEBHOOKS = """\
from flockd import WebhookDeliveryComponent
"""

# fmt: off
DOCUMENT_002: tuple[Row, ...] = (
    Elsewhere("quick start", "process/test_entry_points.py::test_the_program_of_a_document_serves_its_agents"),
    Call("interactive documentation", "GET /docs", text("<!doctype html>")),
    Call("publish an artifact", PUBLISH, ACCEPTED),
    Call("publish and wait", SYNC, {**SYNC_ANSWER, "artifacts": list}),
    Call("publish and wait: what agents made", POST_SYNC + CODE, {**SYNC_ANSWER, "artifacts": [PRODUCED]}),
    Call("publish and wait: not completed at its timeout", POST_SYNC + ENDLESS[:-1] + ', "timeout": 1}', {**SYNC_ANSWER, "completed": False}),
    Call("publish and wait: a timeout below 1 s", timeout("0.5"), bad("timeout"), 400),
    Call("publish and wait: a timeout over 300 s", timeout("301"), bad("timeout"), 400),
    Call("list artifacts", LIST, {"items": [ITEM], "pagination": {"limit": 50, "offset": 0, "total": int}}, after=YOUR_TYPE),
    Call("list artifacts: every parameter", EVERY_PARAMETER, {"items": [ITEM | META], "pagination": {"limit": 50, "offset": 0, "total": 1}}, after=YOUR_TYPE, ids=CORRELATION_ID),
    Call("list artifacts: a limit over 500", LIST.replace("50", "501"), bad("limit"), 400),
    Call("get an artifact", "GET /api/v1/artifacts/{artifact_id}", ITEM, after=YOUR_TYPE, ids=ARTIFACT_ID),
    Call("artifact summary", "GET /api/v1/artifacts/summary?type=YourType&from=2025-10-19T00:00:00Z", {"summary": SUMMARY | {"by_type": {"YourType": int}}}, after=YOUR_TYPE),
    Call("list agents", "GET /api/v1/agents", {"agents": [AGENT]}),
    Call("run an agent", RUN_AGENT, {"artifacts": [{"id": an_id, "type": "BugAnalysis", "payload": dict, "produced_by": "bug_detector"}]}, ids={"{agent_name}": "bug_detector"}),
    Call("history of an agent", "GET /api/v1/agents/{agent_id}/history-summary?from=2025-10-19T00:00:00Z", HISTORY, after=POST_SYNC + CODE, ids={"{agent_id}": "bug_detector"}),
    Call("correlation status: completed", STATUS, STATE, after=PUBLISH, ids=CORRELATION_ID),
    Call("correlation status: active", STATUS, STATE | {"state": "active", "has_pending_work": True}, after=POST + ENDLESS, ids=CORRELATION_ID, at_once=True),
    Call("correlation status: failed", STATUS, STATE | {"state": "failed", "error_count": 1}, after=POST + FAILING, ids=CORRELATION_ID),
    Call("correlation status: not_found", STATUS, NOT_FOUND_STATE, ids={"{correlation_id}": "workflow-uuid"}),
    WAIT,
    Call("health check", "GET /health", {"status": "ok"}),
    Call("metrics", "GET /metrics", text(METRICS)),
    *PROGRAMS,
    DASHBOARD,
    TENANT,
    Call("OpenAPI JSON", "GET /openapi.json", {"openapi": str, "info": dict, "paths": dict}),
    Elsewhere("generate client SDKs: the document is valid for generators", "api/test_openapi.py::test_the_document_is_valid_and_complete"),
    Call("idempotency", IDEMPOTENT, SYNC_ANSWER, ids={"{unique-request-id}": "unique-request-id-12345 of {client}"}),
    Call("idempotency: a duplicate", IDEMPOTENT, SYNC_ANSWER, headers=REPLAYED, after=IDEMPOTENT, ids={"{unique-request-id}": "unique-request-id-54321 of {client}"}),
    ORDER,
    Call("error: an unknown agent", RUN_AGENT, {"detail": "Agent not found: invalid_agent_name"}, 404, ids={"{agent_name}": "invalid_agent_name"}),
    Call("error: an unknown artifact", "GET /api/v1/artifacts/{artifact_id}", {"detail": str}, 404, ids={"{artifact_id}": "artifact-uuid"}),
    Call("error: invalid input", PUBLISH.replace("YourArtifactType", "NoSuchType"), {"detail": text("Unknown artifact type: NoSuchType")}, 400),
    Call("error: an agent that fails", 'POST /api/v1/agents/failing_agent/run\nContent-Type: application/json\n\n{"inputs": [{"type": "Failing"}]}', {"detail": str, "error": "AGENT_FAILED"}, 500),
    Command("webhook notifications", ("python", "-c", WEBHOOKS), "cannot import name 'WebhookDeliveryComponent'", not_yet="webhooks come with a later version"),
)
# fmt: on
