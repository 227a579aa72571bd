"""A reverse proxy such as people put before a daemon: what it has no answer for is a 502."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from tests.process.daemon import Daemon


class Proxy:
    """Passes every GET on to the daemon, wherever that listens now, and streams the answer back.

    `statuses` are what it answered for paths of the API, in order.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self._daemon = daemon
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._pass_on)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def answered(self, status: int, times: int = 1, limit: float = 30.0) -> None:
        """Wait until it has given this answer so many times."""
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: self.statuses.count(status) >= times)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        try:
            async with self._session.get(f"{self._daemon.url}{request.rel_url}", headers=headers) as answer:
                await self._note(request, answer.status)
                response = web.StreamResponse(
                    status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response
        except aiohttp.ClientConnectorError:
            await self._note(request, 502)
            return web.Response(status=502, text="Bad Gateway")
        except aiohttp.ClientPayloadError:  # the daemon was cut off in the middle: so is whoever asked
            assert request.transport is not None
            request.transport.abort()
            return response

    async def _note(self, request: web.Request, status: int) -> None:
        if request.path.startswith("/api/"):
            self.statuses.append(status)
            async with self._changed:
                self._changed.notify_all()
