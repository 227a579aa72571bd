"""The query strings that the routes take. Other names are refused, with the nearest of these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flockd.api.wire_types import Id, QueryBool, QueryInt, QueryMoment, QuerySeq
from flockd.domain.event import LIVE_ONLY, EventKind
from flockd.domain.filter import EventFilter
from flockd.domain.run import RunState
from flockd.errors import InvalidInput, nearest
from flockd.store.reads import ArtifactFilter

VisibilityKind = Literal["Private", "Labelled", "Tenant", "Public"]
CorrelationWord = Literal["active", "completed", "failed", "cancelled"]


class QueryModel(BaseModel):
    """A query string: names are those of the wire, unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArtifactsWanted(QueryModel):
    """Which artifacts are meant. Everything is optional and combined."""

    type: list[str] = Field([], description="Artifact types; any of them.")
    produced_by: list[str] = Field(
        [], description='Agents, or "external" for what clients published; any of them.'
    )
    correlation_id: Id | None = Field(None, description="Of this workflow.")
    tag: list[str] = Field([], description="Tags; all of them.")
    from_: QueryMoment | None = Field(None, alias="from", description="Published at this time or later.")
    to: QueryMoment | None = Field(None, description="Published at this time or earlier.")
    visibility: list[VisibilityKind] = Field([], description="Kinds of visibility; any of them.")
    partition_key: str | None = Field(None, description="With this partition key.")

    def filter(self) -> ArtifactFilter:
        return ArtifactFilter(
            types=tuple(self.type),
            produced_by=tuple(self.produced_by),
            correlation_id=self.correlation_id,
            tags=tuple(dict.fromkeys(self.tag)),
            partition_key=self.partition_key,
            visibility=tuple(self.visibility),
            created_from=self.from_,
            created_to=self.to,
        )


class Page(QueryModel):
    """Which part of a list is wanted."""

    limit: QueryInt = Field(50, ge=1, le=500, description="Items per page.")
    offset: QueryInt = Field(0, ge=0, description="Items to skip; at most limits.offset_max.")


class ArtifactPage(ArtifactsWanted, Page):
    """A page of artifacts."""

    after: QuerySeq | None = Field(
        None, description="Only those past this seq in the chosen order: costs the same at any depth."
    )
    order: Literal["asc", "desc"] = Field("asc", description="By publication: oldest or newest first.")
    embed_meta: QueryBool = Field(False, description="Include `consumptions` and `consumed_by`.")


class ArtifactDetail(QueryModel):
    """How much of one artifact."""

    embed_meta: QueryBool = Field(False, description="Include `consumptions` and `consumed_by`.")


class BulkMode(QueryModel):
    """How a bulk publication takes bad items."""

    atomic: QueryBool = Field(False, description="One bad item refuses them all.")


class RunPage(Page):
    """A page of runs, newest first."""

    agent: str | None = Field(None, description="Of this agent.")
    state: RunState | None = Field(None, description="In this state; dead letters are `dead`.")
    correlation_id: Id | None = Field(None, description="Of this workflow.")


class CorrelationPage(Page):
    """A page of workflows, newest first."""

    state: CorrelationWord | None = Field(
        None, description="In this state; `cancelled` narrows `failed` to those that somebody ended."
    )
    name: str | None = Field(None, description="Started under this name of an agent, flow or workflow.")
    dialect: str | None = Field(
        None, description="Started through this family of routes; `native` is this one."
    )


class EventsWanted(QueryModel):
    """Which events of the log, and from where. All filters are combined; of repeated ones any."""

    kind: list[str] = Field([], description="Kinds of events.", examples=[["artifact.published"]])
    agent: list[str] = Field([], description="Of these agents.")
    type: list[str] = Field([], description="With an artifact of these types.")
    correlation_id: list[Id] = Field([], description="Of these workflows.")
    after: QuerySeq | None = Field(None, description="Only events past this seq.")
    from_: Literal["start"] | None = Field(
        None, alias="from", description="The whole log; without it and `after`: from now."
    )

    def filter(self) -> EventFilter:
        """Raises InvalidInput for a kind that there is not."""
        for kind in self.kind:
            if kind not in _KINDS:
                near = nearest(kind, _KINDS)
                hint = f"; did you mean {near}?" if near else ""
                raise InvalidInput.field("kind", f"There is no event of this kind{hint}", "unknown_kind")
        return EventFilter(
            kinds=frozenset(self.kind),
            agents=frozenset(self.agent),
            types=frozenset(self.type),
            correlation_ids=frozenset(self.correlation_id),
        )


_KINDS = frozenset(kind.value for kind in EventKind) - (LIVE_ONLY - {EventKind.run_output})
"""What a filter may name; what concerns the stream itself is always sent."""
