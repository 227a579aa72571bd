"""A model that answers what a test wrote down, and keeps what it was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.tools import ToolDefinition

from flockd.engines.base import Context, Threads
from flockd.engines.llm.thinking import McpServer, Thinking
from flockd.engines.llm.tools import toolset

from .attempts import NoThreads

Call = tuple[str, dict[str, Any]]
"""A tool, and what it is called with."""


class Script:
    """Answers with calls of tools, one answer after the other, then with "done"."""

    def __init__(self, *answers: Sequence[Call]) -> None:
        self.answers = answers
        self.told: list[list[tuple[Any, str]]] = []
        """After each answer: what came back of each of its calls, and the outcome."""
        self.tools: dict[str, ToolDefinition] = {}
        """What the model was shown."""

    def answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.tools = {tool.name: tool for tool in info.function_tools}
        last = messages[-1]
        assert isinstance(last, ModelRequest)
        returns = [part for part in last.parts if isinstance(part, ToolReturnPart)]
        if returns:
            self.told.append([(part.content, part.outcome) for part in returns])
        number = len(self.told)
        if number >= len(self.answers):
            return ModelResponse([TextPart("done")])
        return ModelResponse(
            [
                ToolCallPart(name, arguments, tool_call_id=f"{number}-{place}")
                for place, (name, arguments) in enumerate(self.answers[number])
            ]
        )

    async def run(
        self,
        context: Context,
        *tools: Callable[..., Any],
        mcp: Sequence[McpServer] = (),
        threads: Threads | None = None,
        tool_rounds: int = 16,
        generation: int = 0,
    ) -> str:
        """One attempt with these tools. What it raises is what the run would fail with."""
        thinking = Thinking(tools=tools, mcp=tuple(mcp), tool_rounds=tool_rounds)
        offered = toolset(thinking, context, threads or NoThreads(), generation=generation)
        agent = Agent(FunctionModel(self.answer), output_type=str)
        result = await agent.run("go", toolsets=[] if offered is None else [offered])
        return result.output
