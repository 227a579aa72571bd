"""Events: facts in the log, in the past tense, each with a seq."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import orjson

from flockd.domain.artifact import DEFAULT_TENANT, Artifact
from flockd.domain.moment import iso


class EventKind(StrEnum):
    """What happened. All but the last group are stored."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

    artifact_published = "artifact.published"
    """data: {"woke": [run ids], "held": [agents that join it with others]}"""
    run_started = "run.started"
    """data: {"attempt", "fence", "inputs": [artifact ids]}"""
    run_progress = "run.progress"
    """data: {"attempt", "fraction", "phase", "message"}"""
    run_retrying = "run.retrying"
    """data: {"attempt" (the next one), "reason": error | timeout | restart | redrive, "error", "due_at"}"""
    run_waiting = "run.waiting"
    """data: {"reason", "due_at"}"""
    run_completed = "run.completed"
    """data: {"attempt", "inputs": [artifact ids], "outputs": [artifact ids], "duration_ms"}"""
    run_failed = "run.failed"
    """Once, when it is dead. data: {"attempt", "error": {"code","message"}}"""
    run_cancelled = "run.cancelled"
    """data: {"attempt"}"""
    correlation_started = "correlation.started"
    """data: {"round", "dialect", "name"}"""
    correlation_completed = "correlation.completed"
    """data: {"round", "artifact_count", "error_count", "unjoined": [{"agent", "artifacts"}]}, with "truncated": true
    where an agent holds more than these"""
    correlation_failed = "correlation.failed"
    """data: as completed, and {"reason", "outcome"}"""
    correlation_cancelled = "correlation.cancelled"
    """data: as completed"""
    correlation_paused = "correlation.paused"
    """Nothing of it starts any more. data: {"round"}"""
    correlation_resumed = "correlation.resumed"
    """data: {"round"}"""
    agent_paused = "agent.paused"
    """None of its runs starts any more. No correlation, no data"""
    agent_resumed = "agent.resumed"
    """No correlation, no data"""
    question_asked = "question.asked"
    """data: {"question_id", "key", "text", "schema", "due_at"}"""
    question_answered = "question.answered"
    """It is not open any more. data: {"question_id", "key", "state", "answer", "answered_by"}"""
    tool_called = "tool.called"
    """A language model called a tool. data: {"tool", "arguments", "duration_ms", "outcome": ok | error, "error"}"""
    budget_exceeded = "budget.exceeded"
    """A call of a language model did not fit into a budget and was not made. data: {"scope", "name", "subject", "per",
    "unit", "limit", "spent", "reserved", "wanted", "model", "window_ends_at"}"""
    artifact_visible = "artifact.visible"
    """Its time is over (After): agents see it now. data: as artifact.published"""
    join_expired = "join.expired"
    """Artifacts waited for partners in vain. data: {"key", "artifacts": [ids]}"""
    batch_progress = "batch.progress"
    """An item ended. data: {"total", "completed", "failed", "item", "item_correlation_id"}"""
    timer_fired = "timer.fired"
    """A timer began this correlation. data: {"timer", "fired" (how often by now), "due_at", "next_due_at"}"""
    timer_skipped = "timer.skipped"
    """A timer did not fire, since this correlation, its last one, is not over. data: {"timer", "skipped" (how often by
    now), "due_at", "next_due_at"}"""

    run_output = "run.output"
    """Live only: {"text", "offset" (code points), "attempt", "fence"}"""
    hello = "hello"
    """Opens a stream: {"log_id", "head", "complete_from", "position"}"""
    gap = "gap"
    """The log no longer has, or never had, what the cursor names: as hello"""
    goodbye = "goodbye"
    """The daemon is ending: {"reason"}"""


LIVE_ONLY = frozenset({EventKind.run_output, EventKind.hello, EventKind.gap, EventKind.goodbye})

ENDED = frozenset(
    {EventKind.correlation_completed, EventKind.correlation_failed, EventKind.correlation_cancelled}
)
"""The kinds that end a round of a correlation."""


class Event(NamedTuple):
    """One fact. `data` is JSON as it is sent."""

    seq: int
    kind: EventKind
    at: int
    correlation_id: str | None
    agent: str | None = None
    run_id: str | None = None
    data: bytes = b"{}"
    artifact: Artifact | None = None
    tenant: str = DEFAULT_TENANT

    def encode(self, inline_bytes: int) -> bytes:
        """The one line of JSON that every transport carries. What is live only has no seq: null."""
        return orjson.dumps(
            {
                "seq": self.seq or None,
                "kind": self.kind,
                "at": iso(self.at),
                "correlation_id": self.correlation_id,
                "agent": self.agent,
                "run_id": self.run_id,
                "artifact": None if self.artifact is None else self.artifact.document(inline_bytes),
                "data": orjson.Fragment(self.data),
            }
        )
