"""Requests to the routes of the dialects that the document allows, and others: every answer is described."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flockd import Flock
from flockd.app import make_app
from flockd.config import Config
from flockd.dialects import routes
from flockd.dialects.flows.routes import flow_routes
from flockd.routing import Route

from . import flow_flock, workflow_flock

EXAMPLES = 25
SOCKET = "follow_session"
"""A WebSocket has no answer of HTTP."""


def make_flock() -> Flock:
    gate, stage = flow_flock.Gate(), workflow_flock.Stage()
    gate.opened.set()
    stage.open()
    flock = flow_flock.make_flock(gate)
    flock.include(workflow_flock.make_flock(stage))
    return flock


FLOCK = make_flock()
FLOW_TAGS = {route.tag for route in flow_routes(FLOCK.agents(), FLOCK.types())}
ROUTES = [
    route
    for route in routes(FLOCK.agents(), FLOCK.types())
    if route.documented and route.operation_id != SOCKET
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A daemon in a thread of its own, since the requests are made by a client that blocks.

    It outlives each test, and so its files lie where no test's own are looked for.
    """
    folder = tempfile.mkdtemp(prefix="flockd-")
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        config = Config.model_validate({"store": {"data_dir": folder}, "shutdown": {"grace_seconds": 0.1}})
        runner = web.AppRunner(make_app(config, FLOCK), handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop = asyncio.Event()
        found.update(port=runner.addresses[0][1], loop=asyncio.get_running_loop(), stop=stop)
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="daemon")
    thread.start()
    assert ready.wait(20), "the daemon did not start"
    url = f"http://127.0.0.1:{found['port']}"
    httpx.post(f"{url}/api/v1/poem-flow/execute", json={}).raise_for_status()  # so that lists have something
    yield url
    found["loop"].call_soon_threadsafe(found["stop"].set)
    thread.join(20)
    assert not thread.is_alive()
    shutil.rmtree(folder)


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
