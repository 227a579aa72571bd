"""`flockd retry`: which runs are meant, and what is printed."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]

ROUTE = "POST /api/v1/runs/retry"
DONE = {"runs": [], "retried": 2, "refused": [], "remaining": 0, "died_before": "2026-11-21T10:11:12.345Z"}
REFUSED = {"run_id": "r-2", "error": "NOT_FOUND", "message": "Run not found: r-2"}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--all"], {}),
        (["--agent", "a", "--error", "TIMEOUT"], {"agent": "a", "error": "TIMEOUT"}),
        (["--correlation-id", "c"], {"correlation_id": "c"}),
        (["--correlation", "c"], {"correlation_id": "c"}),
    ],
)
def test_the_filters_reach_the_daemon(
    flockd: Flockd, daemon: Answering, options: list[str], body: dict[str, str]
) -> None:
    daemon.answer(ROUTE, DONE)
    result = flockd("retry", *options, "--url", daemon.url)
    assert (result.exit_code, result.stdout) == (0, "2 runs start again.\n")
    assert daemon.sent(ROUTE).body == {**body, "limit": 100}


def test_those_that_are_named_and_what_is_refused(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer(ROUTE, {**DONE, "retried": 1, "refused": [REFUSED]})
    result = flockd("retry", "r-1", "r-2", "--url", daemon.url)
    assert (result.exit_code, result.stdout) == (1, "1 run starts again.\n")
    assert "r-2: Run not found: r-2" in result.stderr
    assert daemon.sent(ROUTE).body == {"run_ids": ["r-1", "r-2"]}
    as_json = flockd("retry", "r-1", "r-2", "--json", "--url", daemon.url)
    assert json.loads(as_json.stdout) == {"retried": 1, "refused": [REFUSED]}


@pytest.mark.parametrize(
    "options", [[], ["--all", "--agent", "a"], ["r-1", "--all"], ["r-1", "--error", "X"]]
)
def test_it_must_be_said_which(flockd: Flockd, daemon: Answering, options: list[str]) -> None:
    result = flockd("retry", *options, "--url", daemon.url)
    assert result.exit_code == 2
    assert "Say which" in result.stderr
    assert daemon.requests == []
