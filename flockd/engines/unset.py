"""The engine of agents that think with a language model, where this version has none for them: it says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from flockd.engines.base import Context, Threads
from flockd.errors import AgentFailed


class UnsetEngine:
    """Fails each run with the sentence that `check` shows as a warning, so that the daemon can start without."""

    kind = "llm"

    def __init__(self, agent: str, *, model: str | None, instructions: str) -> None:
        """What the agent is to think with, and what it is told; no `model` where none is set."""
        self.agent = agent
        self.model = model
        self.instructions = instructions

    @property
    def problem(self) -> str:
        """What keeps the agent from thinking, and the mend."""
        if self.model is None:
            return (
                f"agent {self.agent} thinks with a language model, and none is set: "
                'name one in Flock("openai:gpt-4.1"), or for this agent alone with model='
            )
        return (
            f"agent {self.agent} is to think with {self.model}, and this version has no engine for language "
            "models yet: it comes with the extra flockd[llm] of a later one; until then declare the agent as "
            "a function"
        )

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> NoReturn:
        """Raises AgentFailed."""
        raise AgentFailed(self.problem)
