"""Gathering while it is declared: `join=` and `batch=` of an agent, checked against the types that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flockd.domain.artifact_type import ArtifactType
from flockd.domain.gathering import BatchSpec, Gathering, JoinSpec
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.field_paths import check_path

_JOIN = 'join=JoinSpec(by="order.id", within="1h")'
_BATCH = 'batch=BatchSpec(size=10, timeout="30s")'


def read_gathering(owner: str, join: object, batch: object) -> Gathering | None:
    """What the options `join` and `batch` say, each a spec or a table of what it takes. Raises DeclarationError."""
    if join is not None and batch is not None:
        raise DeclarationError(
            f"{owner}: it has join= and batch=, and gathers by one of them: make two agents of it"
        )
    if join is not None:
        return _made(owner, "join", JoinSpec, join, _JOIN)
    return None if batch is None else _made(owner, "batch", BatchSpec, batch, _BATCH)


def _made(
    owner: str, option: str, spec: type[JoinSpec] | type[BatchSpec], given: object, example: str
) -> Gathering:
    if isinstance(given, spec):
        return given
    if not isinstance(given, Mapping):
        raise DeclarationError(f"{owner}: {option} is {given!r}: write {example}")
    wanted: Mapping[str, Any] = given
    try:
        return spec(**wanted)
    except (TypeError, ValueError) as error:
        said = str(error).partition("() ")[2] or str(error)  # of a TypeError: what is missing or not known
        raise DeclarationError(f"{owner}: {option}: {said}: write {example}") from None


def check_gathering(
    owner: str, gathering: Gathering | None, takes: Sequence[ArtifactType], mode: Literal["all", "any"]
) -> None:
    """Raise DeclarationError where artifacts of the types that an agent takes could never be gathered."""
    if isinstance(gathering, JoinSpec):
        _check_join(owner, gathering, takes, mode)
    elif isinstance(gathering, BatchSpec) and gathering.by is not None:
        for artifact_type in takes:
            check_path(owner, "batch=", gathering.by, artifact_type)


def _check_join(
    owner: str, join: JoinSpec, takes: Sequence[ArtifactType], mode: Literal["all", "any"]
) -> None:
    names = tuple(dict.fromkeys(one.name for one in takes))
    if mode == "any" or len(takes) < 2:
        raise DeclarationError(
            f"{owner}: join= is for several artifacts of one key, and it takes {' or '.join(names) or 'none'}: "
            "give it a parameter for each of them"
        )
    paths = dict.fromkeys(names, join.by) if isinstance(join.by, str) else join.by
    for name in paths:
        if name not in names:
            near = nearest(str(name), names)
            hint = f"did you mean {near}?" if near else f"it takes {' and '.join(names)}"
            raise DeclarationError(f"{owner}: join= has a path for {name}, which it does not take: {hint}")
    lacking = join.lacks(names)
    if lacking:
        raise DeclarationError(
            f"{owner}: join= does not say where the key of {' and '.join(lacking)} is: give by= a path for each type"
        )
    for artifact_type in takes:
        check_path(owner, "join=", paths[artifact_type.name], artifact_type)
