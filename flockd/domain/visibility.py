"""Visibility: which agents may see an artifact, and the one function that decides it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from flockd.domain.duration import seconds
from flockd.domain.names import fold

_TTL_MOST_SECONDS = 10 * 366 * 24 * 3600


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Private(_Kind):
    """Only the named agents see it, whichever way their names are spelled."""

    kind: Literal["Private"] = "Private"
    agents: tuple[str, ...] = Field(min_length=1)

    def names(self, agent: str) -> bool:
        """Whether it is for this agent."""
        return agent in self.agents or fold(agent) in map(fold, self.agents)


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


_Settled = Annotated[Private | Labelled | Tenant | Public, Field(discriminator="kind")]


def _ttl(value: object) -> object:
    if isinstance(value, (str, int, float, timedelta)) and not isinstance(value, bool):
        return seconds(value)
    return value


class After(_Kind):
    """No agent sees it until its time is over; then who `then` says. It wakes agents when it becomes visible."""

    kind: Literal["After"] = "After"
    ttl: Annotated[float, Field(gt=0, le=_TTL_MOST_SECONDS, allow_inf_nan=False), BeforeValidator(_ttl)]
    """In seconds; may be written as a duration ("30s", "2h", ISO 8601)."""
    then: _Settled = Public()


AnyVisibility = Private | Labelled | Tenant | Public | After
"""Every kind, as a type."""

Visibility = Annotated[AnyVisibility, Field(discriminator="kind")]
"""Every kind, as a field: told apart by `kind`."""

PUBLIC = Public()
_ADAPTER: TypeAdapter[AnyVisibility] = TypeAdapter(Visibility)
_NARROWEST_FIRST = ("After", "Private", "Labelled", "Tenant", "Public")


class Viewer(NamedTuple):
    """Who looks: an agent with its labels and tenant, or (`agent` None) a reader, who sees the whole of its tenant."""

    agent: str | None = None
    labels: frozenset[str] = frozenset()
    tenant: str | None = None


READER = Viewer()


def may_see(viewer: Viewer, visibility: AnyVisibility) -> bool:
    """Whether `viewer` may see what has this visibility: matching, reads and queries all ask here."""
    if viewer.agent is None or isinstance(visibility, Public):
        return True
    if isinstance(visibility, Private):
        return visibility.names(viewer.agent)
    if isinstance(visibility, After):
        return False
    if isinstance(visibility, Labelled):
        return viewer.labels.issuperset(visibility.required_labels)
    return viewer.tenant == visibility.tenant_id


def narrowest(
    visibilities: list[AnyVisibility],
) -> AnyVisibility:
    """What an output inherits: the narrowest of its inputs'; of two equally narrow ones, what both allow."""
    result: AnyVisibility = PUBLIC
    for visibility in visibilities:
        if _NARROWEST_FIRST.index(visibility.kind) < _NARROWEST_FIRST.index(result.kind):
            result = visibility
        elif isinstance(visibility, Private) and isinstance(result, Private):
            shared = tuple(agent for agent in result.agents if visibility.names(agent))
            result = Private(agents=shared) if shared else result
        elif isinstance(visibility, Labelled) and isinstance(result, Labelled):
            result = Labelled(
                required_labels=tuple(sorted({*result.required_labels, *visibility.required_labels}))
            )
    return result


def visibility_from_json(stored: bytes | str | None) -> AnyVisibility:
    """The value of a stored row; None is Public, the common case, which is not worth bytes in every row."""
    return PUBLIC if stored is None else _ADAPTER.validate_json(stored)


def visibility_to_json(visibility: AnyVisibility) -> str | None:
    return None if visibility is PUBLIC or isinstance(visibility, Public) else visibility.model_dump_json()
