"""The rules of matching, as they explain themselves."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from flockd.domain.agent import Agent
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.predicate import compile_where
from flockd.domain.rules import RULES, check_all
from flockd.domain.subscription import Candidate, Matcher, Subscription
from flockd.domain.visibility import PUBLIC, After, Labelled, Private, Tenant
from flockd.domain.where import WherePayload, WhereValue


def agent(
    *types: str, labels: frozenset[str] = frozenset(), tenant: str | None = None, **rules: Any
) -> Agent:
    return Agent("reader", Subscription(types or ("Idea",), **rules), (), labels=labels, tenant=tenant)


def candidate(
    payload: Any = None, by: str = "external", tags: tuple[str, ...] = (), visibility: Any = PUBLIC
) -> Candidate:
    return Candidate("Idea", orjson.dumps(payload or {}), payload, by, tags, visibility)


def python_only(value: Any) -> bool:
    return bool(value["language"] == "python")


PYTHON = WherePayload(compile_where("language == 'python' && size < `10`"))


@pytest.mark.parametrize(
    ("who", "what", "rule", "detail"),
    [
        (agent("Note", "Plan"), candidate(), "type", "Its type is Idea; the agent takes Note, Plan"),
        (
            agent(),
            candidate(by="reader"),
            "prevent_self_trigger",
            "It was produced by reader; the agent is not woken by what it produced itself",
        ),
        (
            agent(from_agents=frozenset({"planner", "coder"})),
            candidate(),
            "from_agents",
            "It was produced by external; the agent takes what was produced by coder, planner",
        ),
        (
            agent(tags=frozenset({"a", "b"})),
            candidate(tags=("a", "c")),
            "tags",
            "Its tags: a, c; the agent asks for: a, b",
        ),
        (
            agent(),
            candidate(visibility=Tenant(tenant_id="acme")),
            "tenant",
            "Only the tenant acme sees it; the agent's tenant: none",
        ),
        (
            agent(),
            candidate(visibility=Private(agents=("writer",))),
            "visibility",
            "Private: only these agents see it: writer",
        ),
        (
            agent(labels=frozenset({"cleared"})),
            candidate(visibility=Labelled(required_labels=("cleared", "senior"))),
            "visibility",
            "Labelled: agents need cleared, senior; the agent's labels: cleared",
        ),
        (
            agent(),
            candidate(visibility=After(ttl=1.5, then=Private(agents=("reader",)))),
            "visibility",
            "After: no agent sees it before 1.5 s are over since it was published; then it is Private",
        ),
        (
            agent(where=PYTHON),
            candidate({"language": "rust", "size": 3}),
            "where",
            'where "language == \'python\' && size < `10`" is false: language is "rust", size is 3',
        ),
        (
            agent(where=WhereValue(python_only)),
            candidate({"language": "rust"}),
            "where",
            "where python_only is false",
        ),
        (
            agent(where=WhereValue(python_only)),
            candidate({"size": 1}),
            "where",
            "where python_only raised KeyError: 'language', which is no match",
        ),
        (
            agent("Idea", "Note", gathering=JoinSpec(by="order.id", within="1h")),
            candidate({"order": {}}),
            "key",
            "JoinSpec(by='order.id', within=3600) finds no key",
        ),
    ],
)
def test_each_rule_says_why_it_refuses(who: Agent, what: Candidate, rule: str, detail: str) -> None:
    checks = {check.rule: check for check in check_all(who, what)}
    assert list(checks) == (["type"] if rule == "type" else [one.name for one in RULES])
    assert (checks[rule].passed, checks[rule].detail) == (False, detail)
    assert next(name for name, check in checks.items() if not check.passed) == rule
    assert Matcher([who]).match(what) == ()


def test_what_passes_says_why_too() -> None:
    who = agent(
        from_agents=frozenset({"external"}),
        tags=frozenset({"a"}),
        where=PYTHON,
        gathering=JoinSpec(by="size", within=60),
        tenant="acme",
    )
    what = candidate({"language": "python", "size": 3}, tags=("a",), visibility=Tenant(tenant_id="acme"))
    checks = check_all(who, what)
    assert all(check.passed for check in checks)
    assert Matcher([who]).match(what) == (who,)
    assert checks[-1].detail == "JoinSpec(by='size', within=60) finds the key 3"
    plain = {check.rule: check.detail for check in check_all(agent(), candidate())}
    assert plain["from_agents"].endswith("produced by anybody")
    assert plain["where"] == "The agent has no predicate"
    assert plain["visibility"] == "Its visibility is Public"


def test_a_predicate_never_sees_another_type() -> None:
    asked: list[Any] = []
    who = agent("Note", where=WhereValue(asked.append))
    assert [check.rule for check in check_all(who, candidate())] == ["type"]
    assert asked == []


def test_a_batch_needs_no_key() -> None:
    checks = check_all(agent(gathering=BatchSpec(size=3, timeout="1m")), candidate())
    assert checks[-1] == ("key", True, "BatchSpec(size=3, timeout=60) needs no key")


def test_a_long_value_is_shortened() -> None:
    checks = check_all(
        agent(where=WherePayload(compile_where("contains(text, 'x')"))), candidate({"text": "y" * 999})
    )
    (where,) = [check for check in checks if check.rule == "where"]
    assert where.detail.endswith("y…")
    assert len(where.detail) < 300


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a.b[0].c > `7` && !contains(tags, 'x')", {"a.b[0].c": 3, "tags": ["x"]}),
        ("(@.a == `1` || @.a == `2`)", {"@.a": {"b": [{"c": 3}]}}),
        ('"odd name".x != `null`', {'"odd name".x': None}),
        ("tags[0]", {"tags[0]": "x"}),
        ("length(tags) > `1`", {"tags": ["x"]}),
        ("`true`", {}),
    ],
)
def test_an_expression_tells_what_it_reads(expression: str, values: dict[str, Any]) -> None:
    compiled = compile_where(expression)
    assert compiled.values({"a": {"b": [{"c": 3}]}, "tags": ["x"]}) == values
    assert compiled.text == expression
