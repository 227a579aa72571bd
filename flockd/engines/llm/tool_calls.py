"""The calls of tools in one attempt of a run: each a step that is logged with its event, whether it failed or not.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

from flockd.domain.retry import NonRetryableError, meant
from flockd.engines.base import Context
from flockd.engines.confidential import without_secrets
from flockd.engines.llm.tool_event import tool_called
from flockd.engines.memory import RunSuperseded, StepTooLarge
from flockd.errors import AgentFailed, BudgetExceeded

FAILED_ROUNDS = 3
"""Answers of the model, one after the other, in which a tool may fail; with the next one the run fails."""

_ERROR_CHARACTERS = 1000
"""What is told of an error, to the model and in the event."""


class ToolFailure(Exception):
    """A call failed. The message is a sentence for the model, which may do otherwise."""

    def __init__(self, sentence: str, *, is_correction: bool = False) -> None:
        """`is_correction`: the model is asked to make the call again in another way."""
        super().__init__(sentence)
        self.is_correction = is_correction


class ToolCalls:
    """Makes the calls of one attempt, each at most once in all attempts of its run.

    The outcome of a call is what the model is told of it. A failure that it is told of is recorded as well as a result:
    a tool may have done its work before it failed, and answers of the model that are recorded follow from what it was
    told. But a failure holds only as long as these answers do: where the model is asked anew (in another `generation`),
    the call is made again. A failure that ends the attempt is told to nobody and not recorded.
    """

    def __init__(self, context: Context, *, generation: int) -> None:
        self._context = context
        self._generation = generation
        self._made: Counter[str] = Counter()
        self._failed: dict[str, set[int]] = {}
        """Of each tool: the rounds in which it failed since it last did not."""

    async def make(
        self, tool: str, arguments: Mapping[str, Any], work: Callable[[str], Awaitable[bytes]], *, round: int
    ) -> Any:
        """What a tool gives back, as the JSON value that the model is told. `work` does it, given the call's key.

        A recorded call is not repeated. Calls with the same arguments are told apart by their order, so this is called
        in the order of the model's answer. `round` says which answer of the model the call is in.

        Raises ToolFailure where `work` raised something, now or when it was recorded; AgentFailed where it did once too
        often. What ends the run is raised as it is: AgentFailed, BudgetExceeded, NonRetryableError, RunSuperseded.
        """
        canonical = canonical_json(arguments)
        step = self._step(tool, canonical)
        memory = self._context.memory
        recorded = await memory.recall(step)
        if recorded is not None:
            self._failed.pop(tool, None)
            return json.loads(recorded)
        recorded = await memory.recall(self._failure_of(step))
        if recorded is not None:
            self._failed.setdefault(tool, set()).add(round)
            failure = orjson.loads(recorded)
            raise ToolFailure(failure["told"], is_correction=failure["is_correction"])
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
            cause = meant(error)
            failure = ToolFailure(
                told(cause), is_correction=isinstance(cause, ToolFailure) and cause.is_correction
            )
            event = tool_called(tool, canonical, _ms(loop.time() - began), str(failure))
            rounds = self._failed.setdefault(tool, set())
            rounds.add(round)
            if isinstance(cause, AgentFailed | BudgetExceeded | NonRetryableError):
                await memory.tell_tool(event)
                raise
            if len(rounds) > FAILED_ROUNDS:
                await memory.tell_tool(event)
                raise AgentFailed(
                    f"the tool {tool} failed in {len(rounds)} answers of the model in a row, lastly: {failure}"
                ) from error
            await self._record_failure(step, failure, event)
            raise failure from error
        self._failed.pop(tool, None)
        return given

    def _step(self, tool: str, canonical: str) -> str:
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:32]
        call = f"tool/{tool}/{digest}"
        nth = self._made[call]
        self._made[call] += 1
        return f"{call}/{nth}"

    def _failure_of(self, step: str) -> str:
        """The name under which the failure of a call is recorded."""
        return f"{step}/failed/{self._generation}"

    async def _record_failure(self, step: str, failure: ToolFailure, event: bytes) -> None:
        memory = self._context.memory
        if _is_cancelled():  # what the tool made of that is no outcome of the call
            await memory.tell_tool(event)
            return
        value = orjson.dumps({"told": str(failure), "is_correction": failure.is_correction})
        try:
            await memory.record(self._failure_of(step), value, tool=event)
        except StepTooLarge:  # limits.output_bytes is smaller than a sentence
            await memory.tell_tool(event)

    async def _record(self, step: str, value: bytes, event: bytes) -> None:
        try:
            await self._context.memory.record(step, value, tool=event)
        except StepTooLarge as too_large:
            sentence = f"its result has {len(value)} bytes, which are too many: ask for less"
            raise ToolFailure(sentence) from too_large


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
