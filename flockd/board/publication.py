"""What a client wants on the board, what became of it, and the key under which it may ask again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from flockd.domain.agent import Agent
from flockd.domain.artifact import Draft
from flockd.domain.priority import Priority
from flockd.domain.visibility import PUBLIC, AnyVisibility
from flockd.errors import FlockdError, IdempotencyMismatch
from flockd.store.records import KeyRecord
from flockd.store.state import State


class Publication(NamedTuple):
    """An artifact as a client gives it; the board validates it against its type."""

    type: str
    payload: bytes = b"{}"
    """JSON."""
    tags: tuple[str, ...] = ()
    partition_key: str | None = None
    visibility: AnyVisibility = PUBLIC
    correlation_id: str | None = None
    """A canonical UUID; None begins a correlation of its own."""
    correlation_is_new: bool = False
    """The caller has just made this id: no correlation can have it yet, and none is looked up."""
    priority: Priority | None = None


class Prepared(NamedTuple):
    """A valid publication with the agents that it wakes: all that can be settled outside the transaction."""

    draft: Draft
    agents: tuple[Agent, ...]
    correlation_id: str
    priority: Priority | None
    correlation_is_new: bool

    @property
    def named_correlation(self) -> tuple[str, ...]:
        """The correlation whose row is to be loaded, if there can be one."""
        return () if self.correlation_is_new else (self.correlation_id,)


class Published(NamedTuple):
    """What a publication did."""

    artifact_id: str
    correlation_id: str
    seq: int
    round: int
    """Of its correlation: the one that waiters wait for."""
    run_id: str | None = None
    """The run that was asked for; direct runs only."""
    replayed: bool = False
    """This key was used before: nothing new was stored."""
    answer: bytes | None = None
    """Of a replay: the stored final answer; None where there is none yet."""
    fresh: bool = True
    """Its correlation began with it."""
    at: int = 0
    """The moment of its event, in milliseconds."""


Result = Published | FlockdError
Answer = Callable[[Sequence[Result]], bytes]


class Idempotency(NamedTuple):
    """The key of a request that starts work. Stored in the same transaction as its effect."""

    digest: bytes
    """16 bytes over caller, method, path and key."""
    body_hash: bytes
    """16 bytes over the parsed body."""
    answer: Answer | None = None
    """Makes the final answer inside the transaction; None where it comes later (a sync publish, a direct run)."""


def keys_of(key: Idempotency | None) -> tuple[bytes, ...]:
    """What a command that may come with a key needs of the keys that are stored."""
    return () if key is None else (key.digest,)


def replay(state: State, key: Idempotency | None) -> tuple[list[Published], bytes | None] | None:
    """What this key did before, or None where it is new or older than the setting keeps it.

    Raises IdempotencyMismatch where it came with another body.
    """
    record = None if key is None else state.keys.get(key.digest)
    if key is None or record is None or state.now - record.created_at > state.limits.idempotency_ms:
        return None
    if record.body_hash != key.body_hash:
        raise IdempotencyMismatch()
    results = [
        Published(*fields)._replace(replayed=True, answer=record.answer, fresh=False, at=record.created_at)
        for fields in orjson.loads(record.results)
    ]
    return results, record.answer


def remember(
    state: State, key: Idempotency | None, results: Sequence[Result], answer: bytes | None = None
) -> bytes | None:
    """Write the key's record beside the effect; returns the final answer, where it is known already.

    `answer`: the final one, of a command that makes it itself.
    """
    if key is None:
        return None
    if key.answer is not None:
        answer = key.answer(results)
    published = [result[:5] for result in results if isinstance(result, Published)]
    state.put_key(key.digest, KeyRecord(key.body_hash, state.now, orjson.dumps(published).decode(), answer))
    return answer
