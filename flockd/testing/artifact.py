"""An artifact as a test sees it: with its value instead of its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flockd.domain.artifact import Artifact
from flockd.domain.artifact_type import Types
from flockd.domain.visibility import AnyVisibility


@dataclass(frozen=True, slots=True)
class BoardArtifact:
    """One artifact on the board."""

    type: str
    value: Any
    """An instance of the type's class; of a type by JSON Schema, plain data."""
    produced_by: str
    """The agent; "external" where the test published it."""
    tags: tuple[str, ...]
    partition_key: str | None
    visibility: AnyVisibility
    id: str
    correlation_id: str
    """Its workflow."""
    seq: int
    """The order of the board."""

    @classmethod
    def of(cls, artifact: Artifact, types: Types) -> BoardArtifact:
        """What is stored, with its payload as a value."""
        return cls(
            artifact.type,
            types.named(artifact.type).parse(artifact.payload),
            artifact.produced_by,
            artifact.tags,
            artifact.partition_key,
            artifact.visibility,
            artifact.id,
            artifact.correlation_id,
            artifact.seq,
        )
