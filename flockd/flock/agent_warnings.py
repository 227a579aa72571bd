"""What an author should know of an agent though the daemon can start: options that can have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.visibility import After, AnyVisibility, Labelled, Private, Tenant, may_see
from flockd.domain.where import WherePayload
from flockd.errors import nearest
from flockd.flock.field_paths import unknown_field
from flockd.flock.options import owner_of


def agent_warnings(agent: Agent, agents: Agents, types: Mapping[str, ArtifactType]) -> Iterator[str]:
    """A sentence for each option of an agent that says what can never be."""
    owner, where = owner_of(agent.name, agent.kind), agent.subscription.where
    takes = [types[name] for name in dict.fromkeys(agent.subscription.types) if name in types]
    if isinstance(where, WherePayload):
        for path in where.expression.paths:
            unknown = unknown_field(path, takes)
            if unknown is not None:
                yield f"{owner}: where= looks at {path}, but {unknown}"
    if not agent.subscription.types:
        for option in _without_effect(agent):
            yield f"{owner}: {option}= is about the artifacts that it takes, and it takes none"
    if agent.backoff and not agent.retries:
        yield f"{owner}: backoff= is the pause before a retry, and it has none: say retries="
    if agent.visibility is not None:
        for sentence in visibility_warnings(agent.visibility, agents):
            yield f"{owner}: {sentence}"


def visibility_warnings(visibility: AnyVisibility, agents: Agents) -> Iterator[str]:
    """Why no agent, or not each that is named, can see what has this visibility."""
    settled = visibility.then if isinstance(visibility, After) else visibility
    if isinstance(settled, Private):
        for name in settled.agents:
            if agents.spelled(name) is None:
                near = nearest(name, agents)
                yield f"visibility= names {name}, which is no agent{f': did you mean {near}?' if near else ''}"
        return
    if any(may_see(agent.viewer, settled) for agent in agents.values()):
        return
    if isinstance(settled, Labelled):
        labels = " and ".join(settled.required_labels)
        yield f"visibility= is for agents that carry {labels}, and there is none: give one labels="
    if isinstance(settled, Tenant):
        yield f"visibility= is for agents of the tenant {settled.tenant_id}, and there is none: give one tenant="


def _without_effect(agent: Agent) -> Iterator[str]:
    """The options of an agent without artifacts that say something of them."""
    subscription = agent.subscription
    said = {
        "where": subscription.where,
        "from_agents": subscription.from_agents,
        "tags": subscription.tags,
        "concurrency_key": agent.concurrency_key,
    }
    return (option for option, given in said.items() if given)
