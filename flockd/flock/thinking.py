"""How an agent thinks with a language model, while it is declared: each option, or a sentence where it is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypedDict, get_args

from flockd.domain.budget import Budget, Per
from flockd.domain.predicate import compile_where
from flockd.engines.llm.thinking import McpServer, OutputMode, Seen, Thinking
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes
from flockd.flock.given import is_number, made, seconds, url, variable
from flockd.flock.options import Check
from flockd.flock.tools import read_servers, read_tools

_DEFAULT = Thinking()
_MOST_SEEN = 500
"""Artifacts that an agent may see beside its inputs; more are no context but a board."""
_SEEN = 'context="correlation", a number of artifacts, or Seen(type=…, where=…, limit=…, scope=…)'
_BUDGET = 'budget=Budget(requests=…, tokens=…, usd=…, per="day")'


ContextChoice = Literal["inputs", "correlation"] | int | Seen | Mapping[str, Any] | None


class ThinkingOptions(TypedDict, total=False):
    """What an agent that thinks with a language model takes beside the options of every agent; each has a default."""

    instructions: str
    """What the model is told to do; their first paragraph is the description where none is given."""
    model: str | None
    """Which model, as "openai:gpt-4.1" or "openai/gpt-4.1". Default: that of the flock, else llm.model."""
    base_url: str | None
    """An OpenAI-compatible server. Default: llm.base_url."""
    api_key_env: str | None
    """The environment variable that holds the key. Default: llm.api_key_env."""
    timeout_seconds: float | None
    """For one request to the model. Default: llm.timeout_seconds."""
    max_tokens: int | None
    """Of one answer. Default: llm.max_tokens."""
    output_mode: OutputMode
    """How the model is held to the type. Default: "native", by its provider; "tool" or "prompted" for one that cannot
    be."""
    tools: Iterable[Callable[..., Any]]
    """Functions that the model may call; one with a parameter annotated as Context gets that of the run."""
    mcp: Iterable[McpServer | Mapping[str, Any]]
    """Servers of tools that the model may call."""
    tool_rounds: int
    """Default: 16. Answers of the model that call tools, in one attempt."""
    context: ContextChoice
    """What it sees of the board beside its inputs. Default: "inputs", nothing."""
    context_bytes: int
    """Default: 32 KiB. The most that is taken from the board, as JSON."""
    budget: Budget | Mapping[str, Any] | None
    """What calls of all of its runs together may take."""


def read_thinking(owner: str, options: ThinkingOptions, types: DeclaredTypes) -> Thinking:
    """The options as its engine takes them; `owner` is the agent, in words. Raises DeclarationError."""
    check = Check(owner)
    instructions = options.get("instructions", "")
    if not isinstance(instructions, str):
        raise DeclarationError(f"{owner}: instructions is {instructions!r}: give it a text")
    mode = options.get("output_mode", "native")
    if mode not in get_args(OutputMode):
        raise DeclarationError(
            f"{owner}: output_mode is {mode!r}: give it one of {', '.join(get_args(OutputMode))}"
        )
    max_tokens = options.get("max_tokens")
    return Thinking(
        instructions=inspect.cleandoc(instructions),
        model=check.word("model", options.get("model")),
        base_url=url(owner, "base_url", options.get("base_url")),
        api_key_env=variable(owner, "api_key_env", options.get("api_key_env")),
        timeout_seconds=seconds(owner, "timeout_seconds", options.get("timeout_seconds")),
        max_tokens=None if max_tokens is None else check.count("max_tokens", max_tokens, least=1),
        output_mode=mode,
        tools=read_tools(owner, options.get("tools", ())),
        mcp=read_servers(owner, options.get("mcp", ())),
        tool_rounds=check.count("tool_rounds", options.get("tool_rounds", _DEFAULT.tool_rounds), least=1),
        context=_seen(owner, options.get("context"), types),
        context_bytes=check.count(
            "context_bytes", options.get("context_bytes", _DEFAULT.context_bytes), least=1
        ),
    )


def read_budget(owner: str, given: object) -> Budget | None:
    """The option `budget`: a Budget, or a table of what it takes. Raises DeclarationError."""
    if given is None:
        return None
    if isinstance(given, Budget):
        budget = given
    elif isinstance(given, Mapping):
        budget = made(owner, "budget", Budget, given, _BUDGET)
    else:
        raise DeclarationError(f"{owner}: budget is {given!r}: write {_BUDGET}")
    for bound in ("requests", "tokens"):
        if (count := getattr(budget, bound)) is not None:
            Check(owner).count(f"budget: {bound}", count, least=0)
    usd = budget.usd
    if usd is not None and not (is_number(usd) and usd >= 0):
        raise DeclarationError(f"{owner}: budget: usd is {usd!r}: give it a number of US dollars, 0 or more")
    if budget.per not in (None, *get_args(Per)):
        raise DeclarationError(
            f"{owner}: budget: per is {budget.per!r}: give it one of {', '.join(get_args(Per))}, or leave it out"
        )
    return budget


def _seen(owner: str, given: object, types: DeclaredTypes) -> Seen | None:
    """The option `context`. A type that it names by a word may be declared later: `context_problem` looks."""
    if given is None or given == "inputs":
        return None
    if given == "correlation":
        return Seen()
    if isinstance(given, int) and not isinstance(given, bool):
        seen = Seen(limit=given)
    elif isinstance(given, Mapping):
        seen = made(owner, "context", Seen, given, _SEEN)
    elif isinstance(given, Seen):
        seen = given
    else:
        raise DeclarationError(f"{owner}: context is {given!r}: write {_SEEN}")
    check = Check(owner)
    if check.count("context: limit", seen.limit, least=1) > _MOST_SEEN:
        raise DeclarationError(
            f"{owner}: context: limit is {seen.limit}: {_MOST_SEEN} artifacts are the most"
        )
    if seen.scope not in ("correlation", "board"):
        raise DeclarationError(
            f"{owner}: context: scope is {seen.scope!r}: give it correlation (its own workflow) or board"
        )
    where = check.word("context: where", seen.where)
    if where is not None:
        try:
            compile_where(where)
        except ValueError as error:
            raise DeclarationError(f"{owner}: context: {error}") from None
    kind: Any = seen.type
    if kind is not None and not isinstance(kind, str):
        (kind,) = types.names(owner, "context", kind)
    return Seen(kind, where, seen.limit, seen.scope)


def context_problem(thinking: Thinking, types: Iterable[str]) -> str | None:
    """What is wrong with the type whose artifacts an agent sees, once all types are declared."""
    name = None if thinking.context is None else thinking.context.type
    if name is None or name in types:
        return None
    near = nearest(name, types)
    hint = f"did you mean {near}?" if near else "name one that is declared"
    return f"context has the artifact type {name}, and there is none: {hint}"
