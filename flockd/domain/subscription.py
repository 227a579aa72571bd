"""Subscriptions and matching: which agents an artifact wakes. Its cost does not grow with agents that do not care."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from flockd.domain.visibility import Labelled, Private, Public, Tenant, may_see

if TYPE_CHECKING:
    from flockd.domain.agent import Agent


class Candidate:
    """An artifact as the rules of matching see it."""

    __slots__ = ("_document", "payload", "produced_by", "tags", "type", "value", "visibility")

    def __init__(
        self,
        type: str,
        payload: bytes,
        value: Any,
        produced_by: str,
        tags: tuple[str, ...],
        visibility: Private | Labelled | Tenant | Public,
    ) -> None:
        self.type = type
        self.payload = payload
        self.value = value
        """The validated value: an instance of the type's model."""
        self.produced_by = produced_by
        self.tags = tags
        self.visibility = visibility
        self._document: Any = None

    @property
    def document(self) -> Any:
        """The payload as plain data, decoded when a predicate first asks."""
        if self._document is None:
            self._document = orjson.loads(self.payload)
        return self._document


Where = Callable[[Candidate], bool]
"""A predicate over one candidate."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which artifacts wake an agent."""

    types: tuple[str, ...]
    """In the order of the agent's parameters; a type may stand more than once."""
    mode: Literal["all", "any"] = "all"
    """all: one artifact of each (AND, inside one correlation); any: one artifact of one of them (OR)."""
    where: Where | None = None
    from_agents: frozenset[str] = frozenset()
    """Only artifacts of these producers; empty: of any."""
    tags: frozenset[str] = frozenset()
    """Only artifacts that carry all of these tags."""
    prevent_self_trigger: bool = True
    needed: Mapping[str, int] = field(init=False)
    """For an AND: how many of each type one run takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "needed", Counter(self.types))

    @property
    def joins(self) -> bool:
        """Whether a run needs more than one artifact."""
        return self.mode == "all" and len(self.types) > 1


def refusal(agent: Agent, candidate: Candidate) -> str | None:
    """The rule by which this candidate does not wake the agent, or None where it does."""
    subscription = agent.subscription
    if candidate.type not in subscription.types:
        return "type"
    if subscription.prevent_self_trigger and candidate.produced_by == agent.name:
        return "prevent_self_trigger"
    if subscription.from_agents and candidate.produced_by not in subscription.from_agents:
        return "from_agents"
    if subscription.tags and not subscription.tags.issubset(candidate.tags):
        return "tags"
    if not may_see(agent.viewer, candidate.visibility):
        return "visibility"
    if subscription.where is not None and not subscription.where(candidate):
        return "where"
    return None


class Matcher:
    """Artifact type → the agents that subscribe to it."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        by_type: dict[str, list[Agent]] = {}
        for agent in agents:
            for name in dict.fromkeys(agent.subscription.types):
                by_type.setdefault(name, []).append(agent)
        self._by_type = {name: tuple(subscribed) for name, subscribed in by_type.items()}
        self.failed_predicates = 0
        """How often a `where` raised; an exception is "no match"."""

    def match(self, candidate: Candidate) -> tuple[Agent, ...]:
        """The agents that this artifact wakes, or is held for where they join several."""
        subscribed = self._by_type.get(candidate.type)
        if not subscribed:
            return ()
        return tuple(agent for agent in subscribed if self._wakes(agent, candidate))

    def _wakes(self, agent: Agent, candidate: Candidate) -> bool:
        try:
            return refusal(agent, candidate) is None
        except Exception:  # the author's predicate may raise anything
            self.failed_predicates += 1
            return False
