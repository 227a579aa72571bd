"""A service as an agent's author would write one, on a real port: a test says what it answers."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Self

import orjson
from aiohttp import web

LIMIT_SECONDS = 10.0
"""How long a test waits for what must come."""

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Request(NamedTuple):
    """What reached the service."""

    headers: Mapping[str, str]
    body: bytes
    peer: object
    """Which connection it came by."""

    def json(self) -> Any:
        return orjson.loads(self.body)


class Service:
    """Answers every POST with what the test has put in, the last of it for ever; at first with nothing (204)."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.left = asyncio.Event()
        """A client closed its connection before it was answered."""
        self._answers: deque[Answering] = deque()
        self._bell = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{rest:.*}", self._receive)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/runs"

    async def serve_tls(self, context: ssl.SSLContext) -> int:
        """Serve by TLS, too; answers the port."""
        assert self._runner is not None
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        return int(self._runner.addresses[1][1])

    def answer(self, *answers: Answering) -> None:
        """What it answers, in this order."""
        self._answers.extend(answers)

    async def reached(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.requests) < count:
                self._bell.clear()
                await self._bell.wait()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        self.requests.append(Request(request.headers, await request.read(), peer))
        self._bell.set()
        if not self._answers:
            return web.Response(status=204)
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        try:
            return await answer(request)
        except asyncio.CancelledError:
            self.left.set()
            raise


def says(document: Any, status: int = 200, **headers: str) -> Answering:
    """An answer of JSON; `retry_after="3"` is the header Retry-After."""
    return text(orjson.dumps(document).decode(), status, content_type="application/json", **headers)


def text(body: str, status: int = 200, *, content_type: str = "text/plain", **headers: str) -> Answering:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, content_type=content_type, headers=sent)

    return answer


async def silence(_request: web.Request) -> web.StreamResponse:
    """Works until its client goes away."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def halves(request: web.Request) -> web.StreamResponse:
    """Begins its answer, and then works until its client goes away."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"n"')
    return await silence(request)


async def breaks_off(request: web.Request) -> web.StreamResponse:
    """Closes the connection in the middle of its answer."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"n"')
    assert request.transport is not None
    request.transport.close()
    return response


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()
