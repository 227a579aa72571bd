"""Event filters: what one subscriber wants of the log. All given fields must match, each by any of its values."""

from __future__ import annotations

from typing import NamedTuple

from flockd.domain.event import Event


class EventFilter(NamedTuple):
    """Hashable, so that equal filters are evaluated once per event. Empty fields do not restrict."""

    kinds: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    correlation_ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    """Artifact types: lets only events with such an artifact through."""

    def admits(self, event: Event) -> bool:
        """Whether a subscriber with this filter gets the event."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.agents and event.agent not in self.agents:
            return False
        if self.correlation_ids and event.correlation_id not in self.correlation_ids:
            return False
        return not self.types or (event.artifact is not None and event.artifact.type in self.types)


EVERYTHING = EventFilter()
