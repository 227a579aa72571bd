"""Generated code: it stands alone, it works, and words of the requirements are never code in it."""

import ast
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.demo.assemble import GeneratedCode, assemble
from flockd.demo.bugs import find_bugs
from flockd.demo.catalogue import FAMILIES, OPERATIONS
from flockd.demo.complexity import measure_complexity
from flockd.demo.plan import STEPS_MAX, Plan, Step, make_plan
from flockd.demo.requirements import Requirements
from flockd.demo.review import review_code
from flockd.demo.source import SOURCE_MAX_CHARACTERS, CodeSubmission


def generated(text: str) -> GeneratedCode:
    return assemble(make_plan(Requirements(requirements=text)))


def module(code: GeneratedCode) -> dict[str, Any]:
    """The names of the generated module, run here: it comes from the catalogue alone."""
    names: dict[str, Any] = {}
    exec(compile(code.generated_code, "generated", "exec"), names)
    return names


def test_a_calculator_calculates() -> None:
    code = generated("Create a calculator")
    calculator = module(code)
    assert calculator["add"](2, 3) == 5
    assert calculator["divide"](1, 4) == 0.25
    assert calculator["calculate"]("2 * (3 + 4) - -1") == 15
    assert (code.module, code.unimplemented) == ("calculator", [])
    assert calculator["add"].__doc__ == ("The sum of two numbers.\n\n    Required: Create a calculator\n    ")


def test_one_operation_may_be_there_under_several_names() -> None:
    names = module(generated("Sort the users. Sort the orders"))
    assert names["sort_users"]([2, 1]) == names["sort_orders"]([2, 1]) == [1, 2]


def test_what_nobody_knows_how_to_write_says_so_and_its_test_is_skipped() -> None:
    code = generated("Fly to the moon")
    assert code.unimplemented == ["fly_moon"]
    with pytest.raises(NotImplementedError):
        module(code)["fly_moon"](1, speed=2)
    assert "raise unittest.SkipTest" in code.generated_tests


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_stands_alone(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.test.__name__ == f"test_{name}"
    plan = Plan(title="One", module="one", steps=[Step(name="renamed", sentence="It.", operation=name)])
    code = assemble(plan)
    for source in (code.generated_code, code.generated_tests):
        submission = CodeSubmission(code=source)
        review = review_code(find_bugs(submission), measure_complexity(submission))
        assert (review.verdict, review.remarks) == ("approve", [])
    defined = [node.name for node in ast.parse(code.generated_code).body if isinstance(node, ast.FunctionDef)]
    assert defined == ["renamed"]
    assert "subject.renamed(" in code.generated_tests


def test_families_name_what_exists() -> None:
    operations = [operation for family in FAMILIES for operation in family.operations]
    assert len(OPERATIONS) == len(operations)
    for family in FAMILIES:
        assert set(family.whole) <= set(OPERATIONS)
        assert bool(family.products) == bool(family.whole)


def test_the_longest_module_is_one_that_the_reviewers_read() -> None:
    longest = max(
        OPERATIONS,
        key=lambda name: len(assemble(_plan(Step(name="x", sentence="", operation=name))).generated_code),
    )
    steps = [Step(name=f"{'x' * 40}_{n}", sentence="s" * 300, operation=longest) for n in range(STEPS_MAX)]
    code = assemble(_plan(*steps))
    assert len(code.generated_code) < SOURCE_MAX_CHARACTERS


HOSTILE = [
    '"""\nimport os\nos.system("true")\n"""',
    "add numbers'''); import os; os.remove('x'); ('''",
    "Add numbers \\N{LATIN SMALL LETTER A} \\x41 \\",
    'Add {__import__("os")} numbers %s {0}',
    "def add(a, b): return __import__('os')",
    "add\x00numbers\x1b[31m\u202e\ufeff",
    "\\",
    '"',
    "Sort a list '''",
    'Sort a list """',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_code_in_the_requirements_stays_text(text: str) -> None:
    _only_functions_of_the_plan(text)


@given(
    st.text(
        alphabet=st.sampled_from("\"'\\{}()#\n\r\t ;:=addsortlst\x00é中\u2028%N"), min_size=1, max_size=80
    )
)
def test_no_text_becomes_code(text: str) -> None:
    _only_functions_of_the_plan(text)


@given(st.text(min_size=1, max_size=60), st.sampled_from(["add", None]))
def test_no_text_in_a_plan_of_others_becomes_code(text: str, operation: str | None) -> None:
    plan = Plan(title=text, module="planned", steps=[Step(name="it", sentence=text, operation=operation)])
    title, *_, function = ast.parse(assemble(plan).generated_code).body
    assert isinstance(title, ast.Expr)
    assert isinstance(title.value, ast.Constant)
    assert title.value.value == text
    assert isinstance(function, ast.FunctionDef)
    assert (function.name, len(function.body)) == ("it", 2)


def _only_functions_of_the_plan(text: str) -> None:
    """Beside a docstring and imports the module has the functions of its plan, each the catalogue's code."""
    plan = make_plan(Requirements(requirements=text))
    code = assemble(plan)
    title, *body = ast.parse(code.generated_code).body
    assert isinstance(title, ast.Expr)
    functions = [node for node in body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    for step, function in zip(plan.steps, functions, strict=True):
        assert isinstance(function, ast.FunctionDef)
        assert function.name == step.name
        plain = Step(name="plain", sentence="plain", operation=step.operation)
        (expected,) = (
            node
            for node in ast.parse(assemble(_plan(plain)).generated_code).body
            if isinstance(node, ast.FunctionDef)
        )
        assert [ast.dump(node) for node in function.body[1:]] == [
            ast.dump(node) for node in expected.body[1:]
        ]
        assert step.sentence in (ast.get_docstring(function, clean=False) or "")
    tests = [node for node in ast.parse(code.generated_tests).body if isinstance(node, ast.FunctionDef)]
    assert [test.name for test in tests] == [f"test_{step.name}" for step in plan.steps]


def _plan(*steps: Step) -> Plan:
    return Plan(title="A plan", module="planned", steps=list(steps))


def test_several_threads_write_and_read_code_at_once() -> None:
    """Another thread comes in wherever a parse makes objects: a collector that has something to say lets it in."""
    plan = make_plan(Requirements(requirements="Create a calculator"))
    source = CodeSubmission(code=assemble(plan).generated_code)
    thresholds = gc.get_threshold()
    gc.callbacks.append(_let_others_in)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as threads:
            written = [threads.submit(assemble, plan) for _ in range(8)]
            read = [threads.submit(find_bugs, source) for _ in range(8)]
        assert all(one.result().generated_code == source.code for one in written)
        assert len({one.result().model_dump_json() for one in read}) == 1
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(_let_others_in)


def _let_others_in(phase: str, _info: dict[str, int]) -> None:
    if phase == "start":
        time.sleep(0)
