"""The application for each test, and a client that knows what every answer must look like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from flockd.app import make_app
from flockd.config import Config
from flockd.routing import NDJSON

from .flocks import Gate, make_flock

PROBLEM_FIELDS = [
    "type",
    "title",
    "status",
    "detail",
    "error",
    "message",
    "details",
    "timestamp",
    "request_id",
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Answer:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return orjson.loads(self.body)

    def ok(self) -> Any:
        """The JSON of a 200."""
        assert self.status == 200, self.body
        assert self.headers["Content-Type"] == "application/json"
        return self.json()

    def problem(self, status: int, error: str) -> Any:
        """The problem of an error, of which all that is always so is checked."""
        assert self.status == status, self.body
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json()
        assert list(problem) == PROBLEM_FIELDS
        assert (problem["status"], problem["error"]) == (status, error), problem
        assert problem["detail"] == problem["message"]
        assert TIME.fullmatch(problem["timestamp"])
        assert problem["request_id"] == self.headers["X-Request-ID"]
        return problem


class Api:
    """Sends requests to the application of one test."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if json is not None:
            data = orjson.dumps(json)
            sent.setdefault("Content-Type", "application/json")
        # aiohttp's client would otherwise make up a type for a body that is meant to have none.
        skip = ("Content-Type",) if data is not None and "Content-Type" not in sent else ()
        async with self.client.request(
            method, path, data=data, headers=sent, skip_auto_headers=skip, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def post(self, path: str, json: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("POST", path, json=json, headers=headers)

    async def publish(self, type: str, payload: Any = None, **fields: Any) -> Any:
        """The answer to a publication that must be accepted."""
        body = {"type": type, **({} if payload is None else {"payload": payload}), **fields}
        return (await self.post("/api/v1/artifacts", body)).ok()

    async def sync(self, type: str, payload: Any = None, **fields: Any) -> Any:
        """The answer to a publication that is waited for."""
        body = {"type": type, "payload": payload or {}, **fields}
        return (await self.post("/api/v1/artifacts/sync", body)).ok()

    async def event(self, correlation_id: str, kind: str) -> Any:
        """The first event of this kind of a workflow, once it is there."""
        path = f"/api/v1/correlations/{correlation_id}/events?kind={kind}"
        async with asyncio.timeout(10), self.client.get(path, headers={"Accept": NDJSON}) as response:
            async for line in response.content:
                event = orjson.loads(line)
                if event.get("kind") == kind:
                    return event
        raise AssertionError(f"the workflow ended without {kind}")


@pytest.fixture
def gate() -> Gate:
    """Where the held work of this test waits."""
    return Gate()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Small limits, so that they are easily met."""
    return Config.model_validate(
        {
            "store": {"data_dir": tmp_path / "data"},
            "shutdown": {"grace_seconds": 0.1},
            "limits": {
                "body_bytes": 4096,
                "bulk_body_bytes": 16384,
                "bulk_items": 5,
                "offset_max": 100,
                "tags_per_artifact": 3,
                "tag_chars": 8,
                "json_depth": 10,
            },
        }
    )


@pytest.fixture
async def api(aiohttp_client: AiohttpClient, config: Config, gate: Gate) -> Api:
    """The application, started, and its client."""
    return Api(await aiohttp_client(make_app(config, make_flock(gate))))
