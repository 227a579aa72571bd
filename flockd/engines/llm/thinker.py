"""One agent at work with pydantic-ai: what it asks of a model, and what it makes of the answer.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ContentFilterError,
    OutputTokenLimitExceeded,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.settings import ModelSettings
from pydantic_ai.toolsets.abstract import AbstractToolset
from pydantic_ai.usage import UsageLimits

from flockd.domain.artifact_type import ArtifactType, problems_of
from flockd.engines.base import Context, Output, Threads
from flockd.engines.confidential import without_secrets
from flockd.engines.llm.answers import answers_of
from flockd.engines.llm.catalog import Served
from flockd.engines.llm.model import AskedModel, RoundsExceeded
from flockd.engines.llm.prompt import instructions_of, prompt_of
from flockd.engines.llm.recorded import Generation
from flockd.engines.llm.seen import seen
from flockd.engines.llm.thinking import Thinking
from flockd.engines.llm.tools import toolset
from flockd.errors import AgentFailed

_ASKED_AGAIN = 1
"""How often a model is asked again for an answer that does not fit."""
_SAID_CHARACTERS = 200
_PROBLEMS = 3


class Thinker:
    """The agent as pydantic-ai knows it; made once, for all of its runs."""

    def __init__(
        self, name: str, thinking: Thinking, outputs: Mapping[str, ArtifactType], *, in_batches: bool
    ) -> None:
        self._name = name
        self._thinking = thinking
        self._outputs = outputs
        self._in_batches = in_batches
        self._agent: Agent[Context, Output] = Agent(
            output_type=answers_of(outputs.values(), thinking.output_mode),
            instructions=instructions_of(name, thinking.instructions, outputs),
            deps_type=Context,
            name=name,
            # Calls of tools are bounded by `tool_rounds` alone.
            retries={"output": _ASKED_AGAIN, "tools": thinking.tool_rounds},
        )

    async def think(
        self, served: Served, context: Context, threads: Threads, *, timeout_seconds: float, max_tokens: int
    ) -> Output:
        """What the model answers, as one of the types.

        Raises AgentFailed with a sentence; after an answer that was no use, the next attempt of the run asks anew.
        """
        thinking, memory = self._thinking, context.memory
        generation = await Generation.of(memory)
        model = AskedModel(
            served,
            context,
            generation,
            timeout_seconds=timeout_seconds,
            max_tokens=max_tokens,
            tool_rounds=thinking.tool_rounds if self._has_tools else _ASKED_AGAIN,
        )
        sees = await seen(thinking, context, generation.number)
        settings: ModelSettings = {"max_tokens": max_tokens}
        if "timeout" not in served.model.unsupported_settings:
            settings["timeout"] = timeout_seconds
        try:
            result = await self._agent.run(
                prompt_of(context.inputs, sees, as_list=self._in_batches),
                model=model,
                deps=context,
                model_settings=settings,
                usage_limits=UsageLimits(request_limit=None),
                toolsets=self._toolsets(context, threads, generation),
            )
        except (UnexpectedModelBehavior, RoundsExceeded) as error:
            await generation.end(memory)
            raise AgentFailed(self._fault(error, served.name, model.last_said, max_tokens)) from error
        except UserError as error:
            raise AgentFailed(
                f"agent {self._name}: {served.name} cannot be asked this way "
                f"(output_mode {thinking.output_mode}): {without_secrets(error.message, served.key_variable)}",
                is_final=True,
            ) from error
        return result.output

    def _fault(self, error: Exception, model: str, said: str, max_tokens: int) -> str:
        """What was wrong with the answer, and its beginning."""
        match error:
            case OutputTokenLimitExceeded():
                fault = (
                    f"{model} reached max_tokens ({max_tokens}) before its answer was complete: raise max_tokens "
                    "(of the agent, or llm.max_tokens), or have it say less"
                )
            case ContentFilterError():
                fault = f"{model} gave no answer: a content filter of its provider kept it"
            case RoundsExceeded() if not self._has_tools:
                fault = f"{model} called tools more than once, and it was given none"
            case RoundsExceeded():
                fault = f"{model} called tools more than {self._thinking.tool_rounds} times (tool_rounds)"
            case _:
                wanted = " or ".join(self._outputs)
                fault = f"the answer of {model} is no {wanted}, asked twice: {_problem(error)}"
        beginning = " ".join(said.split())
        if len(beginning) > _SAID_CHARACTERS:
            beginning = f"{beginning[:_SAID_CHARACTERS]}…"
        return f"agent {self._name}: {fault}" + (f". It said: {beginning}" if beginning else "")

    @property
    def _has_tools(self) -> bool:
        return bool(self._thinking.tools or self._thinking.mcp)

    def _toolsets(
        self, context: Context, threads: Threads, generation: Generation
    ) -> list[AbstractToolset[Any]]:
        tools = toolset(self._thinking, context, threads, generation=generation.number)
        return [] if tools is None else [tools]


def _problem(error: BaseException) -> str:
    """What did not fit: the fields where it is known, else the innermost error."""
    while True:
        if isinstance(error, ValidationError):
            problems = problems_of(error)[:_PROBLEMS]
            return "; ".join(": ".join(filter(None, (one.field, one.message))) for one in problems)
        if error.__cause__ is None:
            return str(error).removesuffix(".")
        error = error.__cause__
