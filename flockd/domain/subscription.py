"""Subscriptions and matching: which agents an artifact wakes. Its cost does not grow with agents that do not care."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from flockd.domain.gathering import BatchSpec, Gathering, JoinSpec
from flockd.domain.rules import Gate
from flockd.domain.visibility import AnyVisibility, Public
from flockd.domain.where import Where, shown

if TYPE_CHECKING:
    from flockd.domain.agent import Agent


class Candidate:
    """An artifact as the rules of matching see it."""

    __slots__ = ("_document", "is_public", "payload", "produced_by", "tags", "type", "value", "visibility")

    def __init__(
        self,
        type: str,
        payload: bytes,
        value: Any,
        produced_by: str,
        tags: tuple[str, ...],
        visibility: AnyVisibility,
    ) -> None:
        self.type: str = type
        self.payload: bytes = payload
        self.value: Any = value
        """The validated value: an instance of the type's model."""
        self.produced_by: str = produced_by
        self.tags: tuple[str, ...] = tags
        self.visibility: AnyVisibility = visibility
        self.is_public = isinstance(visibility, Public)
        self._document: Any = None

    @property
    def document(self) -> Any:
        """The payload as plain data, decoded when a predicate first asks."""
        if self._document is None:
            self._document = orjson.loads(self.payload)
        return self._document


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
    gathering: Gathering | None = None
    """A join over a key, or a batch: what is gathered beyond one workflow."""
    needed: Mapping[str, int] = field(init=False)
    """For an AND: how many of each type one run takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "needed", Counter(self.types))

    @property
    def joins(self) -> bool:
        """Whether a run needs several artifacts of its workflow."""
        return self.mode == "all" and len(self.types) > 1 and self.gathering is None

    def documents(self) -> list[dict[str, Any]]:
        """The wire form; none of an agent that only its schedule, or a client, starts."""
        if not self.types:
            return []
        gathering = self.gathering
        document = {
            "types": self.types,
            "mode": self.mode,
            "where": None if self.where is None else shown(self.where),
            "from_agents": sorted(self.from_agents),
            "tags": sorted(self.tags),
            "join": gathering.document() if isinstance(gathering, JoinSpec) else None,
            "batch": gathering.document() if isinstance(gathering, BatchSpec) else None,
        }
        return [document]

    def key_of(self, candidate: Candidate) -> str | None:
        """The key under which a candidate is gathered; None where it has none."""
        assert self.gathering is not None
        return self.gathering.key_of(candidate.type, candidate.document)


class Matcher:
    """Artifact type → the agents that subscribe to it."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        by_type: dict[str, list[tuple[Agent, Gate]]] = {}
        for agent in agents:
            gate = Gate(agent)
            for name in dict.fromkeys(agent.subscription.types):
                by_type.setdefault(name, []).append((agent, gate))
        self._by_type = {name: tuple(subscribed) for name, subscribed in by_type.items()}
        self.failed_predicates = 0
        """How often a `where` raised; an exception is "no match"."""

    def subscribes(self, type: str) -> bool:
        """Whether any agent wants artifacts of this type."""
        return type in self._by_type

    @staticmethod
    def keys(candidate: Candidate, agents: Iterable[Agent]) -> tuple[tuple[str, str], ...]:
        """(agent, key) for those of the matching agents that gather the artifact."""
        return tuple(
            (agent.name, agent.subscription.key_of(candidate) or "")
            for agent in agents
            if agent.subscription.gathering is not None
        )

    @staticmethod
    def places(candidate: Candidate, agents: Iterable[Agent]) -> tuple[tuple[str, str], ...]:
        """(agent, place) for those of the matching agents that count by a key of the artifact."""
        return tuple(
            (agent.name, agent.place(agent.key_of(candidate.document)))
            for agent in agents
            if agent.concurrency_key is not None
        )

    def match(self, candidate: Candidate) -> tuple[Agent, ...]:
        """The agents that this artifact wakes, or is held for where they join several."""
        subscribed = self._by_type.get(candidate.type)
        if not subscribed:
            return ()
        return tuple(agent for agent, gate in subscribed if self._opens(gate, candidate))

    def _opens(self, gate: Gate, candidate: Candidate) -> bool:
        try:
            return gate.lets(candidate)
        except Exception:  # the author's predicate may raise anything
            self.failed_predicates += 1
            return False
