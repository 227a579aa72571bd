"""The agents that plan and write code with no model: what the `full` workflow needs beside testers and reviewers.

They are a flock of their own. Others that turn `Requirements` into a `Plan` and a `Plan` into `GeneratedCode`, under
the same names, can take their place.
"""

from flockd import Context, Flock
from flockd.demo.assemble import GeneratedCode, assemble
from flockd.demo.plan import Plan, Step, make_plan
from flockd.demo.requirements import Requirements

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
