"""The engine of agents that are Python functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from enum import Enum
from typing import Any

from flockd.engines.base import Context, Output, Threads
from flockd.engines.blocking import BlockingContext
from flockd.engines.fan_out import FanOut
from flockd.errors import AgentFailed


class Calling(Enum):
    """How a function is called, and so where it runs."""

    coroutine = "async def"
    """Awaited on the loop."""
    async_generator = "async def with yield"
    """Iterated on the loop."""
    plain = "def"
    """Called in a thread."""
    generator = "def with yield"
    """Called and iterated in a thread."""


def calling_of(function: Callable[..., Any]) -> Calling:
    """How `function` is called; a plain wrapper (`functools.wraps`) of an `async def` as what it wraps."""
    for layer in (function, inspect.unwrap(function)):
        if inspect.iscoroutinefunction(layer):
            return Calling.coroutine
        if inspect.isasyncgenfunction(layer):
            return Calling.async_generator
    return Calling.generator if inspect.isgeneratorfunction(inspect.unwrap(function)) else Calling.plain


class FunctionEngine:
    """Calls a function with the inputs of a run and takes what it returns or yields as artifacts.

    An `async def` runs on the loop; a plain `def` in a thread of its own, with a `BlockingContext`. A result
    is one value, None, or a list or tuple of results; a generator yields results.
    """

    kind = "function"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        parameters: Sequence[str],
        context: str | None,
        outputs: Mapping[str, Any],
        is_batch: bool = False,
        fan_out: FanOut | None = None,
        lists: Sequence[tuple[str, ...]] = (),
    ) -> None:
        """`parameters` take the inputs, in their order (for a batch: one takes the list), and `context` the Context.

        `outputs` maps artifact types to classes, to None for one of plain data (a JSON Schema). A returned
        dict is taken to be of that type, or of the only one. `fan_out` bounds how many artifacts there are of
        the types of each of `lists`.
        """
        self.function = function
        self._is_batch = is_batch
        self._fan_out = fan_out
        self._lists = tuple(lists)
        self._calling = calling_of(function)
        self._parameters = tuple(parameters)
        self._context = context
        self._published = tuple(outputs)
        self._name_by_class = {model: name for name, model in outputs.items() if model is not None}
        plain = (
            [name for name, model in outputs.items() if model is None] if len(outputs) > 1 else list(outputs)
        )
        self._plain = plain[0] if len(plain) == 1 else None

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """The outputs of one call. Raises AgentFailed for a value that the agent does not publish, or too many."""
        taken = (list(inputs),) if self._is_batch else inputs
        arguments: dict[str, Any] = dict(zip(self._parameters, taken, strict=True))
        if self._calling in (Calling.plain, Calling.generator):
            result = await self._run_in_thread(arguments, context, threads)
        else:
            result = await self._run_on_loop(arguments, context)
        outputs = list(self._outputs(result, context.agent))
        if self._fan_out is not None:
            self._fan_out.check(context.agent, outputs, self._lists)
        return outputs

    async def _run_on_loop(self, arguments: dict[str, Any], context: Context) -> Any:
        if self._context is not None:
            arguments[self._context] = context
        if self._calling is Calling.coroutine:
            return await self.function(**arguments)
        async with aclosing(self.function(**arguments)) as generator:
            return [value async for value in generator]

    async def _run_in_thread(self, arguments: dict[str, Any], context: Context, threads: Threads) -> Any:
        blocking = BlockingContext(context, threads.loop)
        if self._context is not None:
            arguments[self._context] = blocking

        def work() -> Any:
            try:
                result = self.function(**arguments)
                return result if self._calling is Calling.plain else list(_until_over(result, blocking))
            except StopIteration as stop:  # no future can carry it
                raise RuntimeError(f"agent {context.agent} raised StopIteration") from stop

        try:
            return await threads.start(work, f"{context.agent} {context.run_id}")
        finally:
            blocking.end()

    def _outputs(self, result: Any, agent: str) -> Iterator[Output]:
        if result is None:
            return
        for cls in type(result).__mro__:
            if name := self._name_by_class.get(cls):
                yield Output(name, result)
                return
        if isinstance(result, dict) and self._plain is not None:
            yield Output(self._plain, result)
        elif isinstance(result, (list, tuple)):
            for value in result:
                yield from self._outputs(value, agent)
        else:
            raise AgentFailed(self._refusal(result, agent))

    def _refusal(self, result: Any, agent: str) -> str:
        returned = type(result).__name__
        if isinstance(result, dict) and self._published:
            return (
                f"agent {agent} returned a dict, which does not say whether it is "
                f"{' or '.join(self._published)}: "
                "return an instance"
            )
        declared = f"it publishes {', '.join(self._published)}" if self._published else "it publishes nothing"
        return (
            f"agent {agent} returned {returned}, which it does not publish: "
            f"declare it in the return annotation or in publishes= ({declared})"
        )


def _until_over(generator: Iterable[Any], context: BlockingContext) -> Iterator[Any]:
    for value in generator:
        context.check()
        yield value
