"""A session: how far a workflow is, worked out from the events of its correlation and from nothing else.

Whoever folds the same events sees the same session: a GET that reads them from the beginning, a socket that gets
them live, the next process after a restart.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from flockd.domain.agent import Agents
from flockd.domain.event import ENDED, Event, EventKind
from flockd.domain.moment import iso
from flockd.domain.workflow import Phase, Workflow

CANCELLED = "Cancelled"
_NEARLY = 99.0
"""The most that a session shows before it has completed."""


class SessionStatus(StrEnum):
    """Where a session is: document 004's words."""

    queued = "queued"
    """No agent has begun on it."""
    running = "running"
    """An agent has."""
    completed = "completed"
    """All its phases are done, and nothing of it is open. For good: what is published into it later changes nothing."""
    failed = "failed"
    """It ended otherwise; a run of it that is retried by hand makes it run again."""


class SessionError(NamedTuple):
    """Why something of a session went wrong."""

    agent: str
    """Empty where no agent is to blame."""
    phase: str
    """Empty where it happened in none."""
    error: str


class Update(NamedTuple):
    """One thing that its followers are told."""

    seq: int
    """Of the event that brought it about."""
    message: dict[str, Any]


class Progression:
    """A workflow with the agents that move it on."""

    def __init__(self, workflow: Workflow, agents: Agents) -> None:
        self.workflow = workflow
        self._makers = {
            phase.name: [agent for agent in agents.values() if set(agent.outputs) & set(phase.types)]
            for phase in workflow.phases
        }

    @property
    def engine(self) -> str:
        """The kinds of the agents that publish what its phases are made of: "function", "llm", "function+llm"."""
        return "+".join(sorted({agent.kind for makers in self._makers.values() for agent in makers}))

    def phases_of(self, agent: str | None) -> list[Phase]:
        """The phases whose types this agent may publish."""
        return [
            phase
            for phase in self.workflow.phases
            if any(maker.name == agent for maker in self._makers[phase.name])
        ]

    def makers(self, phase: Phase) -> list[str]:
        """The agents that may publish a phase's types."""
        return [agent.name for agent in self._makers[phase.name]]


