"""The code of a plan: a module with a function for each step, and its tests.

The code of the functions is copied from the catalogue as syntax trees. Words of the requirements come into it
in two places only: as names, which `flockd.demo.names` has made, and as the text of docstrings. They are never
read as code.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, Field

from flockd.demo.catalogue import OPERATIONS
from flockd.demo.catalogue.unknown import test_unimplemented, unimplemented
from flockd.demo.names import ModuleName
from flockd.demo.plan import Plan, Step
from flockd.demo.source import parsing


class GeneratedCode(BaseModel):
    """A module and its tests, both Python source."""

    module: ModuleName
    generated_code: str
    generated_tests: str = Field(description="Functions `test_…`, for pytest or any other runner")
    unimplemented: list[str] = Field(description="The functions that nobody has written yet: they say so")


def assemble(plan: Plan) -> GeneratedCode:
    """Write the code of a plan."""
    functions: list[ast.stmt] = []
    tests: list[ast.stmt] = []
    imports: dict[str, ast.stmt] = {}
    test_imports: dict[str, ast.stmt] = {"subject": _import_subject(plan.module)}
    for step in plan.steps:
        function, test = _sources(step)
        functions.append(
            _renamed(function, {function.__name__: ast.Name(step.name)}, step.name, step.sentence)
        )
        imports |= _imports(function)
        subject = ast.Attribute(ast.Name("subject"), step.name)
        tests.append(_renamed(test, {function.__name__: subject}, f"test_{step.name}", ""))
        test_imports |= _imports(test)
    return GeneratedCode(
        module=plan.module,
        generated_code=_source(plan.title, imports, functions),
        generated_tests=_source(f"Tests of {plan.module}.", test_imports, tests),
        unimplemented=[step.name for step in plan.steps if step.operation is None],
    )


def _sources(step: Step) -> tuple[Callable[..., Any], Callable[[], None]]:
    if step.operation is None:
        return unimplemented, test_unimplemented
    operation = OPERATIONS[step.operation]
    return operation.function, operation.test


def _renamed(
    function: Callable[..., Any], names: Mapping[str, ast.expr], name: str, sentence: str
) -> ast.FunctionDef:
    """A copy of a function of the catalogue under another name, and with `sentence` in its docstring."""
    (definition,) = _tree(function).body
    assert isinstance(definition, ast.FunctionDef)
    _Rename(names).visit(definition)
    definition.name = name
    if sentence:
        said = f"{inspect.getdoc(function)}\n\nRequired: {sentence}"
        documentation = sentence if function is unimplemented else said
        definition.body[0] = ast.Expr(ast.Constant(_indented(documentation)))
    return definition


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._names.get(node.id, node)


def _imports(function: Callable[..., Any]) -> dict[str, ast.stmt]:
    """The imports of the catalogue's file that a function needs, each by the name that it binds."""
    used = {node.id for node in ast.walk(_tree(function)) if isinstance(node, ast.Name)}
    module = inspect.getmodule(function)
    assert module is not None
    found: dict[str, ast.stmt] = {}
    for statement in _tree(module).body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                if alias.name in used:
                    one = (
                        ast.Import([alias])
                        if isinstance(statement, ast.Import)
                        else ast.ImportFrom(statement.module, [alias], 0)
                    )
                    found[alias.name] = one
    return found


def _import_subject(module: str) -> ast.stmt:
    return ast.Import([ast.alias(module, "subject")])


def _source(title: str, imports: Mapping[str, ast.stmt], body: list[ast.stmt]) -> str:
    parts = [ast.unparse(ast.Module([ast.Expr(ast.Constant(title))], []))]
    if imports:
        lines = sorted(map(_unparse, imports.values()), key=lambda line: (line.startswith("from"), line))
        parts.append("\n".join(lines))
    head = "\n\n".join(parts)
    return "\n\n\n".join([head, *map(_unparse, body)]) + "\n"


def _unparse(statement: ast.stmt) -> str:
    return ast.unparse(ast.fix_missing_locations(statement))


def _indented(documentation: str) -> str:
    """A docstring of several lines as people write it in a function: indented, with its quotes on a line."""
    if "\n" not in documentation:
        return documentation
    return "\n    ".join(documentation.split("\n")).replace("\n    \n", "\n\n") + "\n    "


def _tree(what: Any) -> ast.Module:
    with parsing:
        return ast.parse(_text(what))


@cache
def _text(what: Any) -> str:
    return inspect.getsource(what)
