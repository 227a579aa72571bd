"""Workflows while they are declared: a start and phases, checked against the types and agents of their flock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flockd.domain.agent import Agents
from flockd.domain.names import fold
from flockd.domain.workflow import Phase, Workflow
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes, TypeChoice
from flockd.flock.options import check_name

_PHASE_CHARACTERS = 64


def build_workflow(
    name: str,
    *,
    start: TypeChoice,
    phases: Mapping[str, TypeChoice | Iterable[TypeChoice]],
    description: str,
    types: DeclaredTypes,
) -> Workflow:
    """The workflow of this declaration. Raises DeclarationError for the first thing that is wrong."""
    check_name(name, "workflow")
    owner = f"workflow {name}"
    starts = types.names(owner, "start", start)
    if len(starts) != 1:
        raise DeclarationError(f"{owner}: start= names {len(starts)} types: name the one that sets it off")
    if not isinstance(phases, Mapping):
        raise DeclarationError(
            f'{owner}: phases is {phases!r}: give it a dict, as phases={{"plan": [Plan], …}}'
        )
    if not phases:
        raise DeclarationError(f"{owner}: it has no phases: name at least one, with the types that end it")
    return Workflow(
        name,
        starts[0],
        tuple(_phase(owner, phase, ended_by, types) for phase, ended_by in phases.items()),
        description,
    )


def check_workflow_free(name: str, taken: Iterable[str]) -> None:
    """Raise DeclarationError where another workflow has this name, in any of its spellings."""
    for other in taken:
        if fold(other) == fold(name):
            same = "" if other == name else " (case and - or _ make no difference)"
            raise DeclarationError(f"workflow {name}: there is already a workflow {other}{same}: rename one")


def workflow_warnings(workflow: Workflow, agents: Agents) -> Iterator[str]:
    """What will keep a workflow from ending, but for artifacts that come from outside."""
    owner = f"workflow {workflow.name}"
    if not any(workflow.start in agent.subscription.types for agent in agents.values()):
        yield f"{owner}: no agent wakes on {workflow.start}, which starts it: it ends where it begins"
    published = {output for agent in agents.values() for output in agent.outputs}
    for phase in workflow.phases:
        for name in phase.types:
            if name not in published:
                yield (
                    f"{owner}: no agent publishes {name}, which ends the phase {phase.name}: it will not end "
                    "unless a client publishes one into the correlation"
                )


def _phase(
    owner: str, name: object, ended_by: TypeChoice | Iterable[TypeChoice], types: DeclaredTypes
) -> Phase:
    if (
        not isinstance(name, str)
        or not name.strip()
        or len(name) > _PHASE_CHARACTERS
        or not name.isprintable()
    ):
        raise DeclarationError(
            f"{owner}: a phase is called {name!r}: a phase has a name of up to {_PHASE_CHARACTERS} characters"
        )
    ending = types.names(owner, f"phases[{name!r}]", ended_by)
    if not ending:
        raise DeclarationError(
            f"{owner}: the phase {name} names no type: name the artifact types that end it"
        )
    return Phase(name, tuple(dict.fromkeys(ending)))
