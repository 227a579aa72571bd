"""Threads for engines that block: daemon threads of the run's own, never the default executor.

The default executor also resolves names, and is joined at exit: one blocked agent would hold up both.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any


class RunThreads:
    """The threads of one run, if its engine asked for any: one for a function, one for each tool that blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running = 0
        self.ended: asyncio.Future[None] | None = None
        """Done when all that were started have ended, whatever became of the run; None where there was none."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def alive(self) -> bool:
        return self._running > 0

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        """Run `work` in a thread of its own and await its result; cancelling the waiter does not stop the thread.

        Raises RuntimeError where the system has no thread to give.
        """
        loop = self._loop
        result: asyncio.Future[Any] = loop.create_future()
        ended = loop.create_future() if self.ended is None or self.ended.done() else self.ended
        context = contextvars.copy_context()

        def settle(value: Any, error: BaseException | None) -> None:
            self._running -= 1
            if not self._running:
                ended.set_result(None)
            if result.done():
                return
            if error is None:
                result.set_result(value)
            elif isinstance(error, Exception) and not isinstance(error, StopIteration):
                result.set_exception(error)
            else:  # what a future cannot carry, or what would end the loop: SystemExit
                result.set_exception(RuntimeError(f"the agent raised {error!r}"))

        def run() -> None:
            value, error = None, None
            try:
                value = context.run(work)
            except BaseException as raised:  # handed to the waiter, whatever it is
                error = raised
            with suppress(RuntimeError):  # the daemon has ended meanwhile: the late result is refused
                loop.call_soon_threadsafe(settle, value, error)

        threading.Thread(target=run, name=name, daemon=True).start()
        self._running += 1  # not for one that the system refused; it settles on the loop, so after this
        self.ended = ended
        return result
