"""Budgets: how much calls of language models may take together, in one run, workflow, agent or tenant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

Per = Literal["minute", "hour", "day", "month"]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so much, for ever or in each `per` (of UTC). What is None is not bounded."""

    requests: int | None = None
    tokens: int | None = None
    """Input and output together."""
    usd: float | None = None
    per: Per | None = None

    def __post_init__(self) -> None:
        bounds = (self.requests, self.tokens, self.usd)
        if all(bound is None for bound in bounds):
            raise ValueError("a budget bounds requests, tokens or usd")
        if any(bound is not None and bound < 0 for bound in bounds):
            raise ValueError("a budget is not negative")


class Scope(StrEnum):
    """What shares a budget."""

    run = "run"
    correlation = "correlation"
    agent = "agent"
    tenant = "tenant"


class BudgetRule(NamedTuple):
    """A budget and whose it is."""

    scope: Scope
    name: str | None
    """An agent or a tenant: this one alone. None: each run, correlation, agent or tenant for itself. Of the scopes run
    and correlation: the agent whose calls count."""
    budget: Budget
