"""A service, and the engine of an agent that it is, with a context of a run as the supervisor would give it one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from flockd.domain.artifact import Artifact
from flockd.engines.base import Context, Output, Scope
from flockd.engines.http.engine import HttpEngine
from flockd.engines.http.target import Target
from flockd.engines.outside import Outside

from .service import Service

RUN_ID = "01939f5c-0000-7000-8000-00000000000a"
CORRELATION_ID = "01939f5c-0000-7000-8000-00000000000b"
ORDER = Artifact(
    7,
    "01939f5c-0000-7000-8000-00000000000c",
    "Order",
    b'{"n":1}',
    "external",
    CORRELATION_ID,
    1_795_219_200_000,
    partition_key="eu",
    tags=("new",),
)


class NoThreads:
    """An engine that asks for a thread must not."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        raise AssertionError(f"{name} asks for a thread")


class Agent:
    """An agent that is the service of this test."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.outside = Outside(answer_bytes=1000)
        self.publishes: tuple[str, ...] = ("Receipt",)
        self.timeout_seconds = 600.0
        self.pauses: list[float] = []
        """Those that the engine made; they take the time of this clock only."""
        self.now = time.time()
        self.sleep = self._pause
        self.url = service.url
        self.options: dict[str, Any] = {"allow_private": True}

    async def run(self, *inputs: Artifact, attempt: int = 1) -> list[Output]:
        engine = HttpEngine(
            "pricer",
            Target(self.url, **self.options),
            self.publishes,
            timeout_seconds=self.timeout_seconds,
            sleep=self.sleep,
            clock=lambda: self.now,
        )
        context = Context(
            agent="pricer",
            correlation_id=CORRELATION_ID,
            run_id=RUN_ID,
            attempt=attempt,
            inputs=inputs or (ORDER,),
            on_progress=lambda *_: None,
            on_write=lambda _: None,
            query=_no_query,
            outside=self.outside,
        )
        return await engine.run([], context, NoThreads())

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


async def _no_query(type: str | None, where: str | None, limit: int, scope: Scope) -> list[Artifact]:
    raise AssertionError("nobody looks at the board")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
async def agent(service: Service) -> AsyncIterator[Agent]:
    agent = Agent(service)
    async with agent.outside:
        yield agent
