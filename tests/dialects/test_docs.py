"""The pages of the dialects are true: their examples work as they are written, and no route is left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from flockd.demo import flock
from flockd.dialects.flows.routes import EXECUTION_ROUTES
from flockd.dialects.runs.routes import RUNS_ROUTES
from flockd.dialects.workflows.routes import WORKFLOW_ROUTES
from flockd.routing import Route

from .conftest import Serve
from .reader import DOCS, follow_page, like


async def test_the_examples_of_runs(serve: Serve, tmp_path: Path) -> None:
    assert await follow_page("runs.md", await serve(flock), tmp_path, "run_id", "batch_id") == 11
    heading, first, second = (tmp_path / "results.csv").read_text().splitlines()
    assert heading == "sentiment,keywords"
    assert first.startswith("positive,")
    assert second.startswith("negative,")


async def test_the_examples_of_flows(serve: Serve, tmp_path: Path) -> None:
    assert await follow_page("flows.md", await serve(flock), tmp_path, "execution_id") == 7


async def test_the_examples_of_workflows(serve: Serve, tmp_path: Path) -> None:
    assert await follow_page("workflows.md", await serve(flock), tmp_path, "session_id") == 9


@pytest.mark.parametrize(
    ("page", "routes"),
    [
        ("runs.md", [route for route in RUNS_ROUTES if route.documented]),
        ("flows.md", EXECUTION_ROUTES),
        ("workflows.md", [route for route in WORKFLOW_ROUTES if not route.path.startswith("/api/")]),
    ],
)
def test_no_route_is_left_out(page: str, routes: Sequence[Route]) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert routes
    for route in routes:
        assert f"{route.path.replace('flow_name', 'flow-name')}`" in text


def test_what_differs_is_seen() -> None:
    shown = {"a": "…", "b": [1, {"c": "at 2026-11-21T02:00:00.000Z"}], "seq": 1}
    assert like(shown, {"a": [], "b": [1, {"c": "at 2030-01-01T00:00:00.000Z"}], "seq": 2})
    assert not like(shown, {"a": [], "b": [1, {"c": "2030-01-01T00:00:00.000Z"}], "seq": 1})
    assert not like(shown, {"a": [], "b": [1], "seq": 1})
    assert not like(shown, {"a": [], "b": shown["b"], "seq": 1, "more": 1})
    assert like({"a": 1, "…": "…"}, {"a": 1, "more": 1})
    assert like([2, "…"], [1, 2])
    assert not like([3, "…"], [1, 2])
