"""A review: what the bug analysis and the complexity report of one submission say together."""

from typing import Literal

from pydantic import BaseModel, Field

from flockd.demo.bugs import BugAnalysis, Severity
from flockd.demo.complexity import ComplexityRank, ComplexityReport, FunctionComplexity, MaintainabilityRank

APPROVAL_SCORE = 60
"""A review below this asks for changes even where nothing is broken."""

# What is taken off a score of 100, and the most that one kind of trouble may take: a hundred unused imports
# are untidy, not worse than one bug.
_ERROR_COST, _ERROR_COST_MAX = 20, 80
_WARNING_COST, _WARNING_COST_MAX = 4, 30
_COMPLEXITY_COST: dict[ComplexityRank, int] = {"A": 0, "B": 0, "C": 5, "D": 10, "E": 15, "F": 20}
_COMPLEXITY_COST_MAX = 40
_MAINTAINABILITY_COST: dict[MaintainabilityRank, int] = {"A": 0, "B": 5, "C": 10}

_ADVICE: dict[ComplexityRank, str] = {
    "C": "consider splitting it",
    "D": "split it into smaller functions",
    "E": "split it: it is hard to test as it is",
    "F": "split it: nobody can test every path of it",
}


class Remark(BaseModel):
    """One sentence about one line."""

    line: int = Field(ge=1)
    severity: Severity
    message: str
    source: Literal["bugs", "complexity"]


class CodeReview(BaseModel):
    """The review of one submission. Remarks: errors before warnings, each by line."""

    filename: str | None = None
    verdict: Literal["approve", "request changes"]
    score: int = Field(ge=0, le=100)
    summary: str
    remarks: list[Remark]


def review_code(bugs: BugAnalysis, complexity: ComplexityReport) -> CodeReview:
    """Join both reports. Any error, or a score under `APPROVAL_SCORE`, asks for changes."""
    remarks = [
        Remark(line=finding.line, severity=finding.severity, message=finding.message, source="bugs")
        for finding in bugs.findings
    ]
    remarks += [_complexity_remark(function) for function in complexity.functions if function.rank in _ADVICE]
    remarks.sort(key=lambda remark: (remark.severity, remark.line))
    score = _score(bugs, complexity)
    return CodeReview(
        filename=bugs.filename,
        verdict="request changes" if bugs.errors or score < APPROVAL_SCORE else "approve",
        score=score,
        summary=_summary(bugs, complexity),
        remarks=remarks,
    )


def _complexity_remark(function: FunctionComplexity) -> Remark:
    measure = f"{function.name} has a complexity of {function.complexity} ({function.rank})"
    message = f"{measure}: {_ADVICE[function.rank]}"
    return Remark(line=function.line, severity="warning", message=message, source="complexity")


def _score(bugs: BugAnalysis, complexity: ComplexityReport) -> int:
    score = 100
    score -= min(bugs.errors * _ERROR_COST, _ERROR_COST_MAX)
    score -= min(bugs.warnings * _WARNING_COST, _WARNING_COST_MAX)
    score -= min(
        sum(_COMPLEXITY_COST[function.rank] for function in complexity.functions), _COMPLEXITY_COST_MAX
    )
    if complexity.maintainability_rank is not None:
        score -= _MAINTAINABILITY_COST[complexity.maintainability_rank]
    return max(score, 0)


def _summary(bugs: BugAnalysis, complexity: ComplexityReport) -> str:
    counts = [_count(bugs.errors, "error"), _count(bugs.warnings, "warning")]
    found = " and ".join(count for count in counts if count) or "No findings"
    sentences = [f"{found} in {_count(complexity.raw.loc, 'line') or 'an empty source'}."]
    if complexity.functions:
        worst = complexity.functions[0]
        sentences.append(
            f"{_count(complexity.function_count, 'function')}, the most complex is {worst.name}"
            f" in line {worst.line} ({worst.complexity}, rank {worst.rank})."
        )
    if complexity.maintainability_index is not None:
        sentences.append(f"Maintainability index {complexity.maintainability_index:.0f} of 100.")
    if complexity.unmeasured is not None:
        sentences.append("Its complexity could not be measured.")
    return " ".join(sentences)


def _count(number: int, noun: str) -> str:
    """`2 errors`, `1 error`, or an empty string for none."""
    return "" if number == 0 else f"{number} {noun}" if number == 1 else f"{number} {noun}s"
