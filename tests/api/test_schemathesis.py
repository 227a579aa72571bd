"""Requests that the OpenAPI document allows, and others: every answer is one that it describes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flockd.api import ROUTES
from flockd.routing import Route
from tests.process.daemon import serving_flock

EXAMPLES = 25

ENDLESS = "stream_events"
"""A stream has no end, and the client of these tests waits for one."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon of its own process: its threads must not draw from the random numbers of hypothesis."""
    with serving_flock("tests.api.open_flock:flock", tmp_path_factory.mktemp("daemon")) as url:
        for kind in ("Order", "Doomed", "Left"):  # so that lists have something in them
            httpx.post(f"{url}/api/v1/artifacts/sync", json={"type": kind, "tags": [kind]}).raise_for_status()
        yield url


@pytest.fixture(scope="module")
def document(address: str) -> BaseSchema:
    """The document as the daemon serves it."""
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def _has_bounds(route: Route) -> bool:
    """Whether the document refuses anything at all."""
    return bool(route.query or route.body or re.search(r"\{(artifact|run)_id\}", route.path))


@pytest.mark.parametrize(
    ("route", "mode"),
    [
        pytest.param(route, mode, id=f"{route.operation_id}-{mode.value}")
        for route in ROUTES
        for mode in GenerationMode
        if route.documented and route.operation_id != ENDLESS
        if mode is GenerationMode.POSITIVE or _has_bounds(route)
    ],
)
def test_every_answer_is_one_that_the_document_describes(
    document: BaseSchema, route: Route, mode: GenerationMode
) -> None:
    operation = document[route.path][route.method]
    excluded = []
    if route.publishes or route.keyed or route.tag == "events":
        # types there are, and kinds of events, are not in the document; nor which fields and keys exclude each other
        excluded.append(positive_data_acceptance)
    if route.bulk or route.path == "/":
        excluded.append(
            negative_data_rejection
        )  # bad items have their place in a 200; a page takes any query

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
