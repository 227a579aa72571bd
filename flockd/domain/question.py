"""Questions: what a run asks a person, and waits for without holding anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.moment import iso


class QuestionState(StrEnum):
    """Where a question is."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

    open = "open"
    """Its run waits for the answer."""
    answered = "answered"
    expired = "expired"
    """Its time ran out; the run goes on with the default, or fails."""
    cancelled = "cancelled"
    """Its run was cancelled."""


@dataclass(slots=True)
class Question:
    """A question's row. Only the writer changes one, and only inside a transaction."""

    seq: int
    """Of its `question.asked`: the order of the list."""
    id: str
    run_id: str
    agent: str
    correlation_id: str
    key: str
    """Names it within its run: the same key is the same question, whatever its text."""
    text: str
    schema: bytes
    """The JSON Schema of the answer."""
    state: QuestionState
    attempt: int
    """Of its run, when it was asked."""
    asked_at: int
    due_at: int | None
    answered_at: int | None = None
    answer: bytes | None = None
    """JSON."""
    answered_by: str | None = None
    tenant: str = DEFAULT_TENANT

    def copy(self) -> Question:
        """As it is now."""
        return replace(self)

    def document(self) -> dict[str, Any]:
        """The wire form, ready for orjson."""
        return {
            "id": self.id,
            "key": self.key,
            "text": self.text,
            "schema": orjson.Fragment(self.schema),
            "state": self.state,
            "agent": self.agent,
            "run_id": self.run_id,
            "correlation_id": self.correlation_id,
            "asked_at": iso(self.asked_at),
            "due_at": None if self.due_at is None else iso(self.due_at),
            "answered_at": None if self.answered_at is None else iso(self.answered_at),
            "answer": None if self.answer is None else orjson.Fragment(self.answer),
            "answered_by": self.answered_by,
        }
