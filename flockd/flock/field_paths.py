"""Field paths while they are declared: one that no payload can have is a mistake, and would be a silent one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

from flockd.domain.artifact_type import ArtifactType
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError

_FIRST_FIELD = re.compile(r'\s*(?:"(?P<quoted>[^"\\]*)"|(?P<plain>[A-Za-z_]\w*))')


def has_path(path: str, artifact_type: ArtifactType) -> bool:
    """Whether payloads of a type may have the first field of a path; one that lets any field through has it."""
    return _missing(path, artifact_type) is None


def check_path(owner: str, option: str, path: str, artifact_type: ArtifactType) -> None:
    """Raise DeclarationError where payloads of a type never have the first field of a path.

    `option` is where it is written, in words: "join=".
    """
    unknown = unknown_field(path, [artifact_type])
    if unknown is not None:
        raise DeclarationError(f"{owner}: {option} goes by {path}, but {unknown}")


def unknown_field(path: str, takes: Sequence[ArtifactType]) -> str | None:
    """That payloads of these types never have the first field of a path, in words; None where some may have it."""
    missing = [_missing(path, artifact_type) for artifact_type in takes]
    found = [one for one in missing if one is not None]
    if not found or len(found) < len(missing):
        return None
    (field, _), known = found[0], frozenset[str]().union(*(known for _, known in found))
    near = nearest(field, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
    names = " and ".join(artifact_type.name for artifact_type in takes)
    return f"{names} {'has' if len(takes) == 1 else 'have'} no field {field}: {hint}"


def _missing(path: str, artifact_type: ArtifactType) -> tuple[str, frozenset[str]] | None:
    """The first field of a path, and those that there are, where it is none of them."""
    found, known = _FIRST_FIELD.match(path), _fields(artifact_type)
    if found is None or known is None:
        return None
    field = found["plain"] or found["quoted"] or ""
    return None if field in known else (field, known)


def _fields(artifact_type: ArtifactType) -> frozenset[str] | None:
    """The fields that stored payloads of a type may have; None where they may have any."""
    model, schema = artifact_type.model, artifact_type.schema
    properties = schema.get("properties")
    if properties is None:
        return None
    if model is None:
        return frozenset(properties) if schema.get("additionalProperties") is False else None
    if schema.get("additionalProperties"):
        return None
    if isinstance(model, type) and issubclass(
        model, BaseModel
    ):  # it may be stored under other names than it is read
        properties = model.model_json_schema(mode="serialization").get("properties", {})
    return frozenset(properties)
