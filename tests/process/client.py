"""A client of a daemon that may die at any moment: an answer, or the plain statement that there was none."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson

from .daemon import Daemon

Json = dict[str, Any]
PAGE = 500
"""The most that one page of a list may hold."""


class CutError(Exception):
    """The connection failed before the whole answer was there: the request may have taken effect, or not."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer. `body` is its JSON object."""

    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def replayed(self) -> bool:
        """Whether this is the answer of an earlier request with the same idempotency key."""
        return self.headers.get("Idempotency-Replayed") == "true"

    def accepted(self) -> Json:
        """The body of a 200; any other status fails the test with the whole answer."""
        assert self.status == 200, f"{self.status}: {self.body}"
        return self.body


class Client:
    """The native routes of one daemon, wherever it listens at the moment. Enter it before use."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, never repeated here. `CutError` if no whole answer came."""
        assert self._session is not None, "enter the client first"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["X-Idempotency-Key"] = key
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._session.request(
                method, self.daemon.url + path, data=data, headers=headers, params=query
            ) as response:
                return Answer(response.status, orjson.loads(await response.read()), dict(response.headers))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise CutError(str(error)) from error

    async def get(self, path: str, **query: str) -> Json:
        """The body of a GET that must answer 200."""
        return (await self.request("GET", path, query=query)).accepted()

    async def publish(self, kind: str, payload: Json, *, key: str | None = None, **fields: object) -> Answer:
        """Publish one artifact and be answered as soon as it is durable."""
        body = {"type": kind, "payload": payload, **fields}
        return await self.request("POST", "/api/v1/artifacts", body, key=key)

    async def publish_sync(
        self, kind: str, payload: Json, *, key: str | None = None, timeout: float = 60.0, **fields: object
    ) -> Answer:
        """Publish one artifact and be answered when its workflow has ended."""
        body = {"type": kind, "payload": payload, "timeout": timeout, **fields}
        return await self.request("POST", "/api/v1/artifacts/sync", body, key=key)

    async def publish_bulk(self, items: list[Json], *, key: str | None = None) -> Answer:
        """Publish many artifacts in one transaction."""
        return await self.request("POST", "/api/v1/artifacts/bulk", {"items": items}, key=key)

    async def status(self, correlation_id: str) -> Json:
        """The status of one correlation."""
        return await self.get(f"/api/v1/correlations/{correlation_id}/status")

    async def artifacts(self, **query: str) -> list[Json]:
        """Every artifact that the query selects, in the order of publication."""
        found: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get("/api/v1/artifacts", order="asc", limit=str(PAGE), **query, **cursor)
            found += page["items"]
            if len(page["items"]) < PAGE:
                return found
            cursor = {"after": str(found[-1]["seq"])}

    async def runs(self, **query: str) -> list[Json]:
        """Every run that the query selects."""
        return await self._listed("runs", query)

    async def correlations(self, **query: str) -> list[Json]:
        """Every correlation that the query selects."""
        return await self._listed("correlations", query)

    async def questions(self, **query: str) -> list[Json]:
        """Every question that the query selects; the open ones, unless it says otherwise."""
        return await self._listed("questions", query)

    async def code(self, path: str) -> int:
        """The status of a GET, whatever it is."""
        return (await self.request("GET", path)).status

    async def read(self, path: str) -> bytes:
        """The body of a GET that must answer 200, whatever it is."""
        assert self._session is not None, "enter the client first"
        async with self._session.get(self.daemon.url + path) as response:
            assert response.status == 200
            return await response.read()

    async def until_code(self, path: str, status: int, limit: float = 30.0) -> None:
        """Ask until `path` answers `status`."""
        async with asyncio.timeout(limit):
            while await self.code(path) != status:
                pass

    async def _listed(self, plural: str, query: Mapping[str, str]) -> list[Json]:
        found: list[Json] = []
        while True:
            page = await self.get(f"/api/v1/{plural}", limit=str(PAGE), offset=str(len(found)), **query)
            found += page[plural]
            if len(found) >= page["total"] or not page[plural]:
                return found
