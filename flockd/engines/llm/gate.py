"""The gate of one model: how many requests are at it at once, how often it is asked, and when it asked for a rest."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import NamedTuple

from flockd.domain.rate import Rate


class _Waiting(NamedTuple):
    """One who waits; the lowest ticket is the next."""

    ticket: int
    admitted: asyncio.Future[float]
    """When it was let in, in the loop's time."""


class Gate:
    """Lets requests in by the order of their tickets. Only used on the loop.

    Nobody polls: whoever leaves lets the next one in, and a timer does where only time is missing.
    """

    def __init__(self, concurrency: int, rate: Rate | None = None) -> None:
        self._concurrency = concurrency
        self._rate = rate
        self._inside = 0
        self._waiting: list[_Waiting] = []
        self._starts: deque[float] = deque(maxlen=None if rate is None else rate.starts)
        """When the last requests were let in, in the loop's time; as many as the rate counts."""
        self._rests_until = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._tickets = count()

    def ticket(self) -> int:
        """A place in the order. A request that is sent again keeps its own."""
        return next(self._tickets)

    @asynccontextmanager
    async def entered(self, ticket: int) -> AsyncIterator[float]:
        """Waits for its turn, and lets the next one in when it is left. May be cancelled at any time.

        Gives its start, which counts for the rate: to be given back by who sends nothing after all.
        """
        start = await self._enter(ticket)
        try:
            yield start
        finally:
            self._leave()

    def give_back(self, start: float) -> None:
        """Nothing was sent: somebody else may. To be called before the gate is left."""
        with suppress(ValueError):  # so long ago that it counts no more
            self._starts.remove(start)

    def rest(self, seconds: float) -> None:
        """Nobody else is let in for so long; a shorter rest does not end a longer one."""
        until = asyncio.get_running_loop().time() + seconds
        self._rests_until = max(self._rests_until, until)

    async def _enter(self, ticket: int) -> float:
        waiting = _Waiting(ticket, asyncio.get_running_loop().create_future())
        insort(self._waiting, waiting, key=lambda one: one.ticket)
        self._admit()
        try:
            return await waiting.admitted
        except asyncio.CancelledError:
            if waiting.admitted.cancelled():
                self._waiting = [one for one in self._waiting if one is not waiting]
                self._admit()
            else:  # let in at the moment of its cancelling
                self.give_back(waiting.admitted.result())
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        """Let in whoever may be, and wake up when time alone will let in the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting and self._inside < self._concurrency:
            now = loop.time()
            if self._opens_at > now:
                self._timer = loop.call_at(self._opens_at, self._admit)
                return
            admitted = self._waiting.pop(0).admitted
            if admitted.done():  # cancelled, and about to say so
                continue
            self._inside += 1
            if self._rate is not None:
                self._starts.append(now)
            admitted.set_result(now)

    @property
    def _opens_at(self) -> float:
        """When the next one may be let in, were there room."""
        if self._rate is None or len(self._starts) < self._rate.starts:
            return self._rests_until
        return max(self._rests_until, self._starts[0] + self._rate.period_ms / 1000)
