"""The clock of a board under test: time passes when it is told to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime

from flockd.domain.moment import now_ms, parse_iso


class Clock:
    """Milliseconds since the epoch; stands still between two moves.

    What sleeps in the event loop (`asyncio.sleep`, timeouts) sees the same time pass, where the loop lets its clock be
    moved: asyncio's own does, uvloop does not. A loop's clock never goes back, so it stays moved.
    """

    def __init__(self, now: datetime | str | None = None) -> None:
        """Stands at `now` (a text is ISO 8601; what is naive is UTC); without it, at the present. Raises ValueError."""
        if now is None:
            self.now = now_ms()
        else:
            self.now = parse_iso(now if isinstance(now, str) else now.isoformat())

    def __call__(self) -> int:
        return self.now

    @property
    def moment(self) -> datetime:
        """Where it stands, in UTC."""
        return datetime.fromtimestamp(self.now / 1000, UTC)

    def move_to(self, moment: int) -> None:
        """Let time pass until then, and for the running loop as much of it; never back."""
        passed, self.now = moment - self.now, max(moment, self.now)
        if passed > 0:
            _move_loop(asyncio.get_running_loop(), passed / 1000)


class _Ahead:
    """The clock of a loop, some seconds ahead of what it was."""

    def __init__(self, told: Callable[[], float]) -> None:
        self._told = told
        self.seconds = 0.0

    def __call__(self) -> float:
        return self._told() + self.seconds


def _move_loop(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    ahead = loop.time if isinstance(loop.time, _Ahead) else _Ahead(loop.time)
    try:
        loop.time = ahead  # type: ignore[method-assign]
    except AttributeError:  # a loop that is not written in Python
        return
    ahead.seconds += seconds
    if loop.get_debug() and loop.slow_callback_duration != math.inf:
        # It would say that the callback that does this took so long.
        loop.call_soon(setattr, loop, "slow_callback_duration", loop.slow_callback_duration)
        loop.slow_callback_duration = math.inf
