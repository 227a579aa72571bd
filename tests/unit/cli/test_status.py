"""`flockd status`."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]

AGENT = {
    "name": "code_reviewer",
    "status": "running",
    "subscriptions": [{"types": ["BugAnalysis", "Report"], "mode": "all"}],
    "outputs": ["CodeReview"],
    "running": 2,
    "queued": 5,
}


@pytest.fixture
def board(daemon: Answering) -> Answering:
    daemon.answer("GET /health", {"status": "ok"})
    daemon.answer("GET /ready", {"status": "ready"})
    daemon.answer("GET /api/v1/agents", {"agents": [AGENT]})
    daemon.answer("GET /api/v1/artifacts/summary", {"summary": {"total_count": 11}})
    daemon.answer("GET /api/v1/correlations", {"correlations": [], "total": 4})
    daemon.answer("GET /api/v1/runs", {"runs": [], "total": 6})
    return daemon


def test_the_daemon_at_a_glance(flockd: Flockd, board: Answering) -> None:
    result = flockd("status", "--url", board.url)
    assert result.exit_code == 0
    first, second, *table = result.stdout.splitlines()
    assert first == f"{board.url}  health: ok  ready: yes"
    assert second == "artifacts: 11  correlations: 4  active correlations: 4  runs: 6  dead runs: 6"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table]
    assert ["code_reviewer", "running", "2", "5", "BugAnalysis and"] in rows
    assert ["", "", "", "", "Report"] in rows
    asked = [dict(request.query).get("state") for request in board.requests if request.query]
    assert asked == [None, "active", None, "dead"]


def test_a_daemon_that_is_not_ready_says_why(flockd: Flockd, board: Answering) -> None:
    board.refuse("GET /ready", 503, "The daemon is draining")
    overview = json.loads(flockd("status", "--json", "--url", board.url).stdout)
    assert overview["ready"] == "no: The daemon is draining"
    assert overview["totals"]["artifacts"] == 11
    assert overview["agents"] == [AGENT]


def test_one_workflow(flockd: Flockd, daemon: Answering) -> None:
    document = {
        "correlation_id": "c-1",
        "state": "completed",
        "outcome": None,
        "artifact_count": 4,
        "unjoined": [{"agent": "code_reviewer", "artifacts": ["a-1"]}],
    }
    daemon.answer("GET /api/v1/correlations/c-1/status", document)
    shown = flockd("status", "c-1", "--url", daemon.url)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "correlation_id: c-1",
        "state: completed",
        "artifact_count: 4",
        "unjoined:",
        "  - agent: code_reviewer",
        "    artifacts: a-1",
    ]
    assert json.loads(flockd("status", "c-1", "--json", "--url", daemon.url).stdout) == document


def test_an_unknown_workflow_exits_1(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("GET /api/v1/correlations/c-2/status", {"correlation_id": "c-2", "state": "not_found"})
    result = flockd("status", "c-2", "--url", daemon.url)
    assert (result.exit_code, result.stderr) == (1, "Error: There is no correlation c-2.\n")
