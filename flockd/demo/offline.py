"""The agents that plan, write and test code with no model: what the `full` workflow needs beside reviewers.

They are a flock of their own. Those of `flockd.demo.thinking` take their place where there is a model.
"""

from flockd import Context, Flock
from flockd.demo.assemble import GeneratedCode, assemble
from flockd.demo.plan import Plan, Step, make_plan
from flockd.demo.requirements import Requirements
from flockd.demo.suite import SuiteReport, run_suite

offline = Flock(name="offline")


@offline.agent(timeout="60s")
def planner(requirements: Requirements, ctx: Context) -> Plan:
    """Plans a module from the sentences of requirements: a function for each thing that they ask for."""
    ctx.progress(0.1, "plan", "reading")

    def tell(step: Step) -> None:
        ctx.write(f"{step.name}: {step.sentence}\n")

    plan = make_plan(requirements, tell)
    ctx.progress(1.0, "plan", f"{len(plan.steps)} steps")
    return plan


@offline.agent(timeout="60s")
def coder(plan: Plan, ctx: Context) -> GeneratedCode:
    """Writes the module of a plan and its tests, from a catalogue of functions that are known to work."""
    ctx.progress(0.1, "code", f"{len(plan.steps)} functions")
    code = assemble(plan)
    ctx.progress(1.0, "code", f"{len(plan.steps) - len(code.unimplemented)} of {len(plan.steps)} are known")
    return code


@offline.agent(from_agents=coder.__name__, max_concurrency=2, timeout="60s")
async def tester(code: GeneratedCode, ctx: Context) -> SuiteReport:
    """Runs the tests of a module that the coder of this flock wrote, in a process with limits."""
    if ctx.inputs[0].produced_by != coder.__name__:  # an input given by hand passes by the subscription
        raise PermissionError(f"the tester runs only what {coder.__name__} wrote, and no code of others")
    ctx.progress(0.1, "tests", "running")
    report = await run_suite(code)
    for failed in report.failed_tests:
        ctx.write(f"{failed.test}: {failed.message}\n")
    ctx.progress(1.0, "tests", report.tests_stopped or f"{report.tests_passed} of {report.tests_run} passed")
    return report
