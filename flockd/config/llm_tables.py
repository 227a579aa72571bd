"""Language models in the configuration: the table `[[models]]`, and the keys of agents that think with one."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.budget_tables import BOUND_MAX
from flockd.config.sections import Count, Section

_USD_MOST = 1_000_000.0
"""A dollar a token: a larger price is a slip, and what a call costs must fit 64 bits."""


class ModelTable(Section):
    """One language model: what holds for it, whichever agent uses it. What is left out is as `[llm]` says."""

    name: str = Field(min_length=1, description='Its name as agents write it, "openai:gpt-4.1".')
    max_concurrency: Count | None = Field(
        default=None, description="Requests to it at once. Without it: llm.max_concurrency."
    )
    rate: str | None = Field(
        default=None,
        description='How often it may be asked, as "60/1m". Without it: as often as its provider lets it.',
    )
    input_usd: float | None = Field(
        default=None,
        ge=0,
        le=_USD_MOST,
        description="US dollars for a million input tokens. Without it: what pydantic-ai knows of it.",
    )
    output_usd: float | None = Field(
        default=None,
        ge=0,
        le=_USD_MOST,
        description="The same for output tokens; both or neither, and 0 for what costs nothing.",
    )

    @model_validator(mode="after")
    def _has_both_prices(self) -> Self:
        """Half a price would let a budget in usd pass what it does not count."""
        if (self.input_usd is None) != (self.output_usd is None):
            raise ValueError("input_usd and output_usd belong together: give both, 0 for what costs nothing")
        return self


class McpTable(Section):
    """A server of tools (Model Context Protocol)."""

    name: str = Field(min_length=1, description="What it is called; its tools carry the name.")
    command: list[str] | None = Field(
        default=None, min_length=1, description="The program and its arguments. This or url."
    )
    url: str | None = Field(default=None, description="Where it is served over streamable HTTP.")
    env: list[str] | None = Field(default=None, description="Environment variables that the program gets.")
    headers: dict[str, str] | None = Field(
        default=None, description="Headers of each request, and the environment variables with their values."
    )
    allow: list[str] = Field(description="The tools that the model may call.")
    timeout_seconds: float | None = Field(default=None, gt=0, description="For one call. Without it: 60.")


class SeenTable(Section):
    """Which artifacts an agent sees beside its inputs."""

    type: str | None = Field(default=None, description="Only artifacts of this type.")
    where: str | None = Field(default=None, description="A JMESPath condition on the payload.")
    limit: int | None = Field(default=None, ge=1, description="At most so many, the latest. Without it: 50.")
    scope: Literal["correlation", "board"] | None = Field(
        default=None, description="Of its own workflow, or of the whole board. Without it: correlation."
    )


class BudgetBounds(Section):
    """How much calls of language models may take."""

    requests: int | None = Field(default=None, ge=0, le=BOUND_MAX, description="Requests.")
    tokens: int | None = Field(
        default=None, ge=0, le=BOUND_MAX, description="Tokens, of input and output together."
    )
    usd: float | None = Field(
        default=None, ge=0, le=BOUND_MAX, allow_inf_nan=False, description="US dollars."
    )
    per: Literal["minute", "hour", "day", "month"] | None = Field(
        default=None, description="In each of these, of UTC. Without it: for ever."
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.requests is None and self.tokens is None and self.usd is None:
            raise ValueError("a budget bounds requests, tokens or usd, and this one bounds none of them")
        return self


class ThinkingKeys(Section):
    """The keys of an agent that thinks with a language model; without one: what `[llm]` says."""

    instructions: str | None = Field(default=None, description='What an "llm" is told to do.')
    model: str | None = Field(
        default=None,
        min_length=1,
        description='The language model of an "llm", as "openai:gpt-4.1". Without it: that of the flock, else '
        "llm.model.",
    )
    base_url: str | None = Field(
        default=None, description="Its OpenAI-compatible server. Without it: llm.base_url."
    )
    api_key_env: str | None = Field(
        default=None, description="The environment variable that holds its key. Without it: llm.api_key_env."
    )
    timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="How long one request to its model may take. Without it: llm.timeout_seconds.",
    )
    max_tokens: Count | None = Field(
        default=None, description="Tokens of one answer of its model. Without it: llm.max_tokens."
    )
    output_mode: Literal["native", "tool", "prompted"] | None = Field(
        default=None,
        description="How its model is held to the type: by its provider (native), as the call of a tool, or by words "
        "(prompted). Without it: native.",
    )
    tools: list[str] | None = Field(
        default=None, description='Python functions that its model may call, as ["module:function"].'
    )
    mcp: list[McpTable] | None = Field(
        default=None,
        description='Servers of tools that its model may call, as [{name = "files", command = ["mcp-files", "."], '
        'allow = ["read"]}] or with url = "https://…"; each also takes env, headers (name = "ENVIRONMENT_VARIABLE") '
        "and timeout_seconds.",
    )
    tool_rounds: Count | None = Field(
        default=None, description="Answers of its model that call tools, in one try. Without it: 16."
    )
    context: SeenTable | None = Field(
        default=None,
        description='What it sees of the board: "inputs", "correlation" (the latest artifacts of its workflow), so '
        'many of them as 5, or {type = "Note", where = "urgent", limit = 5, scope = "board"}. Without it: inputs.',
    )
    context_bytes: Count | None = Field(
        default=None, description="The most of the board that it sees, as JSON. Without it: 32 KiB."
    )
    budget: BudgetBounds | None = Field(
        default=None,
        description='What its runs may take together, as {usd = 2.5, per = "day"}; requests and tokens, too.',
    )

    @field_validator("tools")
    @classmethod
    def _name_functions(cls, tools: list[str] | None) -> list[str] | None:
        for tool in tools or ():
            module, colon, attribute = tool.partition(":")
            if not (module and colon and attribute):
                raise ValueError(f'"{tool}" names no function; write "package.module:function"')
        return tools

    @field_validator("context", mode="before")
    @classmethod
    def _as_a_table(cls, context: object) -> object:
        if context == "inputs":
            return None
        if context == "correlation":
            return {}
        if isinstance(context, int) and not isinstance(context, bool):
            return {"limit": context}
        if isinstance(context, str):
            raise ValueError(
                f'"{context}" is no context; write "inputs", "correlation", a number of artifacts, or a table'
            )
        return context

    def thinking(self) -> dict[str, object]:
        """What is set of these, under the names that `flock.llm_agent` has for them; `tools` by name."""
        return self.model_dump(include=set(ThinkingKeys.model_fields), exclude_none=True)
