"""docs/workflows.md is true: its examples work as they are written, and no route is left out."""

from __future__ import annotations

import pytest

from flockd.demo.agents import flock
from flockd.dialects.workflows.routes import WORKFLOW_ROUTES

from .conftest import Serve
from .reader import DOCS, follow_page, like

TEXT = (DOCS / "workflows.md").read_text("utf-8")


async def test_the_examples_work(serve: Serve) -> None:
    assert await follow_page("workflows.md", await serve(flock), "session_id") == 9


@pytest.mark.parametrize(
    "path", [route.path for route in WORKFLOW_ROUTES if not route.path.startswith("/api/")]
)
def test_no_route_is_left_out(path: str) -> None:
    assert f"{path}`" in TEXT


def test_what_differs_is_seen() -> None:
    shown = {"a": "…", "b": [1, {"c": "at 2026-11-21T02:00:00.000Z"}], "seq": 1}
    assert like(shown, {"a": [], "b": [1, {"c": "at 2030-01-01T00:00:00.000Z"}], "seq": 2})
    assert not like(shown, {"a": [], "b": [1, {"c": "2030-01-01T00:00:00.000Z"}], "seq": 1})
    assert not like(shown, {"a": [], "b": [1], "seq": 1})
    assert not like(shown, {"a": [], "b": shown["b"], "seq": 1, "more": 1})
    assert like({"a": 1, "…": "…"}, {"a": 1, "more": 1})
