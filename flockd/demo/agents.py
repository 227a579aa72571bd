"""The demo's agents, but for those that write code: each says what it consumes, what it publishes and what it shows
meanwhile, and no more.

The work is in plain functions in the neighbouring files. Agents that compute are plain `def`, so each runs in a
thread. Two at a time, because threads of Python share one core anyway and a long source may take more than a
hundred MiB while it is analysed.
"""

from flockd import Context, Flock
from flockd.demo.assemble import GeneratedCode
from flockd.demo.bugs import BugAnalysis, find_bugs
from flockd.demo.complexity import ComplexityReport, measure_complexity
from flockd.demo.plan import Plan
from flockd.demo.poem import PoemFlow, PoemRequest, PoemResult
from flockd.demo.queries import (
    FinishAgentOutput,
    MyAgentInput,
    MyAgentOutput,
    StartAgentInput,
    StartAgentOutput,
    processed,
    tidy,
)
from flockd.demo.requirements import Requirements
from flockd.demo.review import CodeReview, review_code
from flockd.demo.source import CodeSubmission
from flockd.demo.submissions import ReviewRequest, submission_of, submission_of_generated
from flockd.demo.suite import SuiteReport
from flockd.demo.text import TextAnalyzerInput, TextAnalyzerOutput, analyze_text

agents = Flock(name="demo")

# Code is reviewed


@agents.agent(where="language == 'python'", max_concurrency=2, timeout="60s")
def bug_detector(code: CodeSubmission, ctx: Context) -> BugAnalysis:
    """Finds bugs in Python source without running it: undefined names, unused imports, syntax errors."""
    ctx.progress(0.1, "reading")
    analysis = find_bugs(code)
    for finding in analysis.findings:
        ctx.write(f"{finding.line}:{finding.column} {finding.severity}: {finding.message}\n")
    ctx.progress(1.0, "done", f"{analysis.errors} errors, {analysis.warnings} warnings")
    return analysis


@agents.agent(where="language == 'python'", max_concurrency=2, timeout="60s")
def complexity_analyst(code: CodeSubmission, ctx: Context) -> ComplexityReport:
    """Measures Python source: complexity of each function, maintainability index, lines of each kind."""
    ctx.progress(0.1, "measuring")
    report = measure_complexity(code)
    ctx.progress(1.0, "done", f"{report.function_count} functions in {report.raw.loc} lines")
    return report


@agents.agent
def code_reviewer(bugs: BugAnalysis, complexity: ComplexityReport) -> CodeReview:
    """Joins the bug analysis and the complexity report of one submission into a review with a verdict."""
    return review_code(bugs, complexity)


@agents.agent
async def review_desk(request: ReviewRequest) -> CodeSubmission:
    """Takes the source out of a request for a review and hands it to the reviewers."""
    return submission_of(request)


agents.workflow(
    "code_review",
    start=ReviewRequest,
    phases={"detect": [BugAnalysis, ComplexityReport], "review": [CodeReview]},
    description="Finds bugs in Python source, measures it, and reviews it. Nothing is run.",
)

# Code is planned, written, tested (in offline.py, or thinking.py) and reviewed


@agents.agent
async def code_submitter(code: GeneratedCode, report: SuiteReport) -> CodeSubmission:
    """Hands generated code to the reviewers, once its tests have run."""
    return submission_of_generated(code)


agents.workflow(
    "full",
    start=Requirements,
    phases={"plan": [Plan], "code": [GeneratedCode], "tests": [SuiteReport], "review": [CodeReview]},
    description="Plans requirements, writes a module and its tests, runs the tests, and reviews the code.",
)

# Texts and queries


@agents.agent(max_concurrency=2, timeout="60s")
def text_analyzer(request: TextAnalyzerInput) -> TextAnalyzerOutput:
    """Says whether an English text sounds positive, negative or neutral, and which phrases it is about."""
    return analyze_text(request)


@agents.agent
async def my_agent(request: MyAgentInput) -> MyAgentOutput:
    """Processes a query."""
    return MyAgentOutput(result=processed(tidy(request.query)))


@agents.agent
async def start_agent(request: StartAgentInput) -> StartAgentOutput:
    """Begins a workflow of two: brings a query in good order and hands it on to the finish agent."""
    return StartAgentOutput(result=tidy(request.query))


@agents.agent
async def finish_agent(text: StartAgentOutput) -> FinishAgentOutput:
    """Ends the workflow of two: processes what the start agent made of the query."""
    return FinishAgentOutput(result=processed(text.result))


# A poem

agents.flow(
    PoemFlow,
    name="poem_flow",
    request=PoemRequest,
    result=PoemResult,
    description="Writes a poem of as many sentences as you ask for.",
)
