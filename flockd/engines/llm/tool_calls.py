"""The calls of tools in one attempt of a run: each a step that is logged with its event, and what failed told.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from flockd.engines.base import Context
from flockd.engines.llm.failures import without_secrets
from flockd.engines.llm.tool_event import tool_called
from flockd.engines.memory import RunSuperseded
from flockd.errors import AgentFailed, BudgetExceeded

FAILED_ROUNDS = 3
"""Answers of the model, one after the other, in which a tool may fail; with the next one the run fails."""

_ERROR_CHARACTERS = 1000
"""What is told of an error, to the model and in the event."""


class ToolFailure(Exception):
    """A call failed. The message is a sentence for the model, which may do otherwise."""


class ToolCalls:
    """Makes the calls of one attempt, each at most once in all attempts of its run."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: Counter[str] = Counter()
        self._failed: dict[str, set[int]] = {}
        """Of each tool: the rounds in which it failed since it last did not."""

    async def make(
        self, tool: str, arguments: Mapping[str, Any], work: Callable[[str], Awaitable[bytes]], *, round: int
    ) -> Any:
        """What a tool gives back, as the JSON value that the model is told. `work` does it, given the call's key.

        A recorded call is not repeated. Calls with the same arguments are told apart by their order, so this is called
        in the order of the model's answer. `round` says which answer of the model the call is in.

        Raises ToolFailure where `work` raised something, AgentFailed where it did once too often or was an AgentFailed
        itself, BudgetExceeded and RunSuperseded.
        """
        canonical = canonical_json(arguments)
        step = self._step(tool, canonical)
        memory = self._context.memory
        recorded = await memory.recall(step)
        if recorded is not None:
            self._failed.pop(tool, None)
            return json.loads(recorded)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            value = await work(self._context.step_key(step))
            given = json.loads(
                value
            )  # before it is recorded: not orjson, which knows no numbers beyond 64 bits
            duration_ms = _ms(loop.time() - began)
            await self._record(step, value, tool_called(tool, canonical, duration_ms, None))
        except (RunSuperseded, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # an author may raise anything, and SystemExit would end the loop
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            sentence = told(error)
            await memory.tell_tool(tool_called(tool, canonical, _ms(loop.time() - began), sentence))
            if isinstance(error, AgentFailed | BudgetExceeded):
                raise
            self._count_failure(tool, round, sentence)
            raise ToolFailure(sentence) from error
        self._failed.pop(tool, None)
        return given

    def _step(self, tool: str, canonical: str) -> str:
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:32]
        call = f"tool/{tool}/{digest}"
        nth = self._made[call]
        self._made[call] += 1
        return f"{call}/{nth}"

    async def _record(self, step: str, value: bytes, event: bytes) -> None:
        try:
            await self._context.memory.record(step, value, tool=event)
        except ValueError as too_large:
            sentence = f"its result has {len(value)} bytes, which are too many: ask for less"
            raise ToolFailure(sentence) from too_large

    def _count_failure(self, tool: str, round: int, sentence: str) -> None:
        rounds = self._failed.setdefault(tool, set())
        rounds.add(round)
        if len(rounds) > FAILED_ROUNDS:
            raise AgentFailed(
                f"the tool {tool} failed in {len(rounds)} answers of the model in a row, lastly: {sentence}"
            )


def canonical_json(arguments: Mapping[str, Any]) -> str:
    """Arguments as the one ASCII text that says them: keys sorted, models and dates as JSON has them."""
    plain = to_jsonable_python(dict(arguments), bytes_mode="base64", inf_nan_mode="strings", fallback=str)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def told(error: BaseException) -> str:
    """An exception as a sentence that can be stored, whatever its own `__str__` does."""
    if isinstance(error, asyncio.CancelledError):
        return "it cancelled itself"
    try:
        message = str(error)
    except BaseException:  # as above: SystemExit would end the loop
        message = ""
    kind = "" if isinstance(error, ToolFailure | AgentFailed | BudgetExceeded) else type(error).__name__
    sentence = ": ".join(part for part in (kind, message) if part)
    return without_secrets(sentence)[:_ERROR_CHARACTERS].encode(errors="replace").decode()


def _is_cancelled() -> bool:
    """Whether it is this task that is being cancelled, and not just something that a tool waited for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
