"""The query strings that the routes take. Other names are refused, with the nearest of these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flockd.api.wire_types import Id, Moment, QueryBool, QueryInt, QuerySeq
from flockd.domain.run import RunState
from flockd.store.reads import ArtifactFilter

VisibilityKind = Literal["Private", "Labelled", "Tenant", "Public", "After"]
CorrelationWord = Literal["active", "completed", "failed", "cancelled"]
QuestionWord = Literal["all", "open", "answered", "expired", "cancelled"]


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
    from_: Moment | None = Field(None, alias="from", description="Published at this time or later.")
    to: Moment | None = Field(None, description="Published at this time or earlier.")
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
    error: str | None = Field(
        None, description="Whose last error has this code; dead ones, unless a state is given."
    )
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


class QuestionPage(Page):
    """A page of questions, newest first."""

    state: QuestionWord = Field("open", description="In this state, or `all`.")


class ExplainWanted(QueryModel):
    """Which artifact and which agent."""

    artifact: Id = Field(description="The id of the artifact.")
    agent: str = Field(min_length=1, description="The name of the agent; case, - and _ do not count.")


class GraphWanted(QueryModel):
    """How much of a workflow."""

    limit: QueryInt = Field(1000, ge=1, le=5000, description="Runs, and artifacts, at most: the first ones.")


class UsageWanted(QueryModel):
    """Which calls of language models are meant. Everything is optional and combined."""

    agent: str | None = Field(None, description="Of this agent.")
    model: str | None = Field(None, description="Of this model.")
    correlation_id: Id | None = Field(None, description="Of this workflow.")
    from_: Moment | None = Field(None, alias="from", description="Begun at this time or later.")
    to: Moment | None = Field(None, description="Begun at this time or earlier.")


class EventsFilter(QueryModel):
    """Which events of the log. All fields are combined; of repeated ones any, of tags all."""

    kind: list[str] = Field([], description="Kinds of events.", examples=[["artifact.published"]])
    agent: list[str] = Field([], description="Of these agents.")
    type: list[str] = Field([], description="With an artifact of these types.")
    produced_by: list[str] = Field(
        [], description='With an artifact by these agents, or by "external": what clients published.'
    )
    tag: list[str] = Field([], description="With an artifact that has all of these tags.")
    partition_key: list[str] = Field([], description="With an artifact of these partition keys.")
    where: list[str] = Field(
        [],
        description="With an artifact whose payload makes this true: a JMESPath expression of fields, indexes, "
        "literals, comparisons, &&, ||, !, contains, starts_with, ends_with and length.",
        examples=[["score >= `7`"]],
    )


class EventsWanted(EventsFilter):
    """Which events of the log, and from where."""

    correlation_id: list[Id] = Field([], description="Of these workflows.")
    after: QuerySeq | None = Field(None, description="Only events past this seq.")
    from_: Literal["start"] | None = Field(
        None, alias="from", description="The whole log; without it and `after`: from now."
    )


class WorkflowEventsWanted(EventsFilter):
    """Which events of one workflow, and from where."""

    after: QuerySeq | None = Field(
        None, description="Only events past this seq; without it from the beginning."
    )
    wait: QueryBool = Field(False, description="Wait for a workflow that is not there yet.")
