"""The table `[[budgets]]`: how much calls of language models may take together."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from flockd.config.sections import Section

BOUND_MAX = 2**53 - 1
"""Of each bound: what every reader of JSON keeps exactly."""


class BudgetTable(Section):
    """One budget. At least one of requests, tokens and usd is bounded; a call that does not fit is not made."""

    scope: Literal["run", "correlation", "agent", "tenant"] = Field(
        description="What has it for itself: each run, each workflow (correlation), each agent or each tenant."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Only this agent, or this tenant. Of the scopes run and correlation: only the calls of this agent "
        "count. Without it: all.",
    )
    requests: int | None = Field(default=None, ge=0, le=BOUND_MAX, description="At most so many calls.")
    tokens: int | None = Field(
        default=None, ge=0, le=BOUND_MAX, description="At most so many tokens, input and output together."
    )
    usd: float | None = Field(
        default=None,
        ge=0,
        le=BOUND_MAX,
        allow_inf_nan=False,
        description="At most so many US dollars. A model whose price nobody knows is refused.",
    )
    per: Literal["minute", "hour", "day", "month"] | None = Field(
        default=None, description="In each of these, of UTC. Without it: in all time."
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.requests is None and self.tokens is None and self.usd is None:
            raise ValueError("a budget bounds requests, tokens or usd, and this bounds none of them")
        return self
