"""Runs: one piece of agent work, its states, and how it may pass from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

import orjson

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.moment import iso
from flockd.domain.priority import Priority
from flockd.domain.usage import Usage, document_of


class RunState(StrEnum):
    """Where a run is. "Failed" is an event's word, never a state."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

    ready = "ready"
    """It may start as soon as there is room."""
    running = "running"
    """Claimed: the holder of its fence works on it."""
    waiting = "waiting"
    """It has a next wake-up: `reason` says what for, `due_at` until when."""
    completed = "completed"
    """Its outputs are on the board."""
    dead = "dead"
    """It failed for good; it can be retried by hand."""
    cancelled = "cancelled"
    """Somebody ended it."""


OPEN = frozenset({RunState.ready, RunState.running, RunState.waiting})
"""States that keep a correlation open."""

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.ready: frozenset({RunState.running, RunState.waiting, RunState.cancelled}),
    RunState.running: frozenset(
        {RunState.completed, RunState.ready, RunState.waiting, RunState.dead, RunState.cancelled}
    ),
    RunState.waiting: frozenset({RunState.ready, RunState.running, RunState.dead, RunState.cancelled}),
    RunState.completed: frozenset(),
    RunState.dead: frozenset({RunState.ready, RunState.running, RunState.waiting}),
    RunState.cancelled: frozenset(),
}


SUSPECT_CRASHES = 2
"""From this many crashes on a run is a suspect: suspects start one at a time, so that the guilty one is found."""


class WaitReason(StrEnum):
    """What a waiting run waits for."""

    retry = "retry"
    """The backoff after a failed attempt."""
    question = "question"
    """The answer to what it asked; past `due_at`, if there is one, it goes on without."""
    agent_missing = "agent_missing"
    """No agent of its name is loaded; past `due_at` it is dead."""


@dataclass(slots=True)
class Run:
    """A run's row. Only the writer changes one, and only inside a transaction."""

    ord: int
    """Order of creation."""
    id: str
    agent: str
    correlation_id: str
    state: RunState
    priority: Priority
    vtime: int
    """Virtual start time while it waits in its lane, from 1: the smaller one starts first. 0: it has not waited; or a
    restart took it back, and it goes before all others."""
    inputs: tuple[str, ...]
    """Artifact ids, in the order of the agent's parameters."""
    created_at: int
    depth: int = 1
    """Hops from the publication that started it."""
    cascade: bool = True
    """Whether its outputs wake subscribers; a direct run's do not unless asked."""
    attempt: int = 1
    """Counted from 1; a failure that is tried again adds one, a restart of the daemon does not."""
    first_attempt: int = 1
    """The attempt at which its present retries began; a redrive starts afresh here."""
    fence: int = 0
    """+1 at every claim, cancel and takeover; whoever holds an older one can write nothing."""
    crashes: int = 0
    """Claims that ended without an outcome."""
    reason: WaitReason | None = None
    due_at: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    ended_round: int | None = None
    """The round of its correlation in which it ended."""
    error: bytes | None = None
    """JSON `{"code","message"}` of the last failure."""
    outputs: tuple[str, ...] = ()
    output_text: str | None = None
    """The end of its live text."""
    place: str = ""
    """Where it queues and is counted: its agent's, or that of one key of it."""
    of_error: bool = False
    """It consumes an AgentError: its own death makes none."""
    paused: bool = False
    """Ready, but its correlation is paused: it does not start."""
    usage: Usage | None = None
    """What its calls of language models took, in all attempts; None: it made none."""
    tenant: str = DEFAULT_TENANT

    def copy(self) -> Run:
        """As it is now; `dataclasses.replace` takes several times as long."""
        return Run(*_FIELDS(self))

    def document(self) -> dict[str, Any]:
        """The wire form, ready for orjson."""
        return {
            "id": self.id,
            "agent": self.agent,
            "correlation_id": self.correlation_id,
            "state": self.state,
            "reason": self.reason,
            "attempt": self.attempt,
            "crashes": self.crashes,
            "priority": self.priority.name,
            "created_at": iso(self.created_at),
            "started_at": _optional_iso(self.started_at),
            "completed_at": _optional_iso(self.completed_at),
            "due_at": _optional_iso(self.due_at),
            "error": orjson.Fragment(self.error) if self.error else None,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "output_text": self.output_text,
            "usage": document_of(self.usage),
        }


_FIELDS = attrgetter(*Run.__dataclass_fields__)


def _optional_iso(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
