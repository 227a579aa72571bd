"""The calls of language models that one attempt makes: begun before they are sent, settled whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from flockd.board.board import Board
from flockd.board.usage import EndCall
from flockd.domain.budget import Shortage
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.usage import Call, Most, Usage
from flockd.engines.memory import RunSuperseded
from flockd.errors import BudgetExceeded, Unavailable

_STORE_RETRY_SECONDS = 0.5
"""How long what could not be stored waits before it is tried again."""

Chore = Callable[[Coroutine[Any, Any, bool], str], "asyncio.Task[bool]"]
"""Begins a piece of work that the supervisor keeps, and waits for before it ends."""


class _Open(NamedTuple):
    """A call that is not over."""

    call: Call
    is_reserved: bool


class Calls:
    """Of one run, as long as one attempt works on it.

    A call for which no budget counts has nothing to reserve, and is stored when it ends: one commit instead of two. One
    that was in flight when the process died is in no sum: nobody knows what it took, and no budget asks. A call for
    which a budget counts is stored when it begins, and the next start charges what it reserved.
    """

    def __init__(self, board: Board, run: Run, *, chore: Chore, clock: Callable[[], int]) -> None:
        self._board = board
        self._run = run
        self._chore = chore
        self._clock = clock
        self._open: dict[str, _Open] = {}

    async def begin(self, model: str, most: Most) -> str:
        """See `flockd.engines.memory.Memory.begin_call`."""
        run = self._run
        call = Call(
            new_id(),
            run.id,
            run.correlation_id,
            run.agent,
            run.tenant,
            model,
            most.plausible,
            began_at=self._clock(),
        )
        is_reserved = bool(self._board.budgets.counting(run.agent, run.tenant))
        self._open[call.id] = _Open(call, is_reserved)
        if is_reserved:
            try:
                await self._reserve(call)
            except BaseException:
                self._open.pop(call.id, None)
                raise
        return call.id

    async def _reserve(self, call: Call) -> None:
        while True:
            try:
                begun = await self._board.begin_call(self._run, call.id, call.model, call.most)
                break
            except asyncio.CancelledError:  # it may be stored all the same, and is never sent
                self._settle_later(self._ended(_Open(call, True), Usage()))
                raise
            except Unavailable:  # the disk is full: the run's own time limit says how long it waits
                await asyncio.sleep(_STORE_RETRY_SECONDS)
        if isinstance(begun, Shortage):
            raise BudgetExceeded(begun.sentence, details=begun.data)
        if not begun:
            raise RunSuperseded

    async def end(self, call_id: str, usage: Usage | None, step: tuple[str, bytes] | None) -> None:
        """See `flockd.engines.memory.Memory.end_call`. A call that is over stays as it is."""
        is_open = self._open.pop(call_id, None)
        if is_open is None:
            return
        ended = self._ended(is_open, usage, step)
        try:
            settling = self._board.end_call(ended)
        except Unavailable:  # the writer has closed: the next start charges what was reserved
            raise RunSuperseded from None
        try:
            stored = await asyncio.shield(settling)
        except asyncio.CancelledError:
            self._settle_later(ended, settling)
            raise
        except Unavailable:
            stored = await asyncio.shield(self._settle_later(ended))
        if not stored:
            raise RunSuperseded

    def close(self) -> None:
        """The attempt is over: what it left open is charged what it might have taken."""
        for is_open in self._open.values():
            self._settle_later(self._ended(is_open, None))
        self._open.clear()

    def _ended(self, is_open: _Open, usage: Usage | None, step: tuple[str, bytes] | None = None) -> EndCall:
        run, call = self._run, is_open.call
        ms = max(0, self._clock() - call.began_at)
        return EndCall(run.id, run.correlation_id, run.fence, call, is_open.is_reserved, usage, ms, step)

    def _settle_later(
        self, ended: EndCall, settling: asyncio.Future[Any] | None = None
    ) -> asyncio.Task[bool]:
        return self._chore(self._settle(ended, settling), f"settle a call of run {self._run.id}")

    async def _settle(self, ended: EndCall, settling: asyncio.Future[Any] | None) -> bool:
        """Store it, however long the store cannot write. Answers whether its step, if it has one, was kept."""
        while True:
            try:
                settling = settling or self._board.end_call(ended)
            except Unavailable:  # as above
                return False
            try:
                stored: bool = await settling
                return stored
            except Unavailable:
                settling = None
                await asyncio.sleep(_STORE_RETRY_SECONDS)
