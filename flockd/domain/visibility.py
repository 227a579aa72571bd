"""Visibility: which agents may see an artifact, and the one function that decides it."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Private(_Kind):
    """Only the named agents see it."""

    kind: Literal["Private"] = "Private"
    agents: tuple[str, ...] = Field(min_length=1)


class Labelled(_Kind):
    """Only agents that carry every one of these labels see it."""

    kind: Literal["Labelled"] = "Labelled"
    required_labels: tuple[str, ...] = Field(min_length=1)


class Tenant(_Kind):
    """Only agents of this tenant see it."""

    kind: Literal["Tenant"] = "Tenant"
    tenant_id: str = Field(min_length=1)


class Public(_Kind):
    """Every agent sees it."""

    kind: Literal["Public"] = "Public"


Visibility = Annotated[Private | Labelled | Tenant | Public, Field(discriminator="kind")]
"""The kinds, narrowest first."""

PUBLIC = Public()
_ADAPTER: TypeAdapter[Private | Labelled | Tenant | Public] = TypeAdapter(Visibility)
_NARROWEST_FIRST = ("Private", "Labelled", "Tenant", "Public")


class Viewer(NamedTuple):
    """Who looks: an agent with its labels and tenant, or (`agent` None) a reader, who sees the whole of its tenant."""

    agent: str | None = None
    labels: frozenset[str] = frozenset()
    tenant: str | None = None


READER = Viewer()


def may_see(viewer: Viewer, visibility: Private | Labelled | Tenant | Public) -> bool:
    """Whether `viewer` may see what has this visibility: matching, reads and queries all ask here."""
    if viewer.agent is None or isinstance(visibility, Public):
        return True
    if isinstance(visibility, Private):
        return viewer.agent in visibility.agents
    if isinstance(visibility, Labelled):
        return viewer.labels.issuperset(visibility.required_labels)
    return viewer.tenant == visibility.tenant_id


def narrowest(
    visibilities: list[Private | Labelled | Tenant | Public],
) -> Private | Labelled | Tenant | Public:
    """What an output inherits: the narrowest of its inputs'; of two equally narrow ones, what both allow."""
    result: Private | Labelled | Tenant | Public = PUBLIC
    for visibility in visibilities:
        if _NARROWEST_FIRST.index(visibility.kind) < _NARROWEST_FIRST.index(result.kind):
            result = visibility
        elif isinstance(visibility, Private) and isinstance(result, Private):
            shared = tuple(agent for agent in result.agents if agent in visibility.agents)
            result = Private(agents=shared) if shared else result
        elif isinstance(visibility, Labelled) and isinstance(result, Labelled):
            result = Labelled(
                required_labels=tuple(sorted({*result.required_labels, *visibility.required_labels}))
            )
    return result


def visibility_from_json(stored: bytes | str | None) -> Private | Labelled | Tenant | Public:
    """The value of a stored row; None is Public, the common case, which is not worth bytes in every row."""
    return PUBLIC if stored is None else _ADAPTER.validate_json(stored)


def visibility_to_json(visibility: Private | Labelled | Tenant | Public) -> str | None:
    return None if visibility is PUBLIC or isinstance(visibility, Public) else visibility.model_dump_json()
