"""The loop's watchdog: an `async def` that computes stops everything, so its stack is logged while it does."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.1


class Watchdog:
    """An async context manager. A thread looks whether the loop still beats; the lag of each beat is observed."""

    def __init__(self, limit_seconds: float, observe: Callable[[float], None]) -> None:
        self._limit = limit_seconds
        self._observe = observe
        self._stop = threading.Event()
        self._beat_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Watchdog:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._beat_at = time.monotonic()
        self._handle = self._loop.call_later(_BEAT_SECONDS, self._beat)
        self._thread = threading.Thread(target=self._watch, name="flockd-watchdog", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._stop.set()
        self._thread.join()  # at once: it only waited. Agents may hold all threads of the default executor

    def _beat(self) -> None:
        now = time.monotonic()
        self._observe(max(0.0, now - self._beat_at - _BEAT_SECONDS))
        self._beat_at = now
        self._handle = self._loop.call_later(_BEAT_SECONDS, self._beat)

    def _watch(self) -> None:
        """In the thread: one warning per stall, with what holds the loop."""
        warned_at = 0.0
        while not self._stop.wait(self._limit / 2):
            beat_at = self._beat_at
            held = time.monotonic() - beat_at - _BEAT_SECONDS
            if held > self._limit and beat_at != warned_at:
                warned_at = beat_at
                frame = sys._current_frames().get(self._loop_thread)
                task = asyncio.current_task(self._loop)
                log.warning(
                    "the loop has been held for %.0f ms by %s:\n%s",
                    held * 1000,
                    task.get_name() if task else "a callback",
                    "".join(traceback.format_stack(frame)) if frame else "",
                )
