"""The examples of docs/budgets.md are right: its tables load, its agents are declared, its figures have all fields."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from flockd import DeclarationError, Flock
from flockd.api import answers
from flockd.config import Config
from flockd.domain.budget import Budget, BudgetRule, Scope
from flockd.loading import budget_rules

TEXT = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def flock() -> Flock:
    program: dict[str, Any] = {"__name__": "budgets"}
    (code,) = blocks("python")
    exec(code, program)
    made: Flock = program["flock"]
    return made


def test_the_rules_of_the_page(flock: Flock) -> None:
    (toml,) = blocks("toml")
    assert budget_rules(Config.model_validate(tomllib.loads(toml)), flock) == (
        BudgetRule(Scope.tenant, None, Budget(usd=200, per="month")),
        BudgetRule(Scope.agent, "summariser", Budget(requests=1000, per="hour")),
        BudgetRule(Scope.correlation, None, Budget(tokens=500_000)),
        BudgetRule(Scope.run, None, Budget(requests=20)),
        BudgetRule(Scope.agent, "summariser", Budget(requests=200, usd=5.0, per="day")),
    )


@pytest.mark.parametrize("scope", ["run", "correlation", "agent"])
def test_the_name_of_no_agent_is_refused(flock: Flock, scope: str) -> None:
    config = Config.model_validate({"budgets": [{"scope": scope, "name": "Sumariser", "requests": 1}]})
    with pytest.raises(DeclarationError, match="there is no agent Sumariser: did you mean summariser"):
        budget_rules(config, flock)


def test_names_are_spelled_as_everywhere_and_tenants_are_not_agents(flock: Flock) -> None:
    rules = [
        {"scope": "run", "name": "SUMMARISER", "requests": 1},
        {"scope": "tenant", "name": "acme", "usd": 1},
    ]
    found = budget_rules(Config.model_validate({"budgets": rules}), flock)
    assert [rule.name for rule in found] == ["summariser", "acme", "summariser"]


def test_the_answers_have_all_fields() -> None:
    usage, budgets = map(json.loads, blocks("json"))
    for document, model in ((usage, answers.UsageSums), (budgets, answers.Budgets)):
        model.model_validate(document)
        assert set(document) == set(model.model_fields)
    for took in (usage["totals"], *usage["by_agent"].values(), *usage["by_model"].values()):
        assert set(took) == set(answers.Usage.model_fields)
    (budget,) = budgets["budgets"]
    assert set(budget) == set(answers.Budget.model_fields)


def test_every_scope_is_told() -> None:
    assert re.findall(r"^\| `(\w+)` \| each", TEXT, re.MULTILINE) == [scope.value for scope in Scope]
