"""Health, readiness, metrics, and how a daemon that stops answers."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flockd.api import ROUTES
from flockd.api.keys import DAEMON

from .conftest import Api
from .flocks import Gate

WORKING = [route for route in ROUTES if route.publishes or route.starts_work]


async def test_a_daemon_that_lives_and_is_ready(api: Api) -> None:
    assert (await api.get("/health")).ok() == {"status": "ok"}
    assert (await api.get("/ready")).ok() == {"status": "ready"}


async def test_a_store_that_cannot_write(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = api.client.app[DAEMON]  # type: ignore[index]
    monkeypatch.setattr(daemon, "writable", lambda: "The disk is full.")
    answer = await api.get("/ready")
    assert answer.problem(503, "UNAVAILABLE")["detail"] == "The disk is full."
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await api.get("/health")).status == 200


@pytest.mark.parametrize("state", ["starting", "draining"])
async def test_a_daemon_that_takes_no_work(api: Api, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(api.client.app[DAEMON], "state", state)  # type: ignore[index]
        for route in WORKING:
            answer = await api.post(
                re.sub(r"\{\w+_id\}", str(uuid4()), route.path).replace("{name}", "clerk"), {"type": "Order"}
            )
            answer.problem(503, "UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) >= 1
        (await api.get("/ready")).problem(503, "UNAVAILABLE")
        assert (await api.get("/health")).status == 200
        assert (await api.get("/api/v1/artifacts")).ok()["items"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/artifacts/sync", {"type": "Held"}),
        ("/api/v1/agents/holder/run", {"inputs": [{"type": "Held"}]}),
    ],
)
async def test_who_waits_when_the_daemon_stops_is_told_what_for(
    api: Api, gate: Gate, path: str, body: Any
) -> None:
    waiter = asyncio.create_task(api.post(path, body))
    await gate.until_reached()
    (run,) = (await api.get("/api/v1/runs")).ok()["runs"]
    drain = asyncio.create_task(api.client.app[DAEMON].drain())  # type: ignore[index]
    problem = (await waiter).problem(503, "UNAVAILABLE")
    assert problem["details"]["correlation_id"] == run["correlation_id"]
    await drain


async def test_metrics(api: Api) -> None:
    await api.sync("Order")
    await api.sync("Doomed")
    await api.get("/api/v1/artifacts?limit=0")
    answer = await api.get("/metrics?name=ignored")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.body.decode().splitlines()
    assert "blackboard_artifacts_total 4.0" in lines
    assert "blackboard_agents_count 7.0" in lines
    assert "blackboard_executions_total 2.0" in lines
    assert "# TYPE blackboard_artifacts_total counter" in lines
    assert "# TYPE blackboard_agents_count gauge" in lines
    assert "# TYPE blackboard_executions_total counter" in lines
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert all(family.documentation for family in families.values())
    assert {
        "flockd_queue_depth",
        "flockd_oldest_ready_age_seconds",
        "flockd_runs_open",
        "flockd_run_duration_seconds",
        "flockd_commit_duration_seconds",
        "flockd_commit_commands",
        "flockd_loop_lag_seconds",
        "flockd_stream_subscribers",
        "flockd_stream_events_sent",
        "flockd_stream_bytes_sent",
        "flockd_stream_lag_events",
        "flockd_stream_disk_readers",
        "flockd_stream_readers_cut",
        "flockd_http_requests_rejected",
    } <= set(families)
    rejected = {
        sample.labels["code"]: sample.value for sample in families["flockd_http_requests_rejected"].samples
    }
    assert rejected == {"INVALID_INPUT": 1}
    labels = {name for family in families.values() for sample in family.samples for name in sample.labels}
    assert labels <= {"code", "outcome", "state", "medium", "le"}
    assert {sample.labels["medium"] for sample in families["flockd_stream_subscribers"].samples} == {
        "sse",
        "ndjson",
        "websocket",
    }


async def test_metrics_of_work_in_progress(api: Api, gate: Gate) -> None:
    await api.publish("Held")
    await gate.until_reached()
    lines = (await api.get("/metrics")).body.decode().splitlines()
    assert 'flockd_runs_open{state="running"} 1.0' in lines
    assert 'flockd_runs_open{state="ready"} 0.0' in lines
    assert "flockd_queue_depth 0.0" in lines
