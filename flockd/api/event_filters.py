"""From what a client wrote to the filter of its stream, on every transport alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flockd.domain.agent import Agents
from flockd.domain.event import LIVE_ONLY, EventKind
from flockd.domain.filter import EventFilter
from flockd.domain.predicate import compile_where
from flockd.errors import InvalidInput, nearest
from flockd.streams.streams import StreamLimits

KINDS = frozenset(kind.value for kind in EventKind) - (LIVE_ONLY - {EventKind.run_output})
"""What a filter may name; what concerns the stream itself is always sent."""


class Wanted(Protocol):
    """A query string's or a message's filter."""

    @property
    def kind(self) -> Sequence[str]: ...
    @property
    def agent(self) -> Sequence[str]: ...
    @property
    def type(self) -> Sequence[str]: ...
    @property
    def produced_by(self) -> Sequence[str]: ...
    @property
    def tag(self) -> Sequence[str]: ...
    @property
    def partition_key(self) -> Sequence[str]: ...
    @property
    def where(self) -> Sequence[str]: ...


def event_filter(
    wanted: Wanted, correlation_ids: Sequence[str], agents: Agents, limits: StreamLimits, prefix: str = ""
) -> EventFilter:
    """The filter, in its one form: neither order nor repeats count, nor how agents are spelled.

    Raises InvalidInput, with the field (which begins with `prefix`), for a kind that there is not, for a `where` that
    is none, and past what one filter may hold.
    """
    found = EventFilter(
        kinds=_set(wanted.kind),
        agents=_set([agents.name_of(name) for name in wanted.agent]),
        correlation_ids=_set(correlation_ids),
        types=_set(wanted.type),
        produced_by=_set(wanted.produced_by),
        tags=_set(wanted.tag),
        partition_keys=_set(wanted.partition_key),
        where=_set(wanted.where),
    )
    _check_size(found, limits, prefix)
    for kind in sorted(found.kinds - KINDS):
        near = nearest(kind, KINDS)
        hint = f"; did you mean {near}?" if near else ""
        raise InvalidInput.field(f"{prefix}kind", f"There is no event of this kind{hint}", "unknown_kind")
    for expression in sorted(found.where):
        try:
            compile_where(expression)
        except ValueError as refused:
            raise InvalidInput.field(f"{prefix}where", str(refused), "where") from None
    return found


def _set(values: Sequence[str]) -> frozenset[str]:
    """Empty ones are one: of thousands of streams each would have seven of its own."""
    return frozenset(values) if values else _NONE


_NONE: frozenset[str] = frozenset()
_FIELDS = ("kind", "agent", "correlation_id", "type", "produced_by", "tag", "partition_key", "where")
"""The wire's names of the fields of an EventFilter, in their order."""


def _check_size(found: EventFilter, limits: StreamLimits, prefix: str) -> None:
    if sum(map(len, found)) > limits.filter_values:
        most = f"At most {limits.filter_values} values in one filter (streams.filter_values)"
        largest = max(range(len(found)), key=lambda index: len(found[index]))
        raise InvalidInput.field(f"{prefix}{_FIELDS[largest]}", most, "too_many")
    for name, values in zip(_FIELDS, found, strict=True):
        if any(len(value) > limits.filter_chars for value in values):
            most = f"At most {limits.filter_chars} characters (streams.filter_chars)"
            raise InvalidInput.field(f"{prefix}{name}", most, "too_long")
