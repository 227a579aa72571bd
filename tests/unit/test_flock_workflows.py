"""`flock.workflow`: what can be asked for by name."""

from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Flock
from flockd.domain.workflow import Phase, Workflow
from flockd.flock import DeclarationError


class Requirements(BaseModel):
    requirements: str


class Plan(BaseModel):
    steps: list[str]


class Code(BaseModel):
    code: str


class Proof(BaseModel):
    passed: bool


def flock_with_agents() -> Flock:
    flock = Flock()

    @flock.agent
    async def planner(requirements: Requirements) -> Plan:
        return Plan(steps=[])

    @flock.agent
    async def coder(plan: Plan) -> tuple[Code, Proof]:
        return Code(code=""), Proof(passed=True)

    return flock


def test_a_workflow_has_a_start_and_phases_in_order() -> None:
    flock = flock_with_agents()
    flock.workflow(
        "full", start=Requirements, phases={"plan": Plan, "code": [Code, "Proof", Code]}, description="All."
    )
    flock.workflow("short", start="Plan", phases={"code": ["Code"]})
    assert flock.workflows() == (
        Workflow(
            "full", "Requirements", (Phase("plan", ("Plan",)), Phase("code", ("Code", "Proof"))), "All."
        ),
        Workflow("short", "Plan", (Phase("code", ("Code",)),)),
    )
    flock.validate()
    assert flock.warnings() == []


def test_classes_become_types_by_being_named() -> None:
    flock = Flock()
    flock.workflow("full", start=Requirements, phases={"plan": [Plan]})
    assert list(flock.types()) == ["Requirements", "Plan"]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("9", {}, "workflow '9': a name begins with a letter and has up to 64 letters, digits, _ and -"),
        ("external", {}, "workflow external: this name stands for what clients publish"),
        ("full", {"start": "Plann"}, "workflow full: there is no artifact type Plann: did you mean Plan?"),
        (
            "full",
            {"start": [Plan, Code]},
            "workflow full: start= names 2 types: name the one that sets it off",
        ),
        ("full", {"start": 5}, "workflow full: start= has 5, which is no artifact type"),
        (
            "full",
            {"phases": {}},
            "workflow full: it has no phases: name at least one, with the types that end it",
        ),
        ("full", {"phases": [Plan]}, "workflow full: phases is [<class"),
        (
            "full",
            {"phases": {"plan": []}},
            "workflow full: the phase plan names no type: name the artifact types",
        ),
        (
            "full",
            {"phases": {"plan": [5]}},
            "workflow full: phases['plan']= has 5, which is no artifact type",
        ),
        (
            "full",
            {"phases": {"plan": ["Nix"]}},
            "workflow full: there is no artifact type Nix: declare it first",
        ),
        (
            "full",
            {"phases": {" ": [Plan]}},
            "workflow full: a phase is called ' ': a phase has a name of up to 64",
        ),
        (
            "full",
            {"phases": {5: [Plan]}},
            "workflow full: a phase is called 5: a phase has a name of up to 64",
        ),
        ("full", {"phases": {"x" * 65: [Plan]}}, "workflow full: a phase is called 'xxxx"),
        ("full", {"phases": {"a\nb": [Plan]}}, "workflow full: a phase is called 'a\\nb'"),
    ],
)
def test_what_is_declared_wrongly_is_a_sentence(name: str, options: dict[str, Any], sentence: str) -> None:
    flock = flock_with_agents()
    with pytest.raises(DeclarationError) as wrong:
        flock.workflow(name, **{"start": Requirements, "phases": {"plan": [Plan]}, **options})
    assert str(wrong.value).startswith(sentence)
    assert flock.workflows() == ()


def test_a_name_is_taken_once_in_any_spelling_but_an_agent_may_have_it_too() -> None:
    flock = flock_with_agents()
    flock.workflow("code_review", start=Plan, phases={"code": [Code]})
    with pytest.raises(DeclarationError) as wrong:
        flock.workflow("Code-Review", start=Plan, phases={"code": [Code]})
    assert str(wrong.value) == (
        "workflow Code-Review: there is already a workflow code_review (case and - or _ make no difference): "
        "rename one"
    )
    flock.workflow("planner", start=Plan, phases={"code": [Code]})
    assert [workflow.name for workflow in flock.workflows()] == ["code_review", "planner"]


def test_what_nobody_publishes_is_a_warning_because_a_client_may() -> None:
    flock = flock_with_agents()
    flock.workflow("odd", start=Proof, phases={"plan": [Plan], "approve": [Requirements, Code]})
    flock.validate()
    assert flock.warnings() == [
        "workflow odd: no agent wakes on Proof, which starts it: it ends where it begins",
        "workflow odd: no agent publishes Requirements, which ends the phase approve: it will not end unless a "
        "client publishes one into the correlation",
    ]


def test_include_takes_workflows_over() -> None:
    flock, other = Flock(), flock_with_agents()
    other.workflow("full", start=Requirements, phases={"plan": [Plan]})
    flock.include(other)
    assert flock.workflows() == other.workflows()
    with pytest.raises(
        DeclarationError, match=r"^workflow full: there is already a workflow full: rename one"
    ):
        again = Flock()
        again.workflow("full", start=Requirements, phases={"plan": [Plan]})
        flock.include(again)
