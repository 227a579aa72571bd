"""Requests to the routes of the dialects that the document allows, and others: every answer is described."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flockd.dialects import routes
from flockd.dialects.flows.routes import flow_routes
from flockd.routing import Route
from tests.process.daemon import serving_flock

from .open_flock import flock

EXAMPLES = 25
SOCKET = "follow_session"
"""A WebSocket has no answer of HTTP."""


FLOW_TAGS = {route.tag for route in flow_routes(flock.agents(), flock.types())}
ROUTES = [
    route
    for route in routes(flock.agents(), flock.types())
    if route.documented and route.operation_id != SOCKET
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon of its own process: its threads must not draw from the random numbers of hypothesis."""
    with serving_flock("tests.dialects.open_flock:flock", tmp_path_factory.mktemp("daemon")) as url:
        httpx.post(
            f"{url}/api/v1/poem-flow/execute", json={}
        ).raise_for_status()  # so that lists have something
        yield url


@pytest.fixture(scope="module")
def document(address: str) -> BaseSchema:
    """The document as the daemon serves it."""
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(
    ("route", "mode"),
    [
        pytest.param(route, mode, id=f"{route.operation_id}-{mode.value}")
        for route in ROUTES
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or route.query or route.body or "{" in route.path
    ],
)
def test_every_answer_is_one_that_the_document_describes(
    document: BaseSchema, route: Route, mode: GenerationMode
) -> None:
    operation = document[route.path][route.method]
    # Which agents and workflows there are, and that two headers for one key may not differ, is not in the document.
    excluded = [positive_data_acceptance] if route.publishes else []
    if route.tag in FLOW_TAGS:  # a flow's request is read by its own model: true is an integer to it
        excluded.append(negative_data_rejection)

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        case.call_and_validate(timeout=20, excluded_checks=excluded)

    check()
