"""Budgets: what they are, their windows, and which count for a call."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flockd.domain.budget import (
    Budget,
    BudgetRule,
    Budgets,
    LedgerKey,
    Per,
    Scope,
    Shortage,
    window_end,
    window_start,
)
from flockd.domain.usage import NANOS_PER_USD, Call, Most


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def call(agent: str = "a", tenant: str = "t", began_at: int = 0) -> Call:
    return Call("c", "run", "flow", agent, tenant, "m", Most(1, 1, None), began_at)


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({}, "bounds requests, tokens or usd"),
        ({"per": "day"}, "bounds requests, tokens or usd"),
        ({"requests": -1}, "not negative"),
        ({"usd": -0.5}, "not negative"),
        ({"usd": float("nan")}, "at most"),
        ({"usd": float("inf")}, "at most"),
        ({"tokens": 2**53}, "at most"),
        ({"usd": "5"}, "a budget is a number, not '5'"),
        ({"requests": True}, "a budget is a number, not True"),
    ],
)
def test_a_budget_bounds_something(bounds: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Budget(**bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("usd", "nanos"),
    [
        (0.1 + 0.2, 300_000_000),
        (0.57, 570_000_000),
        (1.9e-9, 1),
        (0.0, 0),
        (2.0**53 - 1, (2**53 - 1) * 10**9),
    ],
)
def test_usd_are_never_rounded_up(usd: float, nanos: int) -> None:
    assert Budget(usd=usd).cost == nanos


def test_a_sentence_tells_every_part_of_a_dollar() -> None:
    rule, key = BudgetRule(Scope.tenant, None, Budget(usd=1)), LedgerKey(Scope.tenant, "t", "", "", 0)
    short = Shortage(rule, key, "usd", 2_000_000 * NANOS_PER_USD, 1_999_999_999_999_999, 0, 15_000_000, "m")
    assert short.sentence == (
        "The budget of tenant t has no room for this call: 1999999.999999999 of 2000000 usd are gone, and this call "
        "takes up to 0.015"
    )
    gone = short._replace(spent=short.limit).sentence
    assert gone.startswith("The budget of tenant t is spent: 2000000 of 2000000 usd are gone")


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        ("minute", "2028-02-29T23:59:00", "2028-03-01T00:00:00"),
        ("hour", "2028-02-29T23:00:00", "2028-03-01T00:00:00"),
        ("day", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_windows_are_of_utc(per: Per, start: str, end: str) -> None:
    for inside in ("2028-02-29T23:59:00.000", "2028-02-29T23:59:59.999"):
        assert window_start(per, moment(inside)) == moment(start)
    assert window_end(per, moment(start)) == moment(end)
    assert window_start(per, moment(end)) == moment(end)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_ends_where_the_next_begins(month: int) -> None:
    after = f"{2026 + month // 12}-{month % 12 + 1:02}-01"
    assert window_end("month", moment(f"2026-{month:02}-01")) == moment(after)


def test_without_a_window_it_is_all_time() -> None:
    assert (window_start("", moment("2026-11-21")), window_end("", 0)) == (0, None)


def test_which_rules_count_and_in_which_ledgers_a_call_stands() -> None:
    budget, daily = Budget(requests=1), Budget(requests=1, per="day")
    rules = [
        BudgetRule(Scope.run, None, budget),
        BudgetRule(Scope.run, "a", budget),
        BudgetRule(Scope.correlation, "b", budget),
        BudgetRule(Scope.agent, None, daily),
        BudgetRule(Scope.agent, "b", budget),
        BudgetRule(Scope.tenant, "t", budget),
        BudgetRule(Scope.tenant, "other", budget),
    ]
    budgets, at = Budgets(rules), moment("2026-11-21T10:00")
    assert [key for _, key in budgets.ledgers(call(began_at=at))] == [
        LedgerKey(Scope.run, "run", "", "", 0),
        LedgerKey(Scope.run, "run", "a", "", 0),
        LedgerKey(Scope.agent, "a", "", "day", moment("2026-11-21")),
        LedgerKey(Scope.tenant, "t", "", "", 0),
    ]
    assert [rule.name for rule in budgets.counting("b", "other")] == [None, "b", None, "b", "other"]
    assert Budgets().counting("a", "t") == ()


def test_the_digest_is_of_what_is_counted_not_of_how_much() -> None:
    def digest(*rules: BudgetRule) -> bytes:
        return Budgets(rules).digest

    one = BudgetRule(Scope.run, None, Budget(requests=1))
    assert digest(one) == digest(BudgetRule(Scope.run, None, Budget(tokens=9)), one)
    others = [
        BudgetRule(Scope.run, "a", Budget(requests=1)),
        BudgetRule(Scope.agent, None, Budget(requests=1)),
        BudgetRule(Scope.run, None, Budget(requests=1, per="hour")),
    ]
    assert len({digest(), digest(one), *map(digest, others)}) == 5
