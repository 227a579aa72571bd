"""Agents: a name, a subscription, outputs and limits. How an agent thinks (its engine) is not known here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flockd.domain.budget import Budget
from flockd.domain.gathering import key_text
from flockd.domain.names import fold
from flockd.domain.priority import Priority
from flockd.domain.rate import Rate
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import AnyVisibility, Viewer


@dataclass(frozen=True, slots=True)
class Agent:
    """What the board and the scheduler need to know of an agent."""

    name: str
    subscription: Subscription
    outputs: tuple[str, ...]
    """The artifact types that it may publish."""
    description: str = ""
    kind: str = "function"
    """The kind of its engine."""
    priority: Priority | None = None
    """None: normal, unless its correlation says otherwise."""
    max_concurrency: int = 64
    """Runs at once, of one key where there is a `concurrency_key`; a thread that outlived its run still counts."""
    concurrency_key: Callable[[Any], Any] | None = None
    """Finds the key in the payload of the artifact that wakes it."""
    rate: Rate | None = None
    """How often it may start, whatever the key."""
    retries: int = 0
    """Attempts after the first one."""
    backoff: Mapping[str, float] = field(default_factory=dict)
    """Seconds before the first retry, by the kind of the failure: the name of an exception's class or of a base of it,
    "timeout", "http_404" for what another service answered, or "*" for the rest. Without one for its kind: the
    setting's. See `flockd.domain.retry.first_pause_seconds`."""
    timeout_seconds: float = 600.0
    """For one attempt."""
    tags: tuple[str, ...] = ()
    """Added to the tags that its outputs inherit."""
    visibility: AnyVisibility | None = None
    """Of its outputs; None: the narrowest of its inputs."""
    labels: frozenset[str] = frozenset()
    tenant: str | None = None
    budget: Budget | None = None
    """What calls of all of its runs together may take."""
    hand_off: tuple[str, ...] = ()
    """The agents that its outputs wake."""
    viewer: Viewer = field(init=False)
    """This agent as one who looks at artifacts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "viewer", Viewer(self.name, self.labels, self.tenant))

    def place(self, key: str | None) -> str:
        """Where its runs of a key queue, and are counted."""
        return self.name if key is None else f"{self.name}{_KEY}{key}"

    def place_of(self, documents: Iterable[Any]) -> str:
        """Where a run on these payloads queues: at the key of the first that has one. They are not read in vain."""
        if self.concurrency_key is None:
            return self.name
        keys = (self.key_of(document) for document in documents)
        return self.place(next((key for key in keys if key is not None), None))

    def key_of(self, document: Any) -> str | None:
        """The key by which its runs are counted, in a payload; None where there is none."""
        return None if self.concurrency_key is None else key_text(self.concurrency_key(document))


_KEY = "\0"


def agent_at(place: str) -> str:
    """The name of the agent whose place this is."""
    return place.partition(_KEY)[0]


class Agents(dict[str, Agent]):
    """The agents that this daemon has, by name. Never changed."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        super().__init__((agent.name, agent) for agent in agents)
        self._by_fold = {fold(agent.name): agent for agent in self.values()}

    def spelled(self, name: str) -> Agent | None:
        """The agent of this name in any of its spellings."""
        return self.get(name) or self._by_fold.get(fold(name))

    def name_of(self, name: str) -> str:
        """An agent's name as it has it itself; of one that is not here the name as it is given."""
        agent = self.spelled(name)
        return name if agent is None else agent.name
