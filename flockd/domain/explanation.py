"""Why an artifact woke an agent, or did not: what happened is told by the rows, the rest by the rules of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flockd.domain.agent import Agent
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.gathering import BatchSpec
from flockd.domain.moment import iso
from flockd.domain.rules import Check, check_all
from flockd.domain.run import Run, RunState, WaitReason
from flockd.domain.subscription import Candidate


class Waiting(NamedTuple):
    """What an agent holds until the rest of it comes."""

    counts: Mapping[str, int]
    """Artifacts by type."""
    due_at: int | None
    """When it is given up, or taken as it is; None: never."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one artifact and one agent."""

    agent_name: str
    agent: Agent | None
    """None: there is no such agent any more."""
    agent_is_paused: bool
    candidate: Candidate | str
    """The artifact as matching sees it, or the sentence why its payload is none of its type's any more."""
    correlation: Correlation
    """The artifact's."""
    run: Run | None
    """Of the agent, with the artifact among its inputs."""
    run_is_paused: bool
    """The correlation of that run is paused."""
    is_of_direct_run: bool
    """The artifact went into a direct run, or came out of one, and so was to wake nobody."""
    waiting: Waiting | None
    waited_in_vain: bool
    """A join gave it up."""


class Explanation(NamedTuple):
    """The answer to "why"."""

    woke: bool
    reason: str
    rule: str | None
    """What stands in the way: of waking it, or of the start of the run."""
    checks: list[Check]
    run_id: str | None

    def document(self) -> dict[str, Any]:
        """The wire form, ready for orjson."""
        return self._asdict() | {"checks": [check._asdict() for check in self.checks]}


CHANGED = "changed"
"""The rule of what would be let through today, but was not: the agent is newer than the artifact, or was another."""


def explain(facts: Facts) -> Explanation:
    """Judges by the rules that the agent has now, and says so where they are not what happened."""
    checks = list(_checks(facts))
    refused = next((check for check in checks if not check.passed and check.rule != "paused"), None)
    if facts.run is not None:
        rule, reason = _of_run(facts, facts.run)
        if refused is not None and rule is None and refused.rule != "limit":
            reason += f" By today's rules it would not have woken it ({refused.rule})."
        return Explanation(True, reason, rule, checks, facts.run.id)
    name = facts.agent_name
    if refused is not None:
        reason = f"It did not wake {name}. By today's rules, {refused.rule} is why: {refused.detail}."
        return Explanation(False, reason, refused.rule, checks, None)
    reason = (
        f"It did not wake {name} when it was published, but today's rules would let it: "
        f"{name} is newer than the artifact, or was another then."
    )
    return Explanation(False, reason, CHANGED, checks, None)


def _checks(facts: Facts) -> Iterator[Check]:
    agent, name = facts.agent, facts.agent_name
    said = f"{name} is here" if agent else f"No agent {name} is loaded; it had runs before"
    yield Check("agent", agent is not None, said)
    if agent is not None:
        if isinstance(facts.candidate, str):
            yield Check("payload", False, facts.candidate)
        else:
            yield from check_all(agent, facts.candidate)
    yield Check(
        "direct_run",
        not facts.is_of_direct_run,
        "It is of a direct run, and wakes nobody else"
        if facts.is_of_direct_run
        else "It is of no direct run that keeps to itself",
    )
    if agent is not None:
        yield from _gathered(agent, facts)
    reason = facts.correlation.reason
    yield Check(
        "limit", reason is None, f"Its workflow has ended: {reason}" if reason else "No limit was met"
    )
    yield _paused(facts)


def _gathered(agent: Agent, facts: Facts) -> Iterator[Check]:
    """An AND, a join over a key, or a batch: whether the artifact still waits there."""
    subscription = agent.subscription
    if not subscription.joins and subscription.gathering is None:
        return
    is_batch = isinstance(subscription.gathering, BatchSpec)
    rule = "batch" if is_batch else "join"
    if facts.waited_in_vain:
        yield Check(rule, False, "It waited for partners in vain, and was given up (join.expired)")
    elif facts.run is None and facts.correlation.state is CorrelationState.cancelled:
        waits = "waits for others, but" if facts.waiting else "waits for nothing any more, since"
        yield Check(rule, False, f"It {waits} its workflow was cancelled")
    elif facts.waiting is None:
        yield Check(rule, True, "It waits for nothing")
    else:
        yield Check(rule, False, _waits_for(agent, facts.waiting))


def _waits_for(agent: Agent, waiting: Waiting) -> str:
    until = "" if waiting.due_at is None else f", until {iso(waiting.due_at)}"
    gathering = agent.subscription.gathering
    if isinstance(gathering, BatchSpec):
        return f"It waits in a batch: {sum(waiting.counts.values())} of {gathering.size} are there{until}"
    missing = [
        f"{count - waiting.counts.get(name, 0)} {name}"
        for name, count in agent.subscription.needed.items()
        if waiting.counts.get(name, 0) < count
    ]
    there = ", ".join(f"{count} {name}" for name, count in waiting.counts.items())
    return f"It waits for {' and '.join(missing) or 'its turn'}{until}; there: {there}"


def _paused(facts: Facts) -> Check:
    paused = []
    if facts.agent_is_paused:
        paused.append(f"the agent {facts.agent_name}")
    if facts.correlation.paused or facts.run_is_paused:
        paused.append("the workflow")
    if not paused:
        return Check("paused", True, "Nothing is paused")
    return Check("paused", False, f"Paused: {' and '.join(paused)}; what is woken does not start")


def _of_run(facts: Facts, run: Run) -> tuple[str | None, str]:
    """What keeps a run from starting, if anything does, and how it stands."""
    woke = f"It woke {facts.agent_name}"
    if run.state is RunState.ready and (facts.run_is_paused or facts.agent_is_paused):
        what = "the workflow" if facts.run_is_paused else "the agent"
        return "paused", f"{woke}, but its run does not start: {what} is paused."
    if run.reason is WaitReason.agent_missing:
        return "agent", f"{woke}, but its run waits for the agent, which is not loaded."
    stands = _WAITS[run.reason] if run.state is RunState.waiting and run.reason else _STANDS[run.state]
    return None, f"{woke}: its run {stands}."


_STANDS = {
    RunState.ready: "waits for its turn (max_concurrency, rate, or limits.running)",
    RunState.running: "is running",
    RunState.waiting: "waits to go on",
    RunState.completed: "has completed",
    RunState.dead: "has failed",
    RunState.cancelled: "was cancelled",
}
_WAITS = {
    WaitReason.retry: "waits to be tried again",
    WaitReason.question: "waits for an answer",
    WaitReason.agent_missing: "waits for the agent, which is not loaded",
}
