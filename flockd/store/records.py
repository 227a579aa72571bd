"""Records that the store keeps beside the nouns of the domain: what waits, what was settled, what was consumed."""

from __future__ import annotations

from typing import NamedTuple


class Held(NamedTuple):
    """An artifact that an AND holds until the others come."""

    agent: str
    seq: int
    artifact_id: str
    type: str
    depth: int


class PoolKey(NamedTuple):
    """Which pool: what one agent gathers of one key, within one tenant."""

    tenant: str
    agent: str
    key: str


class Pooled(NamedTuple):
    """An artifact that a join over a key, or a batch, holds until the others come or its time is over."""

    tenant: str
    agent: str
    key: str
    type: str
    seq: int
    artifact_id: str
    correlation_id: str
    """Of the artifact; held open meanwhile."""
    depth: int
    due_at: int
    place: str
    """Where a run that it completes queues."""
    is_batch: bool

    @property
    def pool(self) -> PoolKey:
        return PoolKey(self.tenant, self.agent, self.key)


class Hidden(NamedTuple):
    """An artifact that no agent sees before its time."""

    seq: int
    correlation_id: str
    """Held open meanwhile."""
    depth: int
    """Of the runs that it will make."""
    due_at: int


class KeyRecord(NamedTuple):
    """What an idempotency key did."""

    body_hash: bytes
    created_at: int
    results: str
    """JSON; the verb that wrote it can read it."""
    answer: bytes | None


class Step(NamedTuple):
    """The result of a step of a run."""

    run_id: str
    name: str
    value: bytes
    """JSON."""
    at: int


class Consumption(NamedTuple):
    """A run took an artifact and its outputs are on the board."""

    artifact_seq: int
    run_id: str
    tenant: str
    consumer: str
    consumed_at: int
