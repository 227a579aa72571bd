"""`flockd usage` and `flockd budgets`."""

import json
from collections.abc import Callable

from click.testing import Result

from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]

TOOK = {
    "requests": 3, "input_tokens": 12345, "output_tokens": 60, "cost_usd": 0.0125, "seconds": 1.5,
    "unpriced_requests": 0, "estimated_requests": 0,
}  # fmt: skip
SUMS = {"totals": TOOK, "by_agent": {"writer": TOOK}, "by_model": {"openai:gpt-4.1": TOOK}}


def cells(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.stderr
    return [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in result.stdout.splitlines()
    ]


def test_usage_by_agent_and_by_model(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("GET /api/v1/usage", SUMS)
    rows = cells(flockd("usage", "--url", daemon.url))
    figures = ["3", "12,345", "60", "0.0125", "1.5"]
    assert ["writer", *figures] in rows
    assert ["openai:gpt-4.1", *figures] in rows
    assert rows.count(["in all", *figures]) == 2
    assert json.loads(flockd("usage", "--json", "--url", daemon.url).stdout) == SUMS


def test_requests_without_a_price_and_estimated_ones_are_shown_where_there_are_any(
    flockd: Flockd, daemon: Answering
) -> None:
    daemon.answer("GET /api/v1/usage", SUMS)
    assert "price" not in flockd("usage", "--url", daemon.url).stdout
    doubtful = {**TOOK, "unpriced_requests": 2}
    daemon.answer("GET /api/v1/usage", {**SUMS, "totals": doubtful, "by_model": {"m": doubtful, "n": TOOK}})
    rows = cells(flockd("usage", "--url", daemon.url))
    figures = ["3", "12,345", "60", "0.0125", "1.5"]
    assert ["model", "requests", "tokens", "tokens", "USD", "seconds", "price"] in rows
    assert ["m", *figures, "2"] in rows and ["n", *figures, ""] in rows
    assert rows.count(["in all", *figures, "2"]) == 2


def test_no_figure_is_cut_for_a_long_name(flockd: Flockd, daemon: Answering) -> None:
    name = "openrouter:anthropic/claude-sonnet-4.5-with-a-name-that-fills-half-of-the-line"
    took = {**TOOK, "input_tokens": 123_456_789, "unpriced_requests": 1, "estimated_requests": 2}
    daemon.answer("GET /api/v1/usage", {"totals": took, "by_agent": {}, "by_model": {name: took}})
    shown = cells(flockd("usage", "--url", daemon.url))
    figures = ["3", "123,456,789", "60", "0.0125", "1.5", "1", "2"]
    assert [row[1:] for row in shown].count(figures) == 3
    assert name in "".join(row[0] for row in shown)


def test_what_is_wanted_is_asked_for(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("GET /api/v1/usage", SUMS)
    flockd(
        "usage", "--agent", "writer", "--model", "m", "--correlation-id", "c", "--from", "2026-11-21", "--to",
        "2026-11-22", "--url", daemon.url,
    )  # fmt: skip
    assert dict(daemon.requests[0].query) == {
        "agent": "writer", "model": "m", "correlation_id": "c", "from": "2026-11-21", "to": "2026-11-22",
    }  # fmt: skip


def test_budgets(flockd: Flockd, daemon: Answering) -> None:
    one = {
        "scope": "agent", "name": None, "subject": "writer", "per": "day", "tokens": None,
        "requests": {"limit": 1000, "spent": 3, "reserved": 1, "left": 996},
        "usd": {"limit": 2.5, "spent": 0.5, "reserved": 0.0, "left": 2.0},
        "window_ends_at": "2026-11-22T00:00:00.000Z",
    }  # fmt: skip
    unknown = {"limit": 50, "spent": None, "reserved": None, "left": None}
    each = {
        **one,
        "scope": "run",
        "name": "writer",
        "subject": None,
        "per": None,
        "requests": unknown,
        "usd": None,
    }
    daemon.answer("GET /api/v1/budgets", {"budgets": [one, each], "total": 2})
    rows = cells(flockd("budgets", "--url", daemon.url))
    assert ["agent writer", "day", "requests", "1,000", "3", "1", "996"] in rows
    assert ["agent writer", "day", "usd", "2.5", "0.5", "0.0", "2.0"] in rows
    assert ["each run, for writer", "", "requests", "50", "", "", ""] in rows


def test_every_page_of_budgets_is_asked_for(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("GET /api/v1/budgets", {"budgets": [{"scope": "run"}], "total": 3, "limit": 1, "offset": 0})
    answer = json.loads(flockd("budgets", "--json", "--url", daemon.url).stdout)
    assert (len(answer["budgets"]), answer["total"]) == (3, 3)
    assert [dict(request.query).get("offset") for request in daemon.requests] == [None, "1", "2"]


def test_no_budgets(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("GET /api/v1/budgets", {"budgets": [], "total": 0})
    assert flockd("budgets", "--url", daemon.url).stdout == "There are no budgets.\n"
