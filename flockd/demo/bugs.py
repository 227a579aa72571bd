"""Bugs in Python source, found by pyflakes without running it."""

import ast
import time
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field
from pyflakes import messages  # type: ignore[import-untyped]
from pyflakes.checker import Checker  # type: ignore[import-untyped]

from flockd.demo.source import CodeSubmission, clip, parse_source

FINDINGS_MAX = 200
"""Findings that one analysis lists; the counts are of all. Past this nobody reads on, and the artifact stays
small."""

ANALYSIS_SECONDS = 10.0
"""Wall-clock bound of one analysis. pyflakes is linear on code that people write, but quadratic on some that
they do not (one name redefined ten thousand times in one `try`)."""

Severity = Literal["error", "warning"]

# What raises or misbehaves when the line is reached; everything else of pyflakes is a matter of tidiness.
_ERRORS: tuple[type[messages.Message], ...] = (
    messages.AssertTuple,
    messages.BreakOutsideLoop,
    messages.ContinueOutsideLoop,
    messages.DefaultExceptNotLast,
    messages.DuplicateArgument,
    messages.ForwardAnnotationSyntaxError,
    messages.FutureFeatureNotDefined,
    messages.IfTuple,
    messages.ImportStarNotPermitted,
    messages.InvalidPrintSyntax,
    messages.IsLiteral,
    messages.LateFutureImport,
    messages.PercentFormatExpectedMapping,
    messages.PercentFormatExpectedSequence,
    messages.PercentFormatInvalidFormat,
    messages.PercentFormatMissingArgument,
    messages.PercentFormatMixedPositionalAndNamed,
    messages.PercentFormatPositionalCountMismatch,
    messages.PercentFormatStarRequiresSequence,
    messages.PercentFormatUnsupportedFormatCharacter,
    messages.RaiseNotImplemented,
    messages.ReturnOutsideFunction,
    messages.StringDotFormatInvalidFormat,
    messages.StringDotFormatMissingArgument,
    messages.StringDotFormatMixingAutomatic,
    messages.TooManyExpressionsInStarredAssignment,
    messages.TwoStarredExpressions,
    messages.UndefinedExport,
    messages.UndefinedLocal,
    messages.UndefinedName,
    messages.YieldOutsideFunction,
)


class Finding(BaseModel):
    """One thing that is wrong at one place."""

    line: int = Field(ge=1)
    column: int = Field(ge=1)
    message: str
    severity: Severity
    rule: str = Field(description="pyflakes' name of the message, SyntaxError, SyntaxWarning, or Unfinished")


class BugAnalysis(BaseModel):
    """The findings of one submission, by line. `errors` and `warnings` count the omitted ones too."""

    filename: str | None = None
    findings: list[Finding]
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    omitted: int = Field(
        default=0, ge=0, description="Findings that are counted but not listed, warnings first"
    )


def find_bugs(submission: CodeSubmission, *, seconds: float = ANALYSIS_SECONDS) -> BugAnalysis:
    """Analyse a submission. Source that cannot be parsed is a finding; no input raises."""
    parsed = parse_source(submission.code)
    found = [_Found(w.line, w.column, w.message, "warning", "SyntaxWarning") for w in parsed.warnings]
    if parsed.error is not None:
        error = parsed.error
        found.append(_Found(error.line, error.column, error.message, "error", "SyntaxError"))
    if parsed.tree is not None:
        found += _flakes(parsed.tree, submission.filename or "", seconds)
    return _analysis(submission.filename, found)


class _Found(NamedTuple):
    """A finding before it is known whether it will be listed: a bad source may have hundreds of thousands."""

    line: int
    column: int
    message: str
    severity: Severity
    rule: str


class _DeadlinePassed(Exception):
    """The analysis has used up its time."""


class _TimedChecker(Checker):  # type: ignore[misc]  # pyflakes is untyped
    """A checker that looks at the clock before each node; one node costs at most a pass over its scope."""

    def __init__(
        self, tree: ast.Module, filename: str, seconds: float, heard: list[messages.Message]
    ) -> None:
        self._deadline = time.monotonic() + seconds
        self._heard = heard
        super().__init__(tree, filename=filename)

    def handleNode(self, node: ast.AST | None, parent: ast.AST) -> None:
        if time.monotonic() > self._deadline:
            raise _DeadlinePassed
        super().handleNode(node, parent)

    def report(self, messageClass: type[messages.Message], *args: object, **kwargs: object) -> None:
        # Kept outside the checker, which an exception in its constructor would take away with what it found.
        super().report(messageClass, *args, **kwargs)
        self._heard.append(self.messages[-1])


def _flakes(tree: ast.Module, filename: str, seconds: float) -> list[_Found]:
    heard: list[messages.Message] = []
    unfinished: str | None = None
    try:
        # A checker that ends has the last word: it takes some messages back (names made global later).
        heard = _TimedChecker(tree, filename, seconds, heard).messages
    except _DeadlinePassed:
        unfinished = f"The analysis was stopped after {seconds:g} s: there may be more findings"
    except RecursionError:
        unfinished = "Nested too deeply to be analysed further"
    found = [
        _Found(
            line=max(message.lineno, 1),
            column=message.col + 1,
            message=clip(message.message % message.message_args),
            severity="error" if isinstance(message, _ERRORS) else "warning",
            rule=type(message).__name__,
        )
        for message in heard
    ]
    if unfinished is not None:
        found.insert(0, _Found(1, 1, unfinished, "warning", "Unfinished"))
    return found


def _analysis(filename: str | None, found: list[_Found]) -> BugAnalysis:
    errors = sum(finding.severity == "error" for finding in found)
    listed = sorted(sorted(found, key=lambda finding: finding.severity)[:FINDINGS_MAX])
    return BugAnalysis(
        filename=filename,
        findings=[Finding(**finding._asdict()) for finding in listed],
        errors=errors,
        warnings=len(found) - errors,
        omitted=len(found) - len(listed),
    )
