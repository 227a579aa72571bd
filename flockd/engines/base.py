"""What an engine is, and the Context that user code gets from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from flockd.domain.artifact import Artifact

Scope = Literal["correlation", "board"]


class Output(NamedTuple):
    """One value that a run produced, with the name of its artifact type; the runner validates it."""

    type: str
    value: Any


class Query(Protocol):
    """Reads the board as the agent may see it."""

    async def __call__(
        self, type: str | None, where: str | None, limit: int, scope: Scope
    ) -> list[Artifact]: ...


class Context:
    """What an agent knows and may do while it runs.

    `progress` and `write` are plain calls that never block; `query` is awaited.
    """

    def __init__(
        self,
        *,
        agent: str,
        correlation_id: str,
        run_id: str,
        attempt: int,
        inputs: tuple[Artifact, ...],
        on_progress: Callable[[float, str | None, str | None], None],
        on_write: Callable[[str], None],
        query: Query,
    ) -> None:
        self.agent = agent
        self.correlation_id = correlation_id
        self.run_id = run_id
        self.attempt = attempt
        """Counted from 1."""
        self.inputs = inputs
        self._on_progress = on_progress
        self._on_write = on_write
        self._query = query

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A log whose lines carry the run and its correlation; made when the agent first asks."""
        return logging.LoggerAdapter(
            logging.getLogger(f"flockd.agent.{self.agent}"),
            {"run_id": self.run_id, "correlation_id": self.correlation_id},
        )

    def progress(self, fraction: float, phase: str | None = None, message: str | None = None) -> None:
        """Say how far the run is (0..1). At most one a second is kept per run, the last always."""
        self._on_progress(min(max(float(fraction), 0.0), 1.0), phase, message)

    def write(self, text: str) -> None:
        """Live output: reaches subscribers at once as `run.output`; the end of it is kept on the run."""
        self._on_write(text)

    async def query(
        self, type: str | None = None, where: str | None = None, limit: int = 50, scope: Scope = "correlation"
    ) -> list[Artifact]:
        """The newest artifacts that this agent may see, oldest of them first.

        `where` is a JMESPath-subset predicate over the payload; `scope="board"` looks beyond this correlation.
        """
        return await self._query(type, where, limit, scope)


class Engine(Protocol):
    """Turns the inputs of one run into its outputs."""

    kind: str
    """function, llm, http, …: shown with the agent."""

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """Inputs are the validated values in the order of the agent's types (one value where its mode is any).

        Whatever it raises is the run's failure. When its task is cancelled it stops as soon as it can.
        """
        ...


class Threads(Protocol):
    """Where an engine that blocks puts its work: one thread per run, which the supervisor accounts for."""

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        """Run `work` in a thread of its own and await its result.

        A thread cannot be killed: when the waiting task is cancelled the thread goes on, its result is refused, and
        its agent's slot stays taken until it ends.
        """
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the daemon, for what the thread must ask of it."""
        ...
