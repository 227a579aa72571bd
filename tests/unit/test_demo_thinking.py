"""The demo with a model: it plans and writes code, which is reviewed and never run."""

from typing import Any

import pytest

from flockd.demo.assemble import GeneratedCode
from flockd.demo.flocks import flock, thinking_flock
from flockd.demo.plan import Plan, Step
from flockd.demo.requirements import Requirements
from flockd.demo.thinking import NOT_RUN
from flockd.dialects.workflows.session import Progression
from flockd.testing import Asked, ScriptedModel, flock_test

pytest.importorskip("pydantic_ai")

PLAN = Plan(
    title="Adds numbers",
    module="adder",
    steps=[Step(name="add", sentence="Add two numbers.")],
)
CODE = GeneratedCode(
    module="adder",
    generated_code="def add(a, b):\n    return a + b\n",
    generated_tests="open('/tmp/flockd-was-here', 'w')\n",
    unimplemented=[],
)


def writer(asked: Asked) -> Any:
    return PLAN if asked.outputs == ("Plan",) else CODE


async def test_the_whole_workflow() -> None:
    thinking_flock.validate()
    model = ScriptedModel(writer)
    async with flock_test(thinking_flock, model=model) as board:
        made = {one.type: one.value for one in await board.run(Requirements(requirements="Add two numbers."))}
    assert (made["Plan"], made["GeneratedCode"]) == (PLAN, CODE)
    assert made["SuiteReport"].tests_stopped == NOT_RUN
    assert made["SuiteReport"].tests_run == 0
    assert made["CodeReview"].verdict == "approve"
    planner, coder = model.asked
    assert "Add two numbers." in planner.prompt
    assert '"module":"adder"' in coder.prompt


def test_both_have_the_same_workflows_and_say_who_does_them() -> None:
    engines = []
    for each in (flock, thinking_flock):
        (full,) = [workflow for workflow in each.workflows() if workflow.name == "full"]
        engines.append(Progression(full, each.agents()).engine)
    assert engines == ["function", "function+llm"]
    assert flock.workflows() == thinking_flock.workflows()
