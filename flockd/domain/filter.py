"""Event filters: what one subscriber wants of the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.event import Event
from flockd.domain.predicate import compile_where

Payload = Callable[[Artifact], Any]
"""Gives an artifact's payload as plain data."""


def payload_of(artifact: Artifact) -> Any:
    """The payload, parsed anew."""
    return orjson.loads(artifact.payload)


class EventFilter(NamedTuple):
    """All given fields must match, each by any of its values (tags: by all). Empty ones do not restrict.

    Hashable, and equal to every other that says the same: so it is evaluated once per event for all who share it.
    """

    kinds: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    correlation_ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    """Of the artifact. This field and all that follow let only events with a matching artifact through."""
    produced_by: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    """The artifact has all of them."""
    partition_keys: frozenset[str] = frozenset()
    where: frozenset[str] = frozenset()
    """Expressions over the payload (`flockd.domain.predicate`), any of which is true. All of them compile: whoever
    makes a filter of what somebody wrote looks first."""

    @property
    def correlation_id(self) -> str | None:
        """The one workflow that it is about, if it is about one."""
        return next(iter(self.correlation_ids)) if len(self.correlation_ids) == 1 else None

    def admits(self, event: Event, payload: Payload = payload_of) -> bool:
        """Whether a subscriber with this filter gets the event."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.agents and event.agent not in self.agents:
            return False
        if self.correlation_ids and event.correlation_id not in self.correlation_ids:
            return False
        if not (self.types or self.produced_by or self.tags or self.partition_keys or self.where):
            return True
        return event.artifact is not None and self._admits_artifact(event.artifact, payload)

    def _admits_artifact(self, artifact: Artifact, payload: Payload) -> bool:
        if self.types and artifact.type not in self.types:
            return False
        if self.produced_by and artifact.produced_by not in self.produced_by:
            return False
        if self.tags and not self.tags.issubset(artifact.tags):
            return False
        if self.partition_keys and artifact.partition_key not in self.partition_keys:
            return False
        return not self.where or any(_holds(expression, artifact, payload) for expression in self.where)


def _holds(expression: str, artifact: Artifact, payload: Payload) -> bool:
    """What raises on a payload does not match it."""
    try:
        return _compiled(expression)(payload(artifact))
    except Exception:
        return False


_compiled = lru_cache(maxsize=1024)(compile_where)


EVERYTHING = EventFilter()
