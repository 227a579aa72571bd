"""The calls of tools that are at work at the same time in one attempt, and what would cut them off.

A model calls several tools in one answer. A call that asks a person parks the run, and one that ends the attempt makes
pydantic-ai cancel the others: both would throw away what a call beside it has done and not recorded yet, and the next
attempt would do that again. So what has begun ends first, and nothing begins meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from flockd.engines.memory import Asked

Call = asyncio.Future[None]
"""Done when the call is over."""


class Beside:
    """The calls of one attempt. Only used on the loop."""

    def __init__(self) -> None:
        self._at_work: set[Call] = set()
        """But for those that wait for the others: of two that do, the later one is not waited for by both."""
        self._alone = 0
        """How many wait for the others, or ask just now."""
        self._may_begin = asyncio.Event()
        self._may_begin.set()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Call]:
        """Around a call, from before its first effect until its outcome is recorded. Waits while another asks."""
        await self._may_begin.wait()
        call: Call = asyncio.get_running_loop().create_future()
        self._at_work.add(call)
        try:
            yield call
        finally:
            self._at_work.discard(call)
            call.set_result(None)

    async def ask(self, call: Call, ask: Callable[[], Awaitable[Asked | None]]) -> Asked | None:
        """Ask a question of this call when the others have ended. Where that parks the run, none begins any more."""
        try:
            await self.last(call)
            asked = await ask()
        except BaseException:  # an author may give up a question, as by asyncio.timeout
            self._go_on(call)
            raise
        if asked is not None:
            self._go_on(call)
        return asked

    async def last(self, call: Call) -> None:
        """The attempt ends with this call: wait until the others have ended. None begins any more."""
        self._alone += 1
        self._may_begin.clear()
        self._at_work.discard(call)
        if self._at_work:
            await asyncio.wait(self._at_work)

    def _go_on(self, call: Call) -> None:
        """It was not the last one."""
        self._at_work.add(call)
        self._alone -= 1
        if not self._alone:
            self._may_begin.set()
