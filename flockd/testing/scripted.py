"""A language model that says what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_ai.models import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to a model."""

    prompt: str
    """What the agent was given: its inputs, and what it may see beside them; after an answer that was no use, what was
    wrong with it."""
    instructions: str
    tools: tuple[str, ...]
    """The tools that it may call."""
    returned: dict[str, Any]
    """What tools gave back so far, by name; the last of each."""
    outputs: tuple[str, ...]
    """The artifact types of which it is to make one."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """An answer that calls a tool: `ToolCall("lookup", {"word": "x"})`."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


Answer = Any
"""A value of an output type, or its fields as a dict; a str is text, as it is; a ToolCall, or a list of them; an
exception is a request that fails."""

Script = Iterable[Answer] | Callable[[Asked], Answer | Awaitable[Answer]]


class Unscripted(Exception):
    """A model was asked something that its test did not foresee."""


class ScriptedModel:
    """Answers with the values of a list, one after the other, or with what a function makes of the request.

    ```
    ScriptedModel([Summary(text="short")])
    ScriptedModel(lambda asked: {"text": asked.prompt[:10]})
    ```
    """

    def __init__(self, script: Script) -> None:
        self._function = script if callable(script) else None
        self._answers = [] if callable(script) else list(script)
        self.asked: list[Asked] = []
        """Every request, in order."""

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a request. Raises Unscripted where the list is at its end."""
        self.asked.append(asked)
        if self._function is not None:
            answer = self._function(asked)
            return await answer if isinstance(answer, Awaitable) else answer
        if len(self.asked) > len(self._answers):
            raise Unscripted(
                f"the scripted model has {len(self._answers)} answers and was asked once more: {asked.prompt[:200]}"
            )
        return self._answers[len(self.asked) - 1]

    def model(self) -> Model:
        """The same as pydantic-ai knows models."""
        from flockd.testing.answering import Answering

        return Answering(self)
