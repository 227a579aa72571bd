"""What an author says of an agent that thinks with a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OutputMode = Literal["native", "tool", "prompted"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an agent may see beside its inputs: the latest artifacts that it could also query, within a size."""

    type: str | None = None
    where: str | None = None
    """A JMESPath condition on the payload."""
    limit: int = 50
    scope: Literal["correlation", "board"] = "correlation"


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of tools (Model Context Protocol), reached over a process's standard streams or over HTTP."""

    name: str
    command: tuple[str, ...] = ()
    """The program and its arguments. This or `url`."""
    url: str | None = None
    env: tuple[str, ...] = ()
    """Names of environment variables that the program gets beside PATH and HOME."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of each request to `url`: header → name of the environment variable that holds its value."""
    allow: tuple[str, ...] = ()
    """The tools that the model may call. Empty: none."""
    timeout_seconds: float = 60.0
    """For one call."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """The options of one agent; None is what the section `[llm]` says."""

    instructions: str = ""
    model: str | None = None
    """As `openai:gpt-4.1`, or `openai/gpt-4.1`."""
    base_url: str | None = None
    """Of any OpenAI-compatible server."""
    api_key_env: str | None = None
    timeout_seconds: float | None = None
    """For one request to the model."""
    max_tokens: int | None = None
    """Of one answer."""
    output_mode: OutputMode = "native"
    """How the model is held to the type: by its provider (native), as the call of a tool, or by words (prompted)."""
    tools: tuple[Callable[..., Any], ...] = ()
    mcp: tuple[McpServer, ...] = ()
    context: Seen | None = None
    """None: its inputs alone."""
    context_bytes: int = 32_768
    """The most that is taken from the board, as JSON; what is older is left out, and the prompt says so."""
    tool_rounds: int = 16
    """Answers of the model that call tools, in one attempt; past it the run fails."""
