"""Hand-offs: an agent that names another one as its `hand_off` wakes it with what it publishes.

On the board that is one more subscription: the agent that is handed to also wakes on the other's output type,
and its engine gets its own input type, made of the fields of the same name (`engines.handed`). Nothing is
added where it subscribes to that output anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.names import fold
from flockd.errors import nearest


def with_hand_offs(declared: Agents, types: Mapping[str, ArtifactType]) -> Agents:
    """The agents as the board knows them: subscribed to what is handed to them, `hand_off` = whom each wakes."""
    giving = givers(declared)
    subscribed = [_subscribed(agent, giving, types) for agent in declared.values()]
    by_type: dict[str, list[Agent]] = {}
    for agent in subscribed:
        for name in dict.fromkeys(agent.subscription.types):
            by_type.setdefault(name, []).append(agent)
    return Agents(replace(agent, hand_off=_woken_by(agent, by_type)) for agent in subscribed)


def givers(declared: Mapping[str, Agent]) -> list[Agent]:
    """The agents that hand off to others by name."""
    return [agent for agent in declared.values() if agent.hand_off]


def handed_to(agent: Agent, giving: Iterable[Agent], types: Mapping[str, ArtifactType]) -> dict[str, str]:
    """What is handed to an agent beside what it subscribes to, and which of its own input types that becomes."""
    handed: dict[str, str] = {}
    if not _takes_one(agent) or agent.kind == "flow":  # a flow takes its request and nothing else
        return handed
    for giver in giving:
        if giver.name == agent.name or fold(agent.name) not in map(fold, giver.hand_off):
            continue
        if not _subscribes(agent, giver):
            made = {output: _covered(agent, types[output], types) for output in giver.outputs}
            handed.update((output, own) for output, own in made.items() if own is not None)
    return handed


def hand_off_problems(agent: Agent, declared: Agents, types: Mapping[str, ArtifactType]) -> Iterator[str]:
    """A sentence for each hand-off of an agent that wakes nobody."""
    for name in agent.hand_off:
        target = declared.spelled(name)
        if target is None:
            near = nearest(name, declared)
            yield f"hand_off has {name}, which is no agent: " + (
                f"did you mean {near}?" if near else "name an agent of this flock"
            )
        elif target.name == agent.name:
            yield "hand_off has itself: name another agent"
        elif not agent.outputs:
            yield f"hand_off has {name}, but it publishes nothing that could be handed on"
        elif target.subscription.from_agents and agent.name not in target.subscription.from_agents:
            producers = " and ".join(sorted(target.subscription.from_agents))
            yield f"hand_off has {name}, which only wakes on artifacts of {producers}: see its from_agents"
        elif _subscribes(target, agent):
            continue
        elif target.kind == "flow":
            request = target.subscription.types[0]
            yield f"hand_off has {name}, a flow, which takes nothing but its request: publish {request}"
        elif not _takes_one(target):
            taken = " and ".join(target.subscription.types)
            yield f"hand_off has {name}, which takes {f'{taken} together' if taken else 'no artifact'}: " + (
                "hand off to an agent with one input"
            )
        elif all(_covered(target, types[output], types) is None for output in agent.outputs):
            own = types[target.subscription.types[0]]
            missing = min((_missing(own, types[output]) for output in agent.outputs), key=len)
            yield (
                f"hand_off has {name}, which needs {' and '.join(missing)}: give its output "
                f"{'a field' if len(missing) == 1 else 'fields'} of this name"
            )


def _subscribed(agent: Agent, giving: Iterable[Agent], types: Mapping[str, ArtifactType]) -> Agent:
    handed = handed_to(agent, giving, types)
    if not handed:
        return agent
    subscription = agent.subscription
    return replace(
        agent, subscription=replace(subscription, types=(*subscription.types, *handed), mode="any")
    )


def _woken_by(agent: Agent, by_type: Mapping[str, Iterable[Agent]]) -> tuple[str, ...]:
    subscribed = (other for output in agent.outputs for other in by_type.get(output, ()))
    woken = (
        other.name
        for other in subscribed
        if not (other.name == agent.name and other.subscription.prevent_self_trigger)
        and (not other.subscription.from_agents or agent.name in other.subscription.from_agents)
    )
    return tuple(dict.fromkeys(woken))


def _subscribes(agent: Agent, giver: Agent) -> bool:
    return not set(giver.outputs).isdisjoint(agent.subscription.types)


def _takes_one(agent: Agent) -> bool:
    """Whether one artifact is all that a run of it takes."""
    subscription = agent.subscription
    return bool(subscription.types) and not subscription.joins and subscription.gathering is None


def _covered(agent: Agent, output: ArtifactType, types: Mapping[str, ArtifactType]) -> str | None:
    """The first input type of an agent whose required fields an output has."""
    for name in agent.subscription.types:
        if not _missing(types[name], output):
            return name
    return None


def _missing(own: ArtifactType, output: ArtifactType) -> list[str]:
    """The fields that a type requires and an output does not have."""
    given = output.schema.get("properties", ())
    return [field for field in own.schema.get("required", ()) if field not in given]
