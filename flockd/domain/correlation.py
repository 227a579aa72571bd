"""Correlations: everything that grew from one publication, counted so that its end needs no scan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.moment import iso
from flockd.domain.priority import Priority
from flockd.domain.usage import Usage, document_of

BATCHES = "batches"
"""The dialect of a correlation that is a batch, and no work of its own."""


class CorrelationState(StrEnum):
    """Where a workflow is."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

    active = "active"
    """Something of it is open."""
    completed = "completed"
    """Its latest round ended with agent output, or without errors."""
    failed = "failed"
    """Its latest round ended with errors and no agent output, or by a limit (`reason`)."""
    cancelled = "cancelled"
    """Somebody ended it; it takes no more artifacts. On the wire: failed, with `outcome: "cancelled"`."""


@dataclass(slots=True)
class Correlation:
    """A correlation's row. Only the writer changes one, and only inside a transaction."""

    seq: int
    """Of the event that first started it: the order of the list."""
    id: str
    state: CorrelationState
    started_at: int
    last_activity_at: int
    priority: Priority | None = None
    """The publication's, if it gave one: holds for all its runs."""
    dialect: str = "native"
    """Which family of routes started it."""
    name: str = ""
    """The agent, flow or workflow that was asked for; empty for a plain publication."""
    round: int = 1
    round_seq: int = 0
    """Seq of the `correlation.started` of the latest round."""
    open: int = 0
    """Runs that are ready, running or waiting; of a batch, 1 until its last item has ended."""
    runs: int = 0
    """Runs ever made."""
    inherited_runs: int = 0
    """Of one with causes: what the largest of them had `counted_runs` when it began."""
    artifact_count: int = 0
    error_count: int = 0
    """Runs that ended dead, in all rounds."""
    round_outputs: int = 0
    """Artifacts that agents produced in the latest round."""
    round_errors: int = 0
    """Runs that ended dead in the latest round."""
    round_cancelled: int = 0
    """Runs that were cancelled one by one in the latest round."""
    reason: str | None = None
    """The limit that ended it."""
    completed_at: int | None = None
    batch_id: str | None = None
    """The batch whose item it is."""
    batch_item: int | None = None
    causes: tuple[str, ...] = ()
    """The correlations whose artifacts were gathered for the run that began it."""
    paused: bool = False
    """Nothing of it starts; what runs goes on, and so do the clocks."""
    usage: Usage | None = None
    """What the calls of language models of its runs took, in all rounds; None: there were none."""
    tenant: str = DEFAULT_TENANT

    @property
    def counted_runs(self) -> int:
        """For the loop limit: a loop that goes on in ever new correlations comes to its end, too."""
        return self.inherited_runs + self.runs

    @property
    def outcome(self) -> str | None:
        """ "cancelled" where somebody's cancelling is why it ended without a result."""
        if self.state is CorrelationState.cancelled:
            return "cancelled"
        if self.state is CorrelationState.failed and self.round_cancelled and not self.round_errors:
            return "cancelled"
        return None

    @property
    def wire_state(self) -> str:
        """One of document 002's words."""
        return "failed" if self.state is CorrelationState.cancelled else self.state.value

    def ended_state(self) -> CorrelationState:
        """What it becomes when nothing of it is open any more."""
        unsuccessful = self.round_errors or self.round_cancelled or self.reason
        if self.reason or (unsuccessful and not self.round_outputs):
            return CorrelationState.failed
        return CorrelationState.completed

    def document(self) -> dict[str, Any]:
        """The wire form of the status route, but for `unjoined`."""
        return {
            "correlation_id": self.id,
            "id": self.id,
            "state": self.wire_state,
            "outcome": self.outcome,
            "reason": self.reason,
            "paused": self.paused,
            "has_pending_work": self.open > 0,
            "artifact_count": self.artifact_count,
            "error_count": self.error_count,
            "round": self.round,
            "dialect": self.dialect,
            "name": self.name,
            "priority": None if self.priority is None else self.priority.name,
            "batch_id": self.batch_id,
            "causes": self.causes,
            "started_at": iso(self.started_at),
            "last_activity_at": iso(self.last_activity_at),
            "completed_at": None if self.completed_at is None else iso(self.completed_at),
            "usage": document_of(self.usage),
        }
