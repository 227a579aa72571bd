"""Budgets: how much calls of language models may take together, in one run, workflow, agent or tenant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import NoneType
from typing import Any, Literal, NamedTuple

import orjson

from flockd.domain.moment import HOUR_MS, iso
from flockd.domain.usage import NANOS_PER_USD, Call

Per = Literal["minute", "hour", "day", "month"]

BOUND_MAX = 2**53 - 1
"""Of each bound: what every reader of JSON keeps exactly."""
_FIXED_MS = {"minute": 60_000, "hour": HOUR_MS, "day": 24 * HOUR_MS}


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
        for bound in bounds:
            if isinstance(bound, bool) or not isinstance(bound, (int, float, NoneType)):
                raise ValueError(f"a budget is a number, not {bound!r}")
        if any(bound is not None and bound < 0 for bound in bounds):
            raise ValueError("a budget is not negative")
        if not all(bound is None or bound <= BOUND_MAX for bound in bounds):  # so that NaN does not pass
            raise ValueError(f"a budget is at most {BOUND_MAX}")

    @property
    def cost(self) -> int | None:
        """`usd` as it is written, in billionths of a US dollar; never more than that."""
        return None if self.usd is None else int(Decimal(repr(self.usd)) * NANOS_PER_USD)


class Scope(StrEnum):
    """What shares a budget."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

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


class Amounts(NamedTuple):
    """What budgets bound."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
    """Billionths of a US dollar."""

    def plus(self, other: Amounts) -> Amounts:
        return Amounts(self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost)

    def minus(self, other: Amounts) -> Amounts:
        return Amounts(self.requests - other.requests, self.tokens - other.tokens, self.cost - other.cost)


NOTHING = Amounts()


class LedgerKey(NamedTuple):
    """What a ledger counts: the calls of a subject that began within a window."""

    scope: Scope
    subject: str
    """The id of a run or correlation, the name of an agent or tenant."""
    agent: str
    """Of a run or correlation: only the calls of this agent; empty: of all."""
    per: str
    """Empty: the window is all time."""
    window: int
    """Its first moment; 0 for all time."""

    @property
    def ends_at(self) -> int | None:
        """The first moment after its window."""
        return window_end(self.per, self.window)


@dataclass(slots=True)
class Ledger:
    """A ledger's row: a sum over calls, kept so that a budget is decided without adding them up."""

    key: LedgerKey
    spent: Amounts = NOTHING
    reserved: Amounts = NOTHING
    """By calls that are not over, each with the most that it may take."""


class Shortage(NamedTuple):
    """The budget into which a call does not fit."""

    rule: BudgetRule
    key: LedgerKey
    unit: Literal["requests", "tokens", "usd"]
    limit: int
    """Of cost: billionths of a US dollar; so are the others."""
    spent: int
    reserved: int
    wanted: int | None
    """None: nobody knows what the model costs."""
    model: str

    @property
    def data(self) -> dict[str, Any]:
        """What the event `budget.exceeded` carries."""
        ends_at = self.key.ends_at
        return {
            "scope": self.key.scope,
            "name": self.rule.name,
            "subject": self.key.subject,
            "per": self.rule.budget.per,
            "unit": self.unit,
            "limit": self._amount(self.limit),
            "spent": self._amount(self.spent),
            "reserved": self._amount(self.reserved),
            "wanted": None if self.wanted is None else self._amount(self.wanted),
            "model": self.model,
            "window_ends_at": None if ends_at is None else iso(ends_at),
        }

    @property
    def sentence(self) -> str:
        """Why the call was refused, and what to do."""
        if self.wanted is None:
            return (
                f"{self._whose} is bounded in usd, but nobody knows what {self.model} costs: give it input_usd and "
                "output_usd in [[models]]"
            )
        how = "is spent" if self.spent >= self.limit else "has no room for this call"
        text = (
            f"{self._whose} {how}: {self._told(self.spent)} of {self._told(self.limit)} {self.unit} are gone"
        )
        if self.reserved:
            text += f", {self._told(self.reserved)} are reserved by calls that are not over"
        text += (
            f", and this call takes {'' if self.unit == 'requests' else 'up to '}{self._told(self.wanted)}"
        )
        ends_at = self.key.ends_at
        return text if ends_at is None else f"{text}; it begins anew at {iso(ends_at)}"

    @property
    def _whose(self) -> str:
        per = self.rule.budget.per
        each = f" for each {per}" if per else ""
        if self.key.scope in (Scope.agent, Scope.tenant):
            return f"The budget of {self.key.scope} {self.key.subject}{each}"
        by = f" for {self.key.agent}" if self.key.agent else ""
        return f"The budget of this {self.key.scope}{by}{each}"

    def _amount(self, number: int) -> int | float:
        return number / NANOS_PER_USD if self.unit == "usd" else number

    def _told(self, number: int) -> str:
        if self.unit != "usd":
            return str(number)
        whole, nanos = divmod(number, NANOS_PER_USD)
        return f"{whole}.{nanos:09}".rstrip("0").rstrip(".")


class Budgets:
    """All rules of a daemon: which count for a call, and in which ledgers it stands."""

    def __init__(self, rules: Iterable[BudgetRule] = ()) -> None:
        self.rules = tuple(rules)
        self._counting: dict[tuple[str, str], tuple[BudgetRule, ...]] = {}

    def counting(self, agent: str, tenant: str) -> tuple[BudgetRule, ...]:
        """The rules that count for calls of this agent in this tenant."""
        known = self._counting.get((agent, tenant))
        if known is None:
            known = self._counting[agent, tenant] = tuple(
                rule
                for rule in self.rules
                if rule.name is None or rule.name == (tenant if rule.scope is Scope.tenant else agent)
            )
        return known

    def ledgers(self, call: Call) -> list[tuple[BudgetRule, LedgerKey]]:
        """The ledger of each rule that counts for a call; two rules may share one."""
        return [
            (rule, ledger_key(rule, _subject(rule.scope, call), call.began_at))
            for rule in self.counting(call.agent, call.tenant)
        ]

    @property
    def digest(self) -> bytes:
        """16 bytes that are others where calls stand in other ledgers; limits do not count."""
        kinds = sorted({(str(rule.scope), rule.name or "", rule.budget.per or "") for rule in self.rules})
        return hashlib.sha256(orjson.dumps(kinds)).digest()[:16]


def ledger_key(rule: BudgetRule, subject: str, moment: int) -> LedgerKey:
    """The ledger of a subject in which calls of this moment stand."""
    of_agent = rule.name or "" if rule.scope in (Scope.run, Scope.correlation) else ""
    per = rule.budget.per or ""
    return LedgerKey(rule.scope, subject, of_agent, per, window_start(per, moment))


def _subject(scope: Scope, call: Call) -> str:
    if scope is Scope.run:
        return call.run_id
    if scope is Scope.correlation:
        return call.correlation_id
    return call.agent if scope is Scope.agent else call.tenant


def window_start(per: str, moment: int) -> int:
    """The first moment of the window (of UTC) in which a moment is; 0 where it is all time."""
    if not per:
        return 0
    if per != "month":
        return moment - moment % _FIXED_MS[per]
    day = datetime.fromtimestamp(moment // 1000, UTC)
    return int(day.replace(day=1, hour=0, minute=0, second=0).timestamp()) * 1000


def window_end(per: str, start: int) -> int | None:
    """The first moment after a window; None where it is all time."""
    if not per:
        return None
    if per != "month":
        return start + _FIXED_MS[per]
    return window_start(per, start + int(timedelta(days=32).total_seconds()) * 1000)
