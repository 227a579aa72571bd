"""What an engine is, and the Context that user code gets from it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, get_args

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.duration import seconds
from flockd.engines.memory import (
    NO_DEFAULT,
    Asked,
    Forgetful,
    Memory,
    QuestionExpired,
    offered,
    read,
    result_shape,
    shape_of,
    written,
)
from flockd.engines.outside import Outside
from flockd.errors import InvalidInput

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
        memory: Memory | None = None,
        outside: Outside | None = None,
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
        self.memory: Memory = memory or Forgetful()
        """What the daemon keeps of this run; for engines."""
        self.outside = outside or Outside()
        """What engines reach beyond the daemon with; for engines."""
        self.within = ""
        """What the names of steps and the keys of questions belong to, if not to the whole run: a call of a tool. For
        engines."""
        self.asking: Asking = _at_once
        """Asks a question, which may end the attempt; for engines that do several things at once."""

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
        if not isinstance(text, str):
            raise TypeError(f"write takes text, not {text!r}")
        self._on_write(text)

    async def query(
        self, type: str | None = None, where: str | None = None, limit: int = 50, scope: Scope = "correlation"
    ) -> list[Artifact]:
        """The newest artifacts that this agent may see, oldest of them first.

        `where` is a JMESPath-subset predicate over the payload; `scope="board"` looks beyond this correlation. Raises
        ValueError for a predicate that is none, and for a type that there is not.
        """
        given: tuple[tuple[str, object, str], ...] = (
            ("type", type, '"Order"'),
            ("where", where, "\"status == 'open'\""),
        )
        for name, value, example in given:
            if not (value is None or isinstance(value, str)):
                raise TypeError(f"query: {name} is {value!r}: give it a text, such as {example}")
        if scope not in get_args(Scope):
            raise ValueError(f"query: scope is {scope!r}: give it correlation (its own workflow) or board")
        return await self._query(type, where, limit, scope)

    async def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        type: Any = None,
        **named: Any,
    ) -> Any:
        """Do something once: call (and await) `function`, record its result, and return it.

        When the run starts again, after a failure, a restart of the daemon or an answer, a recorded step is not
        repeated: the recorded value is returned. It is read by `type`, or by the function's return annotation. Between
        the effect and its record there is a gap; a function with a parameter `idempotency_key` gets one to pass on.

        Raises ValueError for a name that this attempt has used, TypeError for a value that JSON cannot hold,
        RunSuperseded where another attempt has the run.
        """
        shape = result_shape(function) if type is None else shape_of(type)
        recorded = await self.memory.recall(self._full(name))
        if recorded is None:
            value = function(*arguments, **offered(function, self.step_key(name), named))
            recorded = written(name, shape, await value if inspect.isawaitable(value) else value)
            await self.memory.record(self._full(name), recorded)
        return read(f"the step {name!r}", shape, recorded)

    def step_key(self, name: str) -> str:
        """The same for every attempt at a step, and no other's: an idempotency key for what it calls."""
        return f"{self.run_id}/{self._full(name)}"

    async def ask(
        self,
        text: str,
        *,
        type: Any = str,
        key: str | None = None,
        timeout: str | float | timedelta | None = None,
        default: Any = NO_DEFAULT,
    ) -> Any:
        """Ask a person, and wait for the answer without holding anything; it is validated as `type`.

        The run is parked: when the answer is there, the function starts again from its top, and this returns it. So
        effects before a question belong into steps. `key` says which question this is (without it, the name of
        the type). Past `timeout` it returns `default`, or raises QuestionExpired where there is none. Raises
        ValueError for a key that this attempt has used.
        """
        shape = shape_of(type)
        key = key or shape.name
        asked = await self._put(key, text, shape, timeout)
        if asked is None:
            await asyncio.get_running_loop().create_future()  # the run's task has been cancelled
        return answer_of(asked, key, shape, default)

    async def _put(
        self, key: str, text: str, shape: ArtifactType, timeout: str | float | timedelta | None
    ) -> Asked | None:
        """Ask; None where the run is parked by that."""
        schema, limit = orjson.dumps(shape.schema), None if timeout is None else seconds(timeout)
        return await self.asking(lambda: self.memory.ask(self._full(key), text, schema, limit))

    def _full(self, name: str) -> str:
        """The name of a step or the key of a question, as the run knows it."""
        return f"{self.within}:{name}" if self.within else name


Asking = Callable[[Callable[[], Awaitable[Asked | None]]], Awaitable[Asked | None]]
"""Awaits what asks a question when it may be asked, and gives what that gives."""


async def _at_once(ask: Callable[[], Awaitable[Asked | None]]) -> Asked | None:
    return await ask()


def answer_of(asked: Asked | None, key: str, shape: ArtifactType, default: Any) -> Any:
    """What asking returns. Raises QuestionExpired, and TypeError for what only validators in Python refuse.

    The daemon takes an answer by its JSON Schema: it may be another process than the one that asked, and hold no type.
    """
    assert asked is not None, "a parked run does not go on"
    if asked.answer is not None:
        try:
            return shape.parse(asked.answer)
        except InvalidInput as invalid:
            raise TypeError(
                f"the answer to the question {key!r} fits the JSON Schema of {shape.name}, but {shape.name} "
                f"refuses it: {invalid.message}"
            ) from None
    if default is NO_DEFAULT:
        raise QuestionExpired(f"nobody answered the question {key!r} in time")
    return default


class Engine(Protocol):
    """Turns the inputs of one run into its outputs."""

    kind: str
    """function, llm, http, …: shown with the agent."""

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """Inputs are the validated values in the order of the agent's types (one value where its mode is any; for a
        batch, all that it holds).

        Whatever it raises is the run's failure. When its task is cancelled it stops as soon as it can.
        """
        ...


class Threads(Protocol):
    """Where an engine that blocks puts its work: threads of its own for each run, which the supervisor accounts for."""

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
