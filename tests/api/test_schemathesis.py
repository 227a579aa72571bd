"""Requests that the OpenAPI document allows, and others: every answer is one that it describes."""

from __future__ import annotations

import asyncio
import re
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

from flockd.api import ROUTES
from flockd.app import make_app
from flockd.config import Config
from flockd.routing import Route

from .flocks import Gate, make_flock

EXAMPLES = 25

ENDLESS = "stream_events"
"""A stream has no end, and the client of these tests waits for one."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A daemon in a thread of its own, since the requests are made by a client that blocks.

    It outlives each test, and so its files lie where no test's own are looked for.
    """
    folder = tempfile.mkdtemp(prefix="flockd-")
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        gate = Gate()
        gate.opened.set()
        config = Config.model_validate({"store": {"data_dir": folder}, "shutdown": {"grace_seconds": 0.1}})
        runner = web.AppRunner(make_app(config, make_flock(gate)), handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stop = asyncio.Event()
        found.update(port=runner.addresses[0][1], loop=asyncio.get_running_loop(), stop=stop)
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="daemon")
    thread.start()
    assert ready.wait(20), "the daemon did not start"
    url = f"http://127.0.0.1:{found['port']}"
    for kind in ("Order", "Doomed", "Left"):  # so that lists have something in them
        httpx.post(f"{url}/api/v1/artifacts/sync", json={"type": kind, "tags": [kind]}).raise_for_status()
    yield url
    found["loop"].call_soon_threadsafe(found["stop"].set)
    thread.join(20)
    assert not thread.is_alive()
    shutil.rmtree(folder)


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
