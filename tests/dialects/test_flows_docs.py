"""docs/flows.md is true: its examples work as they are written, and no route is left out."""

from __future__ import annotations

import pytest

from flockd.demo.agents import flock
from flockd.dialects.flows.routes import EXECUTION_ROUTES

from .conftest import Serve
from .reader import DOCS, follow_page

TEXT = (DOCS / "flows.md").read_text("utf-8")


async def test_the_examples_work(serve: Serve) -> None:
    assert await follow_page("flows.md", await serve(flock), "execution_id") == 7


@pytest.mark.parametrize("path", [route.path for route in EXECUTION_ROUTES])
def test_no_route_is_left_out(path: str) -> None:
    assert f"{path.replace('flow_name', 'flow-name')}`" in TEXT
