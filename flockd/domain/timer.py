"""Timers: a name, a schedule, and what happens at its moments."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import orjson

from flockd.domain.moment import iso
from flockd.domain.names import NAME
from flockd.domain.schedule import Schedule
from flockd.domain.visibility import PUBLIC, AnyVisibility


@dataclass(frozen=True, slots=True)
class Publishes:
    """An artifact is published, as if from outside, and wakes whoever subscribes to it."""

    type: str
    payload: bytes = b"{}"
    """JSON; validated against the type at each firing."""
    tags: tuple[str, ...] = ()
    partition_key: str | None = None
    visibility: AnyVisibility = PUBLIC


@dataclass(frozen=True, slots=True)
class Starts:
    """A run of this agent begins, without inputs; its outputs wake others."""

    agent: str


Target: TypeAlias = Publishes | Starts


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer as it is declared. Each firing begins a correlation of its own, which has the timer's name."""

    name: str
    schedule: Schedule
    target: Target

    def __post_init__(self) -> None:
        if not NAME.fullmatch(str(self.name)):
            raise ValueError(
                f"a timer is named by letters, digits, - and _, at most 64, a letter first, not {self.name!r}"
            )

    @property
    def spec(self) -> bytes:
        """16 bytes that are others where anything of it is."""
        target: list[object]
        if isinstance(self.target, Starts):
            target = [self.target.agent]
        else:
            target = [
                self.target.type,
                self.target.payload.decode(),
                self.target.tags,
                self.target.partition_key,
                self.target.visibility.model_dump(mode="json"),
            ]
        return hashlib.sha256(orjson.dumps([self.schedule.text, target])).digest()[:16]

    def document(self, progress: TimerProgress) -> dict[str, Any]:
        """The wire form, ready for orjson."""
        return {
            "name": self.name,
            "schedule": self.schedule.text,
            "target": {
                "publish": self.target.type if isinstance(self.target, Publishes) else None,
                "run": self.target.agent if isinstance(self.target, Starts) else None,
            },
            "next_due_at": _optional_iso(progress.due_at),
            "fired": progress.fired,
            "last_fired_at": _optional_iso(progress.last_fired_at),
            "skipped": progress.skipped,
        }


@dataclass(slots=True)
class TimerProgress:
    """A timer's row: how far its schedule has come. Only the writer changes one, and only inside a transaction."""

    name: str
    spec: bytes
    """Of the declaration that it belongs to."""
    since: int
    """The log's next seq when it began."""
    anchor: int
    """The moment from which its intervals are counted."""
    planned_at: int | None = None
    """The moment of its schedule that comes next; None: it is over."""
    due_at: int | None = None
    """The same with its jitter."""
    fired: int = 0
    last_fired_at: int | None = None
    correlation_id: str | None = None
    """That of the last firing."""
    skipped: int = 0
    """Firings that did not come, since that was not over."""

    def copy(self) -> TimerProgress:
        """As it is now."""
        return replace(self)


def _optional_iso(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
