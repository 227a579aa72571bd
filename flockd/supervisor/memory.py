"""What one attempt knows of what its run has settled, and how it settles more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flockd.board.board import Board
from flockd.domain.question import Question, QuestionState
from flockd.domain.usage import Most, Usage
from flockd.engines.memory import Asked, RunSuperseded, StepTooLarge
from flockd.errors import Unavailable
from flockd.supervisor.work import Work, storable

_STORE_RETRY_SECONDS = 0.5
"""How long what could not be stored waits before it is tried again."""
_NAME_CHARACTERS = 200
_TEXT_CHARACTERS = 10_000


class RunMemory:
    """The memory of a run that works here; see `flockd.engines.memory.Memory`."""

    def __init__(self, board: Board, work: Work, *, value_bytes: int) -> None:
        self._board = board
        self._work = work
        self._value_bytes = value_bytes
        self._names: set[str] = set()
        self._keys: set[str] = set()
        self._steps: dict[str, bytes] | None = None
        self._questions: dict[str, Question] | None = None
        if work.run.fence == 1:  # claimed for the first time: nothing is settled
            self._steps, self._questions = {}, {}

    async def recall(self, name: str) -> bytes | None:
        _use(self._names, name, "step")
        if self._steps is None:
            self._steps = await self._board.reads.steps(self._work.run.id)
        return self._steps.get(name)

    async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
        self._check_size(name, value)
        await self._store(lambda: self._board.record_step(self._work.run, name, value, tool))

    async def tell_tool(self, data: bytes) -> None:
        await self._store(lambda: self._board.tell_tool(self._work.run, data))

    async def _store(self, verb: Callable[[], Awaitable[bool]]) -> None:
        """Once there is room: a disk that is full is no failure of the run. Raises RunSuperseded."""
        while True:
            try:
                stored = await verb()
                break
            except Unavailable:
                if self._work.is_stopped:  # nobody wants it any more, and the writer may have closed for good
                    raise RunSuperseded from None
                await asyncio.sleep(_STORE_RETRY_SECONDS)
        if not stored:
            raise RunSuperseded

    async def begin_call(self, model: str, most: Most) -> str:
        return await self._work.calls.begin(model, most)

    async def end_call(
        self, call_id: str, usage: Usage | None, *, step: tuple[str, bytes] | None = None
    ) -> None:
        try:
            if step is not None:
                self._check_size(*step)
        except ValueError:
            await self._work.calls.end(call_id, usage, None)
            raise
        await self._work.calls.end(call_id, usage, step)

    def _check_size(self, name: str, value: bytes) -> None:
        if len(value) > self._value_bytes:
            raise StepTooLarge(
                f"the step {name!r} returned {len(value)} bytes; limits.output_bytes is {self._value_bytes}"
            )

    async def ask(self, key: str, text: str, schema: bytes, timeout_seconds: float | None) -> Asked | None:
        if not isinstance(text, str):
            raise TypeError(f"a question is a text, not {text!r}")
        _use(self._keys, key, "question")
        run = self._work.run
        if self._questions is None:
            self._questions = await self._board.reads.questions_of(run.id)
        known = self._questions.get(key)
        if known is not None and known.state is QuestionState.answered:
            return Asked(known.answer)
        if known is not None and known.state is QuestionState.expired and known.attempt == run.attempt:
            return Asked(None)
        timeout_ms = None if timeout_seconds is None else int(timeout_seconds * 1000)
        said = storable(text[:_TEXT_CHARACTERS])
        await self._store(lambda: self._board.ask(run, key, said, schema, timeout_ms))
        self._work.park()
        return None


def _use(used: set[str], name: str, what: str) -> None:
    """Each name once in an attempt: two steps of one name would share one result."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is a text, not {name!r}")
    if not 0 < len(name) <= _NAME_CHARACTERS:
        raise ValueError(f"the name of a {what} has 1 to {_NAME_CHARACTERS} characters")
    if name in used:
        raise ValueError(f"the {what} {name!r} was used twice in one attempt: give each a name of its own")
    used.add(name)
