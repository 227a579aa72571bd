"""The Context of a plain `def`, which runs in a thread and blocks where a coroutine awaits."""

from __future__ import annotations

import asyncio
from typing import Any

from flockd.domain.artifact import Artifact
from flockd.engines.base import Context, Scope


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
        )
        self._loop = loop
        self._over = False

    def query(  # type: ignore[override]  # the same question, answered without await
        self, type: str | None = None, where: str | None = None, limit: int = 50, scope: Scope = "correlation"
    ) -> list[Artifact]:
        """As Context.query, but the answer itself: it blocks this thread, never the daemon."""
        self.check()
        return asyncio.run_coroutine_threadsafe(super().query(type, where, limit, scope), self._loop).result()

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
