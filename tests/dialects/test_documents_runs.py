"""Every request of documents 000 and 001, sent as it is written there (but for the host) by three clients."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest
import requests

from flockd.demo.agents import flock

from .conftest import Serve, Served

RUN = ["run_id", "status", "result", "started_at", "completed_at", "error"]
BATCH = [
    *("batch_id", "status", "results", "started_at", "completed_at", "error"),
    *("total_items", "completed_items", "progress_percentage"),
]
LIMIT_SECONDS = 30.0

Reply = tuple[int, Any]
"""Status and JSON."""


class Example(NamedTuple):
    """One request; `$ID` in its path is the id that its `before` was answered."""

    document: str
    what: str
    method: str
    path: str
    body: str | None
    fields: list[str]
    wanted: dict[str, Any]
    before: str | None = None


HELLO = """{
  "agent_name": "my_agent",
  "inputs": {
    "query": "Hello, world!"
  },
  "async_run": %s
}"""
TEXT = """{
  "agent_name": "text_analyzer",
  "inputs": {
    "text": "%s"
  }%s
}"""
FUN = TEXT % ("Flock makes building agents easy and fun!", ',\n  "async_run": false')
GREAT = TEXT % ("This is great!", "")
BACKGROUND = TEXT % ("This will run in the background.", ',\n  "async_run": true')
DONE = {"status": "completed", "error": None}
BEGUN = {"status": "starting", "result": None, "completed_at": None, "error": None}
PROCESSED = {**DONE, "result": {"result": "Processed: Hello, world!"}}

EXAMPLES = [
    Example("000", "run an agent", "POST", "/run/agent", HELLO % "false", RUN, PROCESSED),
    Example(
        *("000", "run a workflow", "POST", "/run/flock"),
        *(HELLO.replace("my_agent", "start_agent") % "false", RUN, PROCESSED),
    ),
    Example("000", "run asynchronously", "POST", "/run/agent", HELLO % "true", RUN, BEGUN),
    Example("000", "status of a run", "GET", "/run/$ID", None, RUN, {}, HELLO % "true"),
    Example(
        *(
            "000",
            "an unknown agent",
            "POST",
            "/run/agent",
            HELLO.replace("my_agent", "unknown_agent") % "false",
        ),
        *(RUN, {"status": "failed", "result": None, "error": "Agent 'unknown_agent' not found"}),
    ),
    Example("000", "list agents", "GET", "/agents", None, ["agents"], {}),
    Example("001", "run a workflow", "POST", "/run/flock", FUN, RUN, DONE),
    Example("001", "synchronous by curl", "POST", "/run/flock", GREAT, RUN, DONE),
    Example("001", "asynchronous by curl", "POST", "/run/flock", BACKGROUND, RUN, BEGUN),
    Example("001", "status of the run", "GET", "/run/$ID", None, RUN, {}, BACKGROUND),
    Example(
        *("001", "run a batch", "POST", "/run/batch"),
        '{"agent_name": "text_analyzer", "batch_inputs": [{"text": "This is great!"}]}',
        *(BATCH, {"status": "starting", "total_items": 1}),
    ),
    Example("001", "list agents", "GET", "/agents", None, ["agents"], {}),
]


def by_requests(method: str, url: str, body: str | None) -> Reply:
    if body is None:
        response = requests.request(method, url, timeout=LIMIT_SECONDS)
    else:
        response = requests.request(method, url, json=json.loads(body), timeout=LIMIT_SECONDS)
    return response.status_code, response.json()


def by_httpx(method: str, url: str, body: str | None) -> Reply:
    given = {} if body is None else {"json": json.loads(body)}
    response = httpx.request(method, url, timeout=LIMIT_SECONDS, **given)
    return response.status_code, response.json()


def by_curl(method: str, url: str, body: str | None) -> Reply:
    given = [] if body is None else ["-H", "Content-Type: application/json", "-d", body]
    command = ["curl", "-s", "-w", "\n%{http_code}", "-X", method, url, *given]
    out = subprocess.run(command, capture_output=True, check=True, timeout=LIMIT_SECONDS).stdout
    answer, _, status = out.rpartition(b"\n")
    return int(status), json.loads(answer)


CLIENTS: list[Callable[[str, str, str | None], Reply]] = [by_requests, by_httpx, by_curl]


@pytest.fixture
async def api(serve: Serve) -> Served:
    return await serve(flock)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("one", EXAMPLES, ids=lambda one: f"{one.document} {one.what}")
async def test_an_example_is_answered_as_its_document_says(
    api: Served, one: Example, client: Callable[[str, str, str | None], Reply]
) -> None:
    if client is by_curl and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    url = str(api.client.make_url("")).rstrip("/")
    path = one.path
    if one.before is not None:
        _, begun = await asyncio.to_thread(client, "POST", f"{url}/run/flock", one.before)
        await api.ended(begun["run_id"])
        path = path.replace("$ID", begun["run_id"])
    status, answer = await asyncio.to_thread(client, one.method, url + path, one.body)
    assert status == 200
    assert [name for name in one.fields if name not in answer] == []
    assert {name: answer[name] for name in one.wanted} == one.wanted
    if answer.get("status") == "completed":
        assert answer["result"] is not None
    if one.path == "/agents":
        listed = {agent["name"]: agent for agent in answer["agents"]}
        assert {"my_agent", "start_agent", "text_analyzer"} <= listed.keys()
        assert listed["my_agent"]["input_schema"] == "query: str | The query to process"
        assert listed["my_agent"]["output_schema"] == "result: str | The processed result"
    for started in ("run_id", "batch_id"):
        if started in answer:
            await api.ended(answer[started])
