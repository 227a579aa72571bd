"""The native routes: the table of contents of the API."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from flockd.api import (
    admin,
    agents,
    artifact_types,
    artifacts,
    correlations,
    events,
    explain,
    graph,
    operations,
    pages,
    questions,
    runs,
    schema,
    socket,
    timers,
    usage,
)
from flockd.api import agent_answers as agent_answer
from flockd.api import answers as answer
from flockd.api import bodies as body
from flockd.api import queries as query
from flockd.errors import (
    AgentFailed,
    BudgetExceeded,
    Conflict,
    Forbidden,
    NotFound,
    TimedOut,
    Unavailable,
    UpgradeRequired,
)
from flockd.routing import JSON, NDJSON, Route

# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("POST", "/api/v1/artifacts", artifacts.publish_artifact, "artifacts", body=body.ArtifactBody, response=answer.Accepted, publishes=True),
    Route("POST", "/api/v1/artifacts/sync", artifacts.publish_and_wait, "artifacts", body=body.SyncBody, response=answer.Sync, publishes=True),
    Route("POST", "/api/v1/artifacts/bulk", artifacts.publish_bulk, "artifacts", query=query.BulkMode, body=body.BulkBody, response=answer.Bulk, publishes=True, bulk=True, body_media=(JSON, NDJSON)),
    Route("GET", "/api/v1/artifacts", artifacts.list_artifacts, "artifacts", query=query.ArtifactPage, response=answer.Artifacts),
    Route("GET", "/api/v1/artifacts/summary", artifacts.summarize_artifacts, "artifacts", query=query.ArtifactsWanted, response=answer.ArtifactsSummary),
    Route("GET", "/api/v1/artifacts/{artifact_id}", artifacts.get_artifact, "artifacts", query=query.ArtifactDetail, response=answer.Artifact, errors=(NotFound,)),

    Route("GET", "/api/v1/agents", agents.list_agents, "agents", response=agent_answer.Agents),
    Route("POST", "/api/v1/agents/{name}/run", agents.run_agent, "agents", body=body.RunBody, response=answer.RunResult, errors=(NotFound, AgentFailed, BudgetExceeded, TimedOut), publishes=True),
    Route("POST", "/api/v1/agents/{name}/pause", agents.pause_agent, "agents", response=agent_answer.Agent, errors=(NotFound, Unavailable)),
    Route("POST", "/api/v1/agents/{name}/resume", agents.resume_agent, "agents", response=agent_answer.Agent, errors=(NotFound, Unavailable)),
    Route("GET", "/api/v1/agents/{name}/history-summary", agents.agent_history, "agents", query=query.ArtifactsWanted, response=agent_answer.AgentHistory, errors=(NotFound,)),

    Route("GET", "/api/v1/correlations", correlations.list_correlations, "correlations", query=query.CorrelationPage, response=answer.Correlations),
    Route("GET", "/api/v1/correlations/{correlation_id}/status", correlations.correlation_status, "correlations", response=answer.CorrelationStatus),
    Route("GET", "/api/v1/correlations/{correlation_id}/graph", graph.correlation_graph, "correlations", query=query.GraphWanted, response=answer.Graph, errors=(NotFound,)),
    Route("POST", "/api/v1/correlations/{correlation_id}/cancel", correlations.cancel_correlation, "correlations", response=answer.Correlation, errors=(NotFound, Unavailable)),
    Route("POST", "/api/v1/correlations/{correlation_id}/pause", correlations.pause_correlation, "correlations", response=answer.Correlation, errors=(NotFound, Unavailable)),
    Route("POST", "/api/v1/correlations/{correlation_id}/resume", correlations.resume_correlation, "correlations", response=answer.Correlation, errors=(NotFound, Unavailable)),

    Route("GET", "/api/v1/runs", runs.list_runs, "runs", query=query.RunPage, response=answer.Runs),
    Route("GET", "/api/v1/runs/{run_id}", runs.get_run, "runs", response=answer.Run, errors=(NotFound,)),
    Route("POST", "/api/v1/runs/retry", runs.retry_runs, "runs", body=body.RetryBody, response=answer.Retried, starts_work=True, keyed=True),
    Route("POST", "/api/v1/runs/{run_id}/cancel", runs.cancel_run, "runs", response=answer.Run, errors=(NotFound, Unavailable)),
    Route("POST", "/api/v1/runs/{run_id}/retry", runs.retry_run, "runs", response=answer.Run, errors=(NotFound, Conflict), starts_work=True, keyed=True),

    Route("GET", "/api/v1/questions", questions.list_questions, "questions", query=query.QuestionPage, response=answer.Questions),
    Route("GET", "/api/v1/questions/{question_id}", questions.get_question, "questions", response=answer.Question, errors=(NotFound,)),
    Route("POST", "/api/v1/questions/{question_id}/answer", questions.answer_question, "questions", body=body.AnswerBody, response=answer.Question, errors=(NotFound, Conflict), starts_work=True, keyed=True),

    Route("GET", "/api/v1/explain", explain.explain_artifact, "artifacts", query=query.ExplainWanted, response=answer.Explained, errors=(NotFound,)),

    Route("GET", "/api/v1/timers", timers.list_timers, "timers", query=query.Page, response=answer.Timers),
    Route("GET", "/api/v1/usage", usage.sum_usage, "usage", query=query.UsageWanted, response=answer.UsageSums),
    Route("GET", "/api/v1/budgets", usage.list_budgets, "usage", query=query.Page, response=answer.Budgets),
    Route("GET", "/api/v1/types", artifact_types.list_types, "types", query=query.Page, response=answer.ArtifactTypes),
    Route("GET", "/api/v1/events", events.stream_events, "events", query=query.EventsWanted, response_media=events.MEDIA, errors=(Unavailable,)),
    Route("GET", "/api/v1/correlations/{correlation_id}/events", events.stream_workflow, "events", query=query.WorkflowEventsWanted, response_media=events.MEDIA, no_content="The cursor is past its end.", errors=(NotFound, Unavailable)),
    Route("GET", "/api/v1/ws", socket.open_socket, "events", errors=(Forbidden, UpgradeRequired, Unavailable), documented=False),

    Route("POST", "/api/v1/admin/verify", admin.verify_board, "admin", response=answer.Verified),
    Route("POST", "/api/v1/admin/reset", admin.reset_board, "admin", body=body.ResetBody, response=answer.WasReset, starts_work=True),
    Route("GET", "/api/v1/admin/backup", admin.backup_board, "admin", response_media=(admin.SQLITE,)),

    Route("GET", "/health", operations.health, "operations", response=answer.Health),
    Route("GET", "/ready", operations.ready, "operations", response=answer.Ready, errors=(Unavailable,)),
    Route("GET", "/metrics", operations.metrics, "operations", response_media=("text/plain",), any_query=True),

    Route("GET", "/", pages.index, "pages", response=answer.Index, any_query=True),
    Route("GET", "/docs", pages.docs, "pages", any_query=True, documented=False),
    Route("GET", "/redoc", pages.redoc, "pages", any_query=True, documented=False),
    Route("GET", "/openapi.json", schema.openapi_31, "pages", any_query=True, documented=False),
    Route("GET", "/openapi-3.0.json", schema.openapi_30, "pages", any_query=True, documented=False),
    Route("GET", "/static/{path:.+}", pages.static_file, "pages", any_query=True, documented=False),
)
# fmt: on
