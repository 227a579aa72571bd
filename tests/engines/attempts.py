"""Attempts of runs without a daemon: a Context whose memory is a dictionary, and what was told with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.usage import Most, Usage
from flockd.engines.base import Context, Scope
from flockd.engines.memory import Asked
from flockd.engines.outside import Outside
from flockd.errors import BudgetExceeded


@dataclass
class Call:
    """A call of a model, as the memory knows it."""

    model: str
    most: Most
    settled: list[Usage | None] = field(default_factory=list)
    """What it was settled with; more than one value is a mistake."""


class Kept:
    """What a daemon would keep of one run, over all of its attempts."""

    def __init__(self) -> None:
        self.steps: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self.tools: list[dict[str, Any]] = []
        """The data of each `tool.called` event."""
        self.requests_left: int | None = None
        """A budget; None: none."""
        self._used: set[str] = set()

    def begin_attempt(self) -> None:
        self._used.clear()

    async def recall(self, name: str) -> bytes | None:
        if name in self._used:
            raise ValueError(f"the step {name!r} was used twice in one attempt")
        self._used.add(name)
        return self.steps.get(name)

    async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
        self.steps[name] = value
        if tool is not None:
            self.tools.append(orjson.loads(tool))

    async def tell_tool(self, data: bytes) -> None:
        self.tools.append(orjson.loads(data))

    async def begin_call(self, model: str, most: Most) -> str:
        if self.requests_left is not None:
            if self.requests_left == 0:
                raise BudgetExceeded("the budget of this test is spent")
            self.requests_left -= 1
        self.calls.append(Call(model, most))
        return str(len(self.calls) - 1)

    async def end_call(
        self, call_id: str, usage: Usage | None, *, step: tuple[str, bytes] | None = None
    ) -> None:
        self.calls[int(call_id)].settled.append(usage)
        if step is not None:
            self.steps[step[0]] = step[1]

    async def ask(self, key: str, text: str, schema: bytes, timeout_seconds: float | None) -> Asked | None:
        raise AssertionError("nobody is asked here")

    @property
    def settled(self) -> list[Usage | None]:
        """Of each call, once."""
        assert all(len(call.settled) == 1 for call in self.calls)
        return [call.settled[0] for call in self.calls]


class Attempt:
    """One attempt: its Context, and what it wrote."""

    def __init__(
        self,
        outside: Outside,
        *inputs: Artifact,
        kept: Kept | None = None,
        number: int = 1,
        agent: str = "reader",
    ) -> None:
        self.kept = kept or Kept()
        self.kept.begin_attempt()
        self.written: list[str] = []
        self.wrote = asyncio.Event()
        self.context = Context(
            agent=agent,
            correlation_id="c",
            run_id="r",
            attempt=number,
            inputs=inputs,
            on_progress=lambda *_: None,
            on_write=self._write,
            query=self._query,
            memory=self.kept,
            outside=outside,
        )

    @property
    def text(self) -> str:
        return "".join(self.written)

    def _write(self, text: str) -> None:
        if text:
            self.written.append(text)
            self.wrote.set()

    async def _query(self, type: str | None, where: str | None, limit: int, scope: Scope) -> list[Artifact]:
        return []


class NoThreads:
    """For engines that start none."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        return asyncio.to_thread(work)


def artifact(type: str, value: Any, number: int = 1) -> Artifact:
    """As the board has it."""
    return Artifact(number, f"id-{number}", type, orjson.dumps(value), "external", "c", 0)
