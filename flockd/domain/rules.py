"""The rules of matching: which artifacts wake an agent. One ordered list, for whoever matches and whoever explains.

Nothing here looks at the board: an artifact that every rule lets through may still wait for others (a join), or not
wake anybody since its correlation has reached a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from flockd.domain.visibility import After, Labelled, Private, Tenant, may_see
from flockd.domain.where import describe

if TYPE_CHECKING:
    from flockd.domain.agent import Agent
    from flockd.domain.subscription import Candidate

Lets = Callable[["Candidate"], bool]
"""Whether an artifact passes. May raise what the author's predicate raises: no match."""


class Rule(NamedTuple):
    """One reason for which an artifact does not wake an agent."""

    name: str
    of: Callable[[Agent], Lets | None]
    """What an agent asks of an artifact by this rule; None where it asks nothing."""
    detail: Callable[[Agent, Candidate], str]
    """What is compared with what, in words that are true whether it passes or not."""
    is_of_visibility: bool = False
    """Whether it lets everything through that is public."""


class Check(NamedTuple):
    """What came of asking one rule."""

    rule: str
    passed: bool
    detail: str


def check_all(agent: Agent, candidate: Candidate) -> list[Check]:
    """What each rule says, in their order. A predicate that raises does not let through.

    Of an artifact of another type nothing more is asked: an author's predicate never sees one.
    """
    checks: list[Check] = []
    for rule in RULES:
        passed = _passes(rule.of(agent), candidate)
        checks.append(Check(rule.name, passed, rule.detail(agent, candidate)))
        if rule.of is _type and not passed:
            break
    return checks


def _passes(lets: Lets | None, candidate: Candidate) -> bool:
    try:
        return lets is None or lets(candidate)
    except Exception:  # the author's predicate may raise anything
        return False


def _type(agent: Agent) -> Lets:
    types = frozenset(agent.subscription.types)
    return lambda candidate: candidate.type in types


def _own(agent: Agent) -> Lets | None:
    name = agent.name
    return (
        (lambda candidate: candidate.produced_by != name) if agent.subscription.prevent_self_trigger else None
    )


def _producer(agent: Agent) -> Lets | None:
    wanted = agent.subscription.from_agents
    return (lambda candidate: candidate.produced_by in wanted) if wanted else None


def _tags(agent: Agent) -> Lets | None:
    wanted = agent.subscription.tags
    return (lambda candidate: wanted.issubset(candidate.tags)) if wanted else None


def _tenant(agent: Agent) -> Lets:
    viewer = agent.viewer
    return lambda candidate: (
        not isinstance(candidate.visibility, Tenant) or may_see(viewer, candidate.visibility)
    )


def _visibility(agent: Agent) -> Lets:
    viewer = agent.viewer
    return lambda candidate: may_see(viewer, candidate.visibility)


def _where(agent: Agent) -> Lets | None:
    return agent.subscription.where


def _key(agent: Agent) -> Lets | None:
    gathering = agent.subscription.gathering
    if gathering is None:
        return None
    return lambda candidate: gathering.key_of(candidate.type, candidate.document) is not None


def _type_detail(agent: Agent, candidate: Candidate) -> str:
    return f"Its type is {candidate.type}; the agent takes {_listed(dict.fromkeys(agent.subscription.types))}"


def _own_detail(agent: Agent, candidate: Candidate) -> str:
    allowed = "is not" if agent.subscription.prevent_self_trigger else "may be"
    return f"It was produced by {candidate.produced_by}; the agent {allowed} woken by what it produced itself"


def _producer_detail(agent: Agent, candidate: Candidate) -> str:
    wanted = _listed(sorted(agent.subscription.from_agents)) or "anybody"
    return f"It was produced by {candidate.produced_by}; the agent takes what was produced by {wanted}"


def _tags_detail(agent: Agent, candidate: Candidate) -> str:
    wanted = _listed(sorted(agent.subscription.tags)) or "none"
    return f"Its tags: {_listed(candidate.tags) or 'none'}; the agent asks for: {wanted}"


def _tenant_detail(agent: Agent, candidate: Candidate) -> str:
    if not isinstance(candidate.visibility, Tenant):
        return "Its visibility names no tenant"
    return f"Only the tenant {candidate.visibility.tenant_id} sees it; the agent's tenant: {agent.tenant or 'none'}"


def _visibility_detail(agent: Agent, candidate: Candidate) -> str:
    visibility = candidate.visibility
    if isinstance(visibility, Private):
        return f"Private: only these agents see it: {_listed(visibility.agents)}"
    if isinstance(visibility, Labelled):
        carried = _listed(sorted(agent.labels)) or "none"
        return f"Labelled: agents need {_listed(visibility.required_labels)}; the agent's labels: {carried}"
    if isinstance(visibility, After):
        return (
            f"After: no agent sees it before {visibility.ttl:g} s are over since it was published; "
            f"then it is {visibility.then.kind}"
        )
    return f"Its visibility is {visibility.kind}"


def _where_detail(agent: Agent, candidate: Candidate) -> str:
    where = agent.subscription.where
    return "The agent has no predicate" if where is None else describe(where, candidate)


def _key_detail(agent: Agent, candidate: Candidate) -> str:
    gathering = agent.subscription.gathering
    if gathering is None:
        return "The agent gathers nothing by a key"
    key = agent.subscription.key_of(candidate)
    if key is None:
        return f"{gathering!r} finds no key"
    return f"{gathering!r} finds the key {key}" if key else f"{gathering!r} needs no key"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


RULES: tuple[Rule, ...] = (
    Rule("type", _type, _type_detail),
    Rule("prevent_self_trigger", _own, _own_detail),
    Rule("from_agents", _producer, _producer_detail),
    Rule("tags", _tags, _tags_detail),
    Rule("tenant", _tenant, _tenant_detail, is_of_visibility=True),
    Rule("visibility", _visibility, _visibility_detail, is_of_visibility=True),
    Rule("where", _where, _where_detail),
    Rule("key", _key, _key_detail),
)
"""In the order in which they are asked: what is cheap first, the author's predicate after all that bounds it."""


class Gate:
    """What one agent asks of each artifact of its types: of the rules, those that it has."""

    __slots__ = ("_lets", "_lets_public")

    def __init__(self, agent: Agent) -> None:
        asked = [
            (rule, lets) for rule in RULES if rule.of is not _type and (lets := rule.of(agent)) is not None
        ]
        self._lets = tuple(lets for _, lets in asked)
        self._lets_public = tuple(lets for rule, lets in asked if not rule.is_of_visibility)

    def lets(self, candidate: Candidate) -> bool:
        """Whether a candidate of one of the agent's types passes. Raises what the author's predicate raises."""
        for lets in self._lets_public if candidate.is_public else self._lets:  # noqa: SIM110  # half as fast
            if not lets(candidate):
                return False
        return True
