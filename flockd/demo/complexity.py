"""How complex Python source is, measured with radon."""

import ast
import io
import tokenize
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, Field
from radon.complexity import add_inner_blocks, cc_rank  # type: ignore[import-untyped]
from radon.metrics import h_visit_ast, mi_compute, mi_rank  # type: ignore[import-untyped]
from radon.visitors import ComplexityVisitor, Function  # type: ignore[import-untyped]

from flockd.demo.source import CodeSubmission, clip, parse_source

FUNCTIONS_MAX = 200
"""Functions that one report lists, the most complex first; `function_count` counts all."""

ComplexityRank = Literal["A", "B", "C", "D", "E", "F"]
MaintainabilityRank = Literal["A", "B", "C"]

_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


class FunctionComplexity(BaseModel):
    """One function or method. Ranks: A 1–5, B 6–10, C 11–20, D 21–30, E 31–40, F above."""

    name: str = Field(description="Qualified by its class and the functions around it")
    line: int = Field(ge=1)
    complexity: int = Field(ge=1, description="Cyclomatic: the number of independent paths")
    rank: ComplexityRank


class RawMetrics(BaseModel):
    """Lines of each kind. A line may hold code and a comment; a docstring is not code."""

    loc: int = Field(default=0, ge=0, description="All lines")
    sloc: int = Field(default=0, ge=0, description="Lines with code")
    lloc: int = Field(default=0, ge=0, description="Statements")
    comments: int = Field(default=0, ge=0, description="Lines with a comment")
    docstrings: int = Field(default=0, ge=0, description="Lines of docstrings")
    blank: int = Field(default=0, ge=0, description="Lines with nothing, outside of strings")


class ComplexityReport(BaseModel):
    """The measures of one submission. Source that cannot be parsed has only `raw.loc`, and says why."""

    filename: str | None = None
    functions: list[FunctionComplexity] = Field(description="The most complex first")
    function_count: int = Field(ge=0)
    average_complexity: float = Field(ge=0, description="Of all functions; 0 if there is none")
    maintainability_index: float | None = Field(default=None, ge=0, le=100, description="100 is best")
    maintainability_rank: MaintainabilityRank | None = None
    raw: RawMetrics
    unmeasured: str | None = Field(default=None, description="Why there are no measures")


def measure_complexity(submission: CodeSubmission) -> ComplexityReport:
    """Measure a submission, in time linear in its length. No input raises."""
    parsed = parse_source(submission.code)
    if parsed.tree is None:
        reason = parsed.error.message if parsed.error else "Unreadable source"
        return _unmeasured(submission, reason)
    try:
        return _measure(submission, parsed.tree)
    except RecursionError:
        return _unmeasured(submission, "Nested too deeply to be measured")


def _measure(submission: CodeSubmission, tree: ast.Module) -> ComplexityReport:
    visitor = ComplexityVisitor.from_ast(tree)
    functions = [
        FunctionComplexity(
            name=clip(block.fullname),
            line=block.lineno,
            complexity=block.complexity,
            rank=cc_rank(block.complexity),
        )
        for block in add_inner_blocks(visitor.blocks)
        if isinstance(block, Function)
    ]
    functions.sort(key=lambda function: (-function.complexity, function.line))
    raw = _raw_metrics(submission.code, tree)
    index = _maintainability_index(tree, visitor.total_complexity, raw)
    return ComplexityReport(
        filename=submission.filename,
        functions=functions[:FUNCTIONS_MAX],
        function_count=len(functions),
        average_complexity=round(sum(f.complexity for f in functions) / max(len(functions), 1), 2),
        maintainability_index=round(index, 2),
        maintainability_rank=mi_rank(index),
        raw=raw,
    )


def _unmeasured(submission: CodeSubmission, reason: str) -> ComplexityReport:
    return ComplexityReport(
        filename=submission.filename,
        functions=[],
        function_count=0,
        average_complexity=0,
        raw=RawMetrics(loc=len(submission.code.splitlines())),
        unmeasured=reason,
    )


def _maintainability_index(tree: ast.Module, complexity: int, raw: RawMetrics) -> float:
    """radon's index, without radon's counting of lines, which is quadratic in the length of a statement."""
    comment_percent = (raw.comments + raw.docstrings) / raw.sloc * 100 if raw.sloc else 0.0
    return float(mi_compute(h_visit_ast(tree).total.volume, complexity, raw.lloc, comment_percent))


def _raw_metrics(code: str, tree: ast.Module) -> RawMetrics:
    docstring_lines: set[int] = set()
    statements = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            statements += 1
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            docstring_lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code_lines: set[int] = set()
    comment_lines: set[int] = set()
    for token in _tokens(code):
        if token.type == tokenize.COMMENT:
            comment_lines.add(token.start[0])
        elif token.type not in _LAYOUT:
            code_lines.update(range(token.start[0], token.end[0] + 1))
    lines = io.StringIO(code).readlines()
    return RawMetrics(
        loc=len(lines),
        sloc=len(code_lines - docstring_lines),
        lloc=statements,
        comments=len(comment_lines),
        docstrings=len(docstring_lines),
        blank=sum(not line.strip() and number not in code_lines for number, line in enumerate(lines, 1)),
    )


def _tokens(code: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens of source that has been parsed. `tokenize` is stricter in corners (a form feed in an
    indentation, a lone carriage return): then the count ends there, and the rest of the report stands."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(code).readline)
    except (tokenize.TokenError, SyntaxError):
        return
