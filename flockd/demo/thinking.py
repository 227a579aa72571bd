"""The agents that plan and write code with a language model, where the configuration names one (`llm.model`).

Whoever may publish requirements says what the model writes, so its code is read by the reviewers and never run.
"""

from flockd import Flock
from flockd.demo.assemble import GeneratedCode
from flockd.demo.plan import STEPS_MAX, Plan
from flockd.demo.requirements import Requirements
from flockd.demo.suite import SuiteReport

NOT_RUN = "a model wrote them, and the demo does not run what a model wrote"

thinking = Flock(name="thinking")

thinking.llm_agent(
    "planner",
    consumes=Requirements,
    publishes=Plan,
    instructions=f"""Plans a module from requirements: a function for each thing that they ask for.

    Give the module a short title and a name in snake_case. Make at most {STEPS_MAX} steps, each with a different name
    in snake_case and the sentence that it fulfils. Leave operation null, and omitted_steps 0.""",
    retries=1,
)

thinking.llm_agent(
    "coder",
    consumes=Plan,
    publishes=GeneratedCode,
    instructions="""Writes the module of a plan, and its tests, in Python.

    generated_code has one function for each step, with its name and a docstring, and needs the standard library alone.
    generated_tests imports the module by its name and has functions test_… with assertions. Name in unimplemented the
    steps whose functions raise NotImplementedError.""",
    max_tokens=8192,
    retries=1,
)


@thinking.agent
async def tester(code: GeneratedCode) -> SuiteReport:
    """Says of the tests that a model wrote that they were not run."""
    return SuiteReport(tests_run=0, tests_passed=0, tests_skipped=0, failed_tests=[], tests_stopped=NOT_RUN)
