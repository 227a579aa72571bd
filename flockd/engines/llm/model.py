"""The model as one attempt of a run asks it: through a gate, within budgets, live, and for each question once.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any, Self

import orjson
from pydantic_ai.exceptions import IncompleteToolCall, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from flockd.domain.retry import delay_seconds
from flockd.domain.usage import Most, Usage
from flockd.engines.base import Context
from flockd.engines.llm.catalog import Served
from flockd.engines.llm.failures import Failure, TooLong, failure_of
from flockd.engines.llm.recorded import Generation, Request, read, request_of, written
from flockd.engines.memory import StepTooLarge
from flockd.errors import AgentFailed

BACKOFF_SECONDS = 0.5
"""Before a refused request is sent again, where its provider does not say when; twice that the next time, and so on."""
_BACKOFF_MAX_SECONDS = 30.0
_REST_MAX_SECONDS = 3600.0
"""What a `Retry-After` may ask at most: a mistaken one shall not stop a model for days."""
_TOKENS_MAX = 10**9
"""No call takes more: whoever says so does not know what it took."""


class RoundsExceeded(Exception):
    """The model called tools once more than it may."""


class AskedModel(WrapperModel):
    """Does everything that flockd adds to a request, and leaves the rest (prompts, types, tools) to pydantic-ai.

    A recorded answer is returned as it is. Else the request waits at the model's gate, its most is reserved, it is
    sent, its answer is told live as it comes, and what it took is settled together with the record of the answer.
    """

    def __init__(
        self,
        served: Served,
        context: Context,
        generation: Generation,
        *,
        timeout_seconds: float,
        max_tokens: int,
        tool_rounds: int,
    ) -> None:
        super().__init__(served.model)
        self._served = served
        self._context = context
        self._generation = generation
        self._timeout_seconds = timeout_seconds
        self._max_tokens = max_tokens
        self._rounds_left = tool_rounds
        self.last_said = ""
        """The text of the last answer, or the output in it."""

    async def __aenter__(self) -> Self:
        """The daemon holds the model open: an attempt neither opens nor closes it."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        return None

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Raises AgentFailed where the provider fails, pydantic-ai's UserError where the model cannot be asked so,
        BudgetExceeded, RunSuperseded, and RoundsExceeded.
        """
        request = request_of(messages, model_settings, model_request_parameters)
        step = self._generation.step(request)
        recorded = await self._context.memory.recall(step)
        if recorded is not None:
            response = read(recorded)
        else:
            response = await self._ask(step, request, messages, model_settings, model_request_parameters)
        self._look_at(response, model_request_parameters)
        return response

    async def _ask(self, step: str, request: Request, *asked: Any) -> ModelResponse:
        """Send the request until it is answered or refused for good. Each sending is a call of its own for budgets.

        First the gate, then the ledger: a reservation that waited at the gate would keep others from a budget for as
        long as a provider rests, and would be charged in full if the process died there. So a call that its budget
        refuses has waited in vain; what it must not do is to use up a start of the model's rate.
        """
        gate = self._served.gate
        ticket = gate.ticket()
        failures = 0
        while True:
            async with gate.entered(ticket) as start:
                call = await self._begun(request, start)
                answer = await self._call(call, step, *asked)
                if isinstance(answer, Failure) and answer.again and answer.after is not None:
                    gate.rest(min(answer.after, _REST_MAX_SECONDS))  # before the next one is let in
            if isinstance(answer, ModelResponse):
                return answer
            failures += 1
            if not answer.again or failures > self._served.retries:
                times = f" (asked {failures} times)" if failures > 1 else ""
                raise AgentFailed(
                    f"agent {self._context.agent}: {self._served.name} {answer.what}{times}",
                    kind=None if answer.status is None else f"http_{answer.status}",
                    is_final=answer.is_final,
                )
            if not answer.after:  # a rest of nothing is none: its time is past, or it is no number
                await asyncio.sleep(delay_seconds(failures, BACKOFF_SECONDS, _BACKOFF_MAX_SECONDS))

    async def _begun(self, request: Request, start: float) -> str:
        """The id of a call that may be sent."""
        try:
            return await self._context.memory.begin_call(self._served.name, self._most(request))
        except BaseException:  # refused, or cancelled: it is not sent
            self._served.gate.give_back(start)
            raise

    async def _call(self, call: str, step: str, *asked: Any) -> ModelResponse | Failure:
        """One sending of a call that has begun; it is settled whatever becomes of it."""
        memory = self._context.memory
        sent = perf_counter()
        stream = _Told(self._context, asked[-1], most=self._context.outside.answer_bytes)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._stream(stream, *asked)
        except UserError:  # it was not sent: the model cannot do what is asked
            await memory.end_call(call, Usage())
            raise
        except Exception as error:
            failure = failure_of(
                error,
                begun=stream.begun,
                timeout_seconds=self._timeout_seconds,
                key_variable=self._served.key_variable,
            )
            await memory.end_call(call, Usage(requests=1, ms=_ms_since(sent)) if failure.untaken else None)
            return failure
        except BaseException:  # cancelled: the connection is closed, and nobody knows what was taken
            await memory.end_call(call, None)
            raise
        taken = self._taken(response.usage, _ms_since(sent))
        try:
            answer = written(response)
        except ValueError as unwritable:
            await memory.end_call(call, taken)
            raise self._unkept(unwritable) from unwritable
        try:
            await memory.end_call(call, taken, step=(step, answer))
        except StepTooLarge as too_large:
            raise self._unkept(too_large) from too_large
        return response

    def _unkept(self, error: ValueError) -> AgentFailed:
        return AgentFailed(
            f"agent {self._context.agent}: the answer of {self._served.name} cannot be kept: {error}"
        )

    async def _stream(
        self,
        told: _Told,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async with self.wrapped.request_stream(messages, settings, parameters) as stream:
            async with aclosing(aiter(stream)) as events:  # type: ignore[type-var]  # it is a generator
                async for event in events:
                    told.tell(event)
            response = stream.get()
        if not has_ended(response):
            raise UnexpectedModelBehavior("its answer has no end")
        return response

    def _most(self, request: Request) -> Most:
        price = self._served.price
        usage = RequestUsage(input_tokens=request.size, output_tokens=self._max_tokens)
        return Most(request.size, self._max_tokens, None if price is None else price(usage))

    def _taken(self, usage: RequestUsage, ms: int) -> Usage | None:
        """What the provider says; None where it says nothing, or what cannot be: a request has a token at least."""
        if usage.unmeasured_requests or not (
            _is_count(usage.input_tokens, 1) and _is_count(usage.output_tokens, 0)
        ):
            return None
        price = self._served.price
        cost = 0 if price is None else price(usage)
        return Usage(1, usage.input_tokens, usage.output_tokens, cost, ms)

    def _look_at(self, response: ModelResponse, parameters: ModelRequestParameters) -> None:
        """Keep what was said, and end what must not go on.

        Raises RoundsExceeded, and pydantic-ai's IncompleteToolCall, for which it would ask again.
        """
        outputs = {tool.name for tool in parameters.output_tools}
        said: list[str] = []
        called = False
        for part in response.parts:
            if isinstance(part, TextPart):
                said.append(part.content)
            elif isinstance(part, ToolCallPart):
                if part.tool_name in outputs:
                    said.append(_text(part.args))
                else:
                    called = True
                if response.finish_reason == "length" and not _is_whole(part):
                    self.last_said = "".join(said)
                    raise IncompleteToolCall(f"max_tokens ({self._max_tokens})")
        self.last_said = "".join(said) or str((response.provider_details or {}).get("refusal", ""))
        if called:
            if self._rounds_left == 0:
                raise RoundsExceeded
            self._rounds_left -= 1


class _Told:
    """The live text of one answer: text as it comes, and the arguments where the output is the call of a tool."""

    def __init__(self, context: Context, parameters: ModelRequestParameters, *, most: int) -> None:
        """`most` characters are read of an answer: no more would be kept."""
        self._write = context.write
        self._most = most
        self._size = 0
        self._output_tools = {tool.name for tool in parameters.output_tools}
        self._outputs: set[int] = set()
        """The parts that are calls of an output tool."""
        self.begun = False
        """Whether anything of the answer has come."""

    def tell(self, event: ModelResponseStreamEvent) -> None:
        """Raises TooLong."""
        self.begun = True
        text, is_output = "", True
        match event:
            case PartStartEvent(part=TextPart(content=text)):
                pass
            case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                pass
            case PartStartEvent(index=index, part=ToolCallPart(tool_name=name, args=args)):
                text, is_output = _text(args), name in self._output_tools
                if is_output:
                    self._outputs.add(index)
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta(args_delta=args)):
                text, is_output = _text(args), index in self._outputs
            case PartStartEvent(part=ThinkingPart(content=thought)):
                text, is_output = thought, False
            case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(thought))):
                text, is_output = thought, False
        self._size += len(text)
        if self._size > self._most:
            raise TooLong(
                f"said more than {self._most} bytes, and was left: limits.output_bytes is {self._most}"
            )
        if is_output:
            self._write(text)


def _text(args: str | Mapping[str, Any] | None) -> str:
    return args if isinstance(args, str) else "" if args is None else orjson.dumps(args).decode()


def has_ended(response: ModelResponse) -> bool:
    """Whether the provider said that this is all: what a proxy ends in the middle may end in good order."""
    says_why = not {"finish_reason", "refusal"}.isdisjoint(response.provider_details or {})
    says_usage = not response.usage.unmeasured_requests
    return response.state != "incomplete" and (says_why or says_usage)


def _is_count(number: object, least: int) -> bool:
    """Whether it is a number of tokens: providers may say anything."""
    return isinstance(number, int) and least <= number <= _TOKENS_MAX


def _is_whole(call: ToolCallPart) -> bool:
    try:
        call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return False
    return True


def _ms_since(began: float) -> int:
    return int((perf_counter() - began) * 1000)
