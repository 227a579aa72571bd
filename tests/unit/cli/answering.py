"""A daemon that only answers: each route gives what a test put there, and every request is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
from aiohttp import web

START_SECONDS = 10.0


class Request(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


class Answering:
    """The daemon's address, its answers by "METHOD /path", and the requests so far. Filled by tests."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self._answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}

    def answer(self, route: str, document: object, status: int = 200) -> None:
        """Answer a route with JSON (or with bytes as they are)."""
        raw = document if isinstance(document, bytes) else orjson.dumps(document)
        self._answers[route] = (status, raw, {"Content-Type": "application/json"})

    def refuse(self, route: str, status: int, message: str) -> None:
        """Answer a route with an error body."""
        self.answer(route, {"status": status, "error": "X", "message": message, "detail": message}, status)

    def sent(self, route: str) -> Request:
        """The one request to a route."""
        (request,) = [each for each in self.requests if f"{each.method} {each.path}" == route]
        return request

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.requests.append(
            Request(
                request.method,
                request.path,
                list(request.query.items()),
                dict(request.headers),
                orjson.loads(raw) if raw else None,
            )
        )
        status, body, headers = self._answers.get(
            f"{request.method} {request.path}", (404, b"no such route", {})
        )
        return web.Response(status=status, body=body, headers=headers)


@contextmanager
def answering() -> Iterator[Answering]:
    """The daemon on a free port, on a loop and in a thread of its own: the verbs bring their own loop."""
    daemon = Answering()
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", daemon.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        daemon.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert started.wait(START_SECONDS), "the answering daemon did not start"
        yield daemon
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)
        loop.close()
