"""What calls of language models took, and what budgets have left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset
from flockd.api.queries import Page, UsageWanted
from flockd.domain.agent import Agents
from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.budget import Amounts, BudgetRule, Ledger, Scope, ledger_key
from flockd.domain.moment import iso, now_ms
from flockd.domain.usage import NANOS_PER_USD, Usage
from flockd.routing import Call
from flockd.store.reads import UsageFilter


async def sum_usage(call: Call[UsageWanted, None]) -> bytes:
    """Sum what calls of language models took.

    Of calls that are over, by the moment in which they began.
    """
    query, agents = call.query, call.app[BOARD].agents
    found = await call.app[READS].usage(
        UsageFilter(
            agent=None if query.agent is None else agents.name_of(query.agent),
            model=query.model,
            correlation_id=query.correlation_id,
            began_from=query.from_,
            began_to=query.to,
        )
    )
    totals, by_agent, by_model = Usage(), dict[str, Usage](), dict[str, Usage]()
    for one in found:
        totals = totals.plus(one.usage)
        by_agent[one.agent] = by_agent.get(one.agent, Usage()).plus(one.usage)
        by_model[one.model] = by_model.get(one.model, Usage()).plus(one.usage)
    return orjson.dumps(
        {
            "totals": totals.document(),
            "by_agent": {name: took.document() for name, took in by_agent.items()},
            "by_model": {name: took.document() for name, took in sorted(by_model.items())},
        }
    )


async def list_budgets(call: Call[Page, None]) -> bytes:
    """List budgets, and what they have left.

    A budget of each agent is listed for each of them. Those of runs and workflows are listed as rules: each run and
    each workflow has one of its own.
    """
    query, board = call.query, call.app[BOARD]
    check_offset(call.app, query)
    listed = [(rule, subject) for rule in board.budgets.rules for subject in _subjects(rule, board.agents)]
    moment = now_ms()
    page = [
        (rule, subject, None if subject is None else ledger_key(rule, subject, moment))
        for rule, subject in listed[query.offset : query.offset + query.limit]
    ]
    wanted = list(dict.fromkeys(key for *_, key in page if key is not None))
    ledgers = dict(zip(wanted, await call.app[READS].ledgers(wanted), strict=True))
    budgets = [_document(rule, subject, None if key is None else ledgers[key]) for rule, subject, key in page]
    return orjson.dumps(
        {"budgets": budgets, "total": len(listed), "limit": query.limit, "offset": query.offset}
    )


def _subjects(rule: BudgetRule, agents: Agents) -> Iterable[str | None]:
    """Those that have the budget for themselves; None stands for each run or each workflow."""
    if rule.scope in (Scope.run, Scope.correlation):
        return (None,)
    if rule.name is not None:
        return (rule.name,)
    return sorted(agents) if rule.scope is Scope.agent else (DEFAULT_TENANT,)


def _document(rule: BudgetRule, subject: str | None, ledger: Ledger | None) -> dict[str, Any]:
    budget = rule.budget
    ends_at = None if ledger is None else ledger.key.ends_at
    limits = Amounts._fields, (budget.requests, budget.tokens, budget.cost)
    return {
        "scope": rule.scope,
        "name": rule.name,
        "subject": subject,
        "per": budget.per,
        **{
            "usd" if unit == "cost" else unit: None if limit is None else _left(unit, limit, ledger)
            for unit, limit in zip(*limits, strict=True)
        },
        "window_ends_at": None if ends_at is None else iso(ends_at),
    }


def _left(unit: str, limit: int, ledger: Ledger | None) -> dict[str, int | float | None]:
    """One bound of a budget: how far it is used up, where that is known."""
    told: dict[str, int | None] = {"limit": limit, "spent": None, "reserved": None, "left": None}
    if ledger is not None:
        spent, reserved = getattr(ledger.spent, unit), getattr(ledger.reserved, unit)
        told |= {"spent": spent, "reserved": reserved, "left": max(0, limit - spent - reserved)}
    if unit != "cost":
        return {**told}
    return {name: None if amount is None else amount / NANOS_PER_USD for name, amount in told.items()}
