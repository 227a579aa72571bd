"""The demo's agents: each says what it consumes, what it publishes and what it shows meanwhile, and no more.

The analyses are plain functions in the neighbouring files. All agents are plain `def`: their work is CPU
work, so each runs in a thread. Two at a time, because threads of Python share one core anyway and a long
source may take more than a hundred MiB while it is analysed.
"""

from flockd import Context, Flock
from flockd.demo.bugs import BugAnalysis, find_bugs
from flockd.demo.complexity import ComplexityReport, measure_complexity
from flockd.demo.review import CodeReview, review_code
from flockd.demo.source import CodeSubmission
from flockd.demo.text import TextAnalyzerInput, TextAnalyzerOutput, analyze_text

flock = Flock(name="demo")


@flock.agent(where="language == 'python'", max_concurrency=2, timeout="60s")
def bug_detector(code: CodeSubmission, ctx: Context) -> BugAnalysis:
    """Finds bugs in Python source without running it: undefined names, unused imports, syntax errors."""
    ctx.progress(0.1, "reading")
    analysis = find_bugs(code)
    for finding in analysis.findings:
        ctx.write(f"{finding.line}:{finding.column} {finding.severity}: {finding.message}\n")
    ctx.progress(1.0, "done", f"{analysis.errors} errors, {analysis.warnings} warnings")
    return analysis


@flock.agent(where="language == 'python'", max_concurrency=2, timeout="60s")
def complexity_analyst(code: CodeSubmission, ctx: Context) -> ComplexityReport:
    """Measures Python source: complexity of each function, maintainability index, lines of each kind."""
    ctx.progress(0.1, "measuring")
    report = measure_complexity(code)
    ctx.progress(1.0, "done", f"{report.function_count} functions in {report.raw.loc} lines")
    return report


@flock.agent
def code_reviewer(bugs: BugAnalysis, complexity: ComplexityReport) -> CodeReview:
    """Joins the bug analysis and the complexity report of one submission into a review with a verdict."""
    return review_code(bugs, complexity)


@flock.agent(max_concurrency=2, timeout="60s")
def text_analyzer(request: TextAnalyzerInput) -> TextAnalyzerOutput:
    """Says whether an English text sounds positive, negative or neutral, and which phrases it is about."""
    return analyze_text(request)
