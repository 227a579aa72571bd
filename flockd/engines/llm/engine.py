"""The engine of agents that think with a language model. What it needs for that is imported by its first run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Context, Output, Threads
from flockd.engines.llm.choice import chosen
from flockd.engines.llm.thinking import Thinking
from flockd.engines.outside import LlmDefaults
from flockd.errors import AgentFailed

if TYPE_CHECKING:
    from flockd.engines.llm.thinker import Thinker


class LlmEngine:
    """Gives a model the inputs of a run, and takes its answer as an artifact of a type that the agent publishes.

    An agent that publishes several types gets one of them: the model says which.
    """

    kind = "llm"

    def __init__(
        self,
        agent: str,
        thinking: Thinking,
        outputs: Mapping[str, ArtifactType],
        *,
        default_model: str | None,
        in_batches: bool = False,
    ) -> None:
        """`default_model`: the flock's, for an agent that names none; where neither does, that of `[llm]` holds.
        `in_batches`: it is given lists of its inputs, also where one came alone.
        """
        self.agent = agent
        self.thinking = thinking
        self.outputs = dict(outputs)
        self.default_model = default_model
        self.in_batches = in_batches
        self._thinker: Thinker | None = None

    def problem(self, defaults: LlmDefaults) -> str | None:
        """What keeps the agent from thinking, and the mend; None where nothing is known to. Asks nobody."""
        choice = chosen(self.thinking, self.default_model, defaults)
        if choice is None:
            return (
                f"agent {self.agent} thinks with a language model, and none is set: name one as model of the agent, "
                'in Flock("openai:gpt-4.1"), or as llm.model in the configuration'
            )
        return None if choice.problem is None else f"agent {self.agent}: {choice.problem}"

    def unaskable(self) -> str | None:
        """Why no model can be asked for what the agent publishes; None where one can. Imports what asks models."""
        try:
            self._load()
        except ValueError as error:
            return str(error)
        return None

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """One output, made of `context.inputs`. Raises AgentFailed with a sentence, and BudgetExceeded."""
        outside = context.outside
        defaults, thinking = outside.llm, self.thinking
        choice = chosen(thinking, self.default_model, defaults)
        if choice is None:
            raise AgentFailed(self.problem(defaults), is_final=True)
        try:
            served = await outside.models.served(choice)
            thinker = self._thinker
            if thinker is None:
                thinker = await asyncio.to_thread(self._load)
        except ValueError as error:
            raise AgentFailed(f"agent {self.agent}: {error}", is_final=True) from error
        except ImportError as error:
            raise AgentFailed(
                f"agent {self.agent}: {error}; what is installed is too old: pip install --upgrade 'flockd[llm]'",
                is_final=True,
            ) from error
        output = await thinker.think(
            served,
            context,
            threads,
            timeout_seconds=thinking.timeout_seconds or defaults.timeout_seconds,
            max_tokens=thinking.max_tokens or defaults.max_tokens,
        )
        return [output]

    def _load(self) -> Thinker:
        """Import pydantic-ai and make the agent: that takes a second, so never on the loop. Raises ValueError."""
        os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")  # a daemon's standard error is its log
        from flockd.engines.llm.thinker import Thinker

        if self.thinking.mcp:
            with suppress(ModuleNotFoundError):  # said where it is missed
                import_module("flockd.engines.llm.mcp")
        self._thinker = Thinker(self.agent, self.thinking, self.outputs, in_batches=self.in_batches)
        return self._thinker
