"""Batches: the same work on many items, a few of them at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson


class ItemState(StrEnum):
    """Where an item of a batch is."""

    __hash__ = str.__hash__  # of the value, as Enum's own, but without a call of Python

    waiting = "waiting"
    """Not begun."""
    running = "running"
    """Its correlation is open."""
    completed = "completed"
    """Its correlation completed."""
    failed = "failed"
    """Its correlation ended otherwise, or its input was refused."""


@dataclass(slots=True)
class Batch:
    """A batch's row; its correlation holds the rest. Only the writer changes one, inside a transaction."""

    correlation_id: str
    agent: str
    width: int
    """Items in flight at most."""
    total: int
    completed: int = 0
    """Items that ended, the failed ones too."""
    failed: int = 0
    next_item: int = 0
    """Every item before this one has begun or was refused."""
    options: bytes = b"{}"
    """JSON of whoever started it, kept and given back."""
    unwritten: bool = False
    """Its results are still to be written into a file."""

    @property
    def is_over(self) -> bool:
        return self.completed >= self.total

    def progress(self) -> dict[str, Any]:
        """What `batch.progress` says of it."""
        return {"total": self.total, "completed": self.completed, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class BatchItem:
    """An item's row."""

    batch_id: str
    item: int
    """Its place, from 0."""
    state: ItemState
    correlation_id: str | None = None
    """Of the work on it, once begun."""
    error: str | None = None
    """Why its input was refused."""
    inputs: bytes | None = None
    """JSON `[[type, payload, version], …]` until it begins: then they are artifacts."""

    def drafted(self) -> list[tuple[str, bytes, int]]:
        """(type, payload, version) of each of its inputs."""
        return [
            (name, orjson.dumps(payload), version)
            for name, payload, version in orjson.loads(self.inputs or b"[]")
        ]


def item_inputs(inputs: list[tuple[str, bytes, int]]) -> bytes:
    """What `BatchItem.inputs` holds of them."""
    return orjson.dumps([[name, orjson.Fragment(payload), version] for name, payload, version in inputs])
