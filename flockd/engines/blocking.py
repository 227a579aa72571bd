"""The Context of a plain `def`, which runs in a thread and blocks where a coroutine awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from flockd.domain.artifact import Artifact
from flockd.engines.base import Context, Scope, answer_of
from flockd.engines.memory import NO_DEFAULT, RunParked, offered, read, result_shape, shape_of, written

T = TypeVar("T")


class BlockingContext(Context):
    """A Context for one thread: `query` blocks until the answer is there; `progress` and `write` never block.

    A thread cannot be killed. Once its run is over without it (a timeout, a cancellation), each of these
    calls raises RuntimeError, so that a thread which reports also ends soon.
    """

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            agent=context.agent,
            correlation_id=context.correlation_id,
            run_id=context.run_id,
            attempt=context.attempt,
            inputs=context.inputs,
            on_progress=lambda *told: self._tell(context.progress, *told),
            on_write=lambda text: self._tell(context.write, text),
            query=context.query,
            memory=context.memory,
        )
        self.within = context.within
        self.asking = context.asking
        self._loop = loop
        self._over = False

    def query(  # type: ignore[override]  # the same question, answered without await
        self, type: str | None = None, where: str | None = None, limit: int = 50, scope: Scope = "correlation"
    ) -> list[Artifact]:
        """As Context.query, but the answer itself: it blocks this thread, never the daemon."""
        self.check()
        return self._wait(super().query(type, where, limit, scope))

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        type: Any = None,
        **named: Any,
    ) -> Any:
        """As Context.step, but the result itself: `function` is a plain one and runs in this thread."""
        self.check()
        shape = result_shape(function) if type is None else shape_of(type)
        recorded = self._wait(self.memory.recall(self._full(name)))
        if recorded is None:
            value = function(*arguments, **offered(function, self.step_key(name), named))
            recorded = written(name, shape, value)
            self.check()
            self._wait(self.memory.record(self._full(name), recorded))
        return read(f"the step {name!r}", shape, recorded)

    def ask(
        self,
        text: str,
        *,
        type: Any = str,
        key: str | None = None,
        timeout: str | float | timedelta | None = None,
        default: Any = NO_DEFAULT,
    ) -> Any:
        """As Context.ask, but the answer itself: until it is there, this thread ends."""
        self.check()
        shape = shape_of(type)
        key = key or shape.name
        asked = self._wait(self._put(key, text, shape, timeout))
        if asked is None:
            raise RunParked
        return answer_of(asked, key, shape, default)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def check(self) -> None:
        """Raise RuntimeError if the run is over: for long work that neither reports nor queries."""
        if self._over:
            raise RuntimeError(
                f"the run {self.run_id} of agent {self.agent} is over: its thread has nothing left to do"
            )

    def end(self) -> None:
        """The run is over: what its thread still says is refused. Called on the loop."""
        self._over = True

    def _tell(self, call: Any, *told: Any) -> None:
        self.check()
        self._loop.call_soon_threadsafe(self._tell_if_open, call, *told)

    def _tell_if_open(self, call: Any, *told: Any) -> None:
        if not self._over:
            call(*told)
