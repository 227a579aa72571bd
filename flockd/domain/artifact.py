"""Artifacts: typed, immutable values on the board."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from flockd.domain.moment import iso
from flockd.domain.visibility import PUBLIC, AnyVisibility

EXTERNAL = "external"
"""The producer of what a client publishes."""

DEFAULT_TENANT = "default"


class Artifact(NamedTuple):
    """One artifact as it is on the board."""

    seq: int
    """The seq of its `artifact.published` event; the order of the board."""
    id: str
    type: str
    payload: bytes
    """JSON, valid for the type; spliced into answers, never decoded on the way out."""
    produced_by: str
    correlation_id: str
    created_at: int
    """Milliseconds since the epoch; never less than that of a smaller seq."""
    run_id: str | None = None
    """The run that produced it; None for what a client published."""
    partition_key: str | None = None
    tags: tuple[str, ...] = ()
    visibility: AnyVisibility = PUBLIC
    version: int = 1
    tenant: str = DEFAULT_TENANT
    was_hidden: str | None = None
    """JSON of the visibility that it was published with, where that was After and its time is over."""

    def document(self, inline_bytes: int | None = None) -> dict[str, object]:
        """The wire form, ready for orjson. A payload over `inline_bytes` is null, with its size and address instead."""
        document: dict[str, object] = {
            "id": self.id,
            "seq": self.seq,
            "type": self.type,
            "payload": orjson.Fragment(self.payload),
            "produced_by": self.produced_by,
            "run_id": self.run_id,
            "visibility": self.visibility.model_dump() if self.visibility is not PUBLIC else _PUBLIC_DOCUMENT,
            "visibility_kind": self.visibility.kind,
            "created_at": iso(self.created_at),
            "correlation_id": self.correlation_id,
            "partition_key": self.partition_key,
            "tags": self.tags,
            "version": self.version,
        }
        if inline_bytes is not None and len(self.payload) > inline_bytes:
            document["payload"] = None
            document["payload_size"] = len(self.payload)
            document["payload_href"] = f"/api/v1/artifacts/{self.id}"
        return document


_PUBLIC_DOCUMENT = orjson.Fragment(PUBLIC.model_dump_json())


class Draft(NamedTuple):
    """An artifact that is valid but not yet on the board: the board gives it its seq, time and correlation."""

    id: str
    type: str
    payload: bytes
    produced_by: str
    partition_key: str | None = None
    tags: tuple[str, ...] = ()
    visibility: AnyVisibility = PUBLIC
    version: int = 1
    keys: tuple[tuple[str, str], ...] = ()
    """(agent, key) for each agent that gathers it."""
    places: tuple[tuple[str, str], ...] = ()
    """(agent, place) for each agent whose runs queue by a key of it."""