class Session:
    """Takes the events of one correlation, in order, from the first on."""

    def __init__(self, session_id: str, progression: Progression) -> None:
        self.id = session_id
        self.status = SessionStatus.queued
        self.progress = 0.0
        """0 to 100; never falls; 100 only when it has completed."""
        self.phases_completed: list[str] = []
        """In the order in which they were done."""
        self.created_at: int | None = None
        self.started_at: int | None = None
        self.completed_at: int | None = None
        self.failed_at: int | None = None
        self.artifact_id: str | None = None
        """Of the artifact that started it."""
        self.seq = 0
        """Of the last event that it took."""
        self._progression = progression
        self._phases = progression.workflow.phases
        self._payloads: dict[str, bytes] = {}
        """The latest payload of each type that a phase is made of."""
        self._fractions: dict[str, float] = {}
        """How far the runs on a phase said that they are, by phase."""
        self._errors: dict[str, SessionError] = {}
        """By run, so that a retry by hand takes its error back; under "" the session's own."""
        self._told: tuple[float, str | None] = (0.0, None)
        """The progress that was told last."""

    @property
    def current_phase(self) -> str | None:
        """The first phase that is not done, once an agent has begun; None when all are."""
        if self.status is SessionStatus.queued:
            return None
        return next((phase.name for phase in self._phases if phase.name not in self.phases_completed), None)

    @property
    def errors(self) -> list[SessionError]:
        return list(self._errors.values())

    @property
    def is_final(self) -> bool:
        """Whether no event can change it any more."""
        return self.status is SessionStatus.completed

    def take(self, event: Event) -> list[Update]:
        """One event. Answers what followers are told because of it, in order."""
        self.seq = event.seq
        if self.is_final:
            return []
        messages: list[dict[str, Any]] = []
        if event.kind is EventKind.correlation_started:
            self._begin(event)
        elif event.kind is EventKind.artifact_published:
            messages += self._publish(event)
        elif event.kind is EventKind.run_started:
            self._start(event)
        elif event.kind is EventKind.run_progress:
            self._advance(event)
        elif event.kind is EventKind.run_retrying:
            self._errors.pop(event.run_id or "", None)
        elif event.kind is EventKind.run_failed:
            error = orjson.loads(event.data)["error"]
            messages.append(self._blame(event, str(error["message"]) if error else "The run failed"))
        elif event.kind is EventKind.run_cancelled:
            self._blame(event, CANCELLED)
        elif event.kind in ENDED:
            return self._updates(event, self._end(event))
        return self._updates(event, messages)

    def document(self) -> dict[str, Any]:
        """The answer of `/workflow-status/{id}`. When it has completed each result is a field of its own, too."""
        results = self.results()
        completed = self.status is SessionStatus.completed
        listed: dict[str, Any] = {
            "session_id": self.id,
            "status": self.status,
            "progress": self.progress,
            "current_phase": self.current_phase,
            "phases_completed": self.phases_completed,
            "errors": [error._asdict() for error in self.errors],
            "partial_results": None if completed else results or None,
            "results": results if completed else None,
            "created_at": _optional_iso(self.created_at),
            "started_at": _optional_iso(self.started_at),
            "completed_at": _optional_iso(self.completed_at),
            "failed_at": _optional_iso(self.failed_at),
        }
        return listed | {name: value for name, value in results.items() if completed and name not in listed}

    def results(self) -> dict[str, Any]:
        """The fields of what the phases gave so far, a later phase's over an earlier one's.

        Of several artifacts of a type the latest counts. One whose payload is no object stands under its type.
        """
        merged: dict[str, Any] = {}
        for name in (name for phase in self._phases for name in phase.types):
            if name in self._payloads:
                payload = orjson.loads(self._payloads[name])
                merged |= payload if isinstance(payload, dict) else {name: payload}
        return merged

    # -- what happens -----------------------------------------------------------------------------------------

    def _begin(self, event: Event) -> None:
        """A round: the first one, or a later one of a session that had failed."""
        if self.created_at is None:
            self.created_at = event.at
        else:
            self.status = SessionStatus.queued if self.started_at is None else SessionStatus.running
        self.failed_at = None
        self._errors.pop("", None)

    def _publish(self, event: Event) -> list[dict[str, Any]]:
        artifact = event.artifact
        if artifact is None:
            return []
        if self.artifact_id is None:
            self.artifact_id = artifact.id
        if any(artifact.type in phase.types for phase in self._phases):
            self._payloads[artifact.type] = artifact.payload
        done = [
            phase.name
            for phase in self._phases
            if phase.name not in self.phases_completed and all(name in self._payloads for name in phase.types)
        ]
        self.phases_completed += done
        return [{"type": "phase_complete", "phase": name} for name in done]

    def _start(self, event: Event) -> None:
        if self.started_at is None:
            self.started_at = event.at
        if self.status is SessionStatus.queued:
            self.status = SessionStatus.running

    def _advance(self, event: Event) -> None:
        """What a run says of itself counts for the phases that its agent works on."""
        fraction = float(orjson.loads(event.data)["fraction"])
        for phase in self._progression.phases_of(event.agent):
            self._fractions[phase.name] = max(fraction, self._fractions.get(phase.name, 0.0))

    def _blame(self, event: Event, sentence: str) -> dict[str, Any]:
        agent = event.agent or ""
        phases = [phase.name for phase in self._progression.phases_of(agent)]
        phase = next((name for name in phases if name not in self.phases_completed), None)
        error = SessionError(
            agent, phase or (phases[0] if phases else "") or self.current_phase or "", sentence
        )
        self._errors[event.run_id or ""] = error
        return {"type": "error", "error": sentence}

    def _end(self, event: Event) -> list[dict[str, Any]]:
        """Nothing of it is open any more. It has completed if it ended well and every phase is done."""
        missing = next((phase for phase in self._phases if phase.name not in self.phases_completed), None)
        if event.kind is EventKind.correlation_completed and missing is None:
            self.status = SessionStatus.completed
            self.completed_at = event.at
            return [{"type": "final_result", "results": self.results()}]
        self.status = SessionStatus.failed
        self.failed_at = event.at
        return [{"type": "error", "error": f"The workflow failed: {self._why(event, missing)}"}]

    def _why(self, event: Event, missing: Phase | None) -> str:
        """Why it failed; where no run is to blame, this is an error of the session's own."""
        reason = orjson.loads(event.data).get("reason")
        if reason is None and self._errors:
            return self.errors[-1].error
        if reason is None and missing is not None:
            reason = f"it ended without {' and '.join(n for n in missing.types if n not in self._payloads)}"
        makers = self._progression.makers(missing) if missing is not None else []
        phase = "" if missing is None else missing.name
        self._errors[""] = SessionError(makers[0] if len(makers) == 1 else "", phase, str(reason))
        return str(reason)

    # -- what followers are told --------------------------------------------------------------------------------

    def _updates(self, event: Event, messages: list[dict[str, Any]]) -> list[Update]:
        """The messages, with the progress where that has changed: after the phases that are done, before the end."""
        self.progress = self._worked_out()
        now = (self.progress, self.current_phase)
        if now != self._told:
            self._told = now
            at = next((i for i, one in enumerate(messages) if one["type"] == "final_result"), len(messages))
            messages.insert(at, {"type": "progress", "value": now[0], "phase": now[1]})
        return [Update(event.seq, one | {"seq": event.seq, "session_id": self.id}) for one in messages]

    def _worked_out(self) -> float:
        """Never falls: phases that are done stay so, and of what runs said of themselves the most counts."""
        if self.status is SessionStatus.completed:
            return 100.0
        done = sum(
            1.0 if phase.name in self.phases_completed else self._fractions.get(phase.name, 0.0)
            for phase in self._phases
        )
        return min(round(100.0 * done / max(len(self._phases), 1), 1), _NEARLY)


def _optional_iso(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
