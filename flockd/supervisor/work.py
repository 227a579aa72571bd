"""One run at work: its engine's task, its timeout, its live text and its progress."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson

from flockd.domain.agent import Agent
from flockd.domain.event import Event, EventKind
from flockd.domain.moment import now_ms
from flockd.domain.run import Run
from flockd.supervisor.calls import Calls
from flockd.supervisor.threads import RunThreads

PROGRESS_SECONDS = 1.0
"""At most one stored progress per run in this time; the last one always."""

_PROGRESS_CHARACTERS = 1000
"""Of a phase or a message; more is not progress but output."""
STUBBORN_SECONDS = 5.0
"""How long an engine may ignore its cancelling before the daemon goes on without it."""


def storable(text: str) -> str:
    """The text without lone surrogates, which neither JSON nor the store can hold."""
    return text.encode(errors="replace").decode()


def _said(text: object) -> str | None:
    """What an agent says of its progress, as something that can be stored."""
    return None if text is None else storable(str(text)[:_PROGRESS_CHARACTERS])


class Work:
    """What the supervisor holds for a run that was claimed here."""

    def __init__(
        self,
        run: Run,
        agent: Agent,
        *,
        calls: Calls,
        loop: asyncio.AbstractEventLoop,
        text_bytes: int,
        tell_live: Callable[[Event], None],
        store_progress: Callable[[Run, float, str | None, str | None], Any],
        on_stubborn: Callable[[Work], None],
    ) -> None:
        self.run = run
        self.agent = agent
        self.calls = calls
        """Of language models."""
        self.threads = RunThreads(loop)
        self.task: asyncio.Task[None] | None = None
        self.timed_out = False
        self.cancelled = False
        """Somebody ended the run: whatever the engine does now is refused."""
        self.returning = False
        """The daemon is ending: the run goes back to the queue."""
        self.parked = False
        """The run waits for an answer: whatever the engine does now is refused."""
        self.entered = False
        """Its task has begun. One that is cancelled before never runs, not even to give its place back."""
        self.recording = False
        """The engine has ended and its outcome is on its way to the board: too late to cancel."""
        self.began = loop.time()
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._text_bytes = text_bytes
        self._tell_live = tell_live
        self._store_progress = store_progress
        self._on_stubborn = on_stubborn
        self._text: list[str] = []
        self._text_length = 0
        self._offset = 0
        self._progress: tuple[float, str | None, str | None] | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._progress_stored_at = float("-inf")

    # -- what the agent says --------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Live text: to the subscribers at once, its end kept. From any thread, as `progress`."""
        if threading.get_ident() != self._loop_thread:
            self._loop.call_soon_threadsafe(self.write, text)
            return
        if self.recording or self.cancelled or not text:
            return
        text = storable(text)
        run = self.run
        data = {"text": text, "offset": self._offset, "attempt": run.attempt, "fence": run.fence}
        self._offset += len(text)
        self._text.append(text)
        self._text_length += len(text)
        if self._text_length > 2 * self._text_bytes:
            self._text = [self.text() or ""]
            self._text_length = len(self._text[0])
        self._tell_live(
            Event(
                0,
                EventKind.run_output,
                now_ms(),
                run.correlation_id,
                run.agent,
                run.id,
                orjson.dumps(data),
                tenant=run.tenant,
            )
        )

    def text(self) -> str | None:
        """The end of what it wrote, at most the limit in UTF-8 bytes; None where it wrote nothing."""
        if not self._text:
            return None
        return "".join(self._text).encode()[-self._text_bytes :].decode(errors="ignore")

    def progress(self, fraction: float, phase: str | None, message: str | None) -> None:
        """How far it is; stored now, or with the next one that is."""
        if threading.get_ident() != self._loop_thread:
            self._loop.call_soon_threadsafe(self.progress, fraction, phase, message)
            return
        if self.recording or self.cancelled:
            return
        self._progress = (fraction, _said(phase), _said(message))
        wait = self._progress_stored_at + PROGRESS_SECONDS - self._loop.time()
        if wait <= 0:
            self.flush_progress()
        elif self._progress_timer is None:
            self._progress_timer = self._loop.call_later(wait, self.flush_progress)

    def flush_progress(self) -> None:
        """Store the latest progress, if it is not stored yet."""
        if self._progress_timer is not None:
            self._progress_timer.cancel()
            self._progress_timer = None
        if self._progress is not None:
            self._progress_stored_at = self._loop.time()
            self._store_progress(self.run, *self._progress)
            self._progress = None

    @property
    def is_stopped(self) -> bool:
        """Its engine was told to end, whether or not it listens."""
        return self.cancelled or self.returning or self.timed_out or self.parked

    # -- how it is ended ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Cancel the engine, unless it has not begun (it will see why it should not) or has ended already."""
        if self.task is not None and self.entered and not self.recording:
            self.task.cancel()

    def park(self) -> None:
        """The run waits for an answer, for which it needs no engine."""
        self.parked = True
        self.stop()

    def time_out(self) -> None:
        """Its time is over: cancel the engine, and do not wait for ever until it obeys."""
        self.timed_out = True
        self.stop()
        self._loop.call_later(STUBBORN_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if not self.recording and not self.cancelled:
            self._on_stubborn(self)
