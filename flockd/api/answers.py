"""What the routes answer, for the OpenAPI document. The answers are made by the domain's `document()`s."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from flockd.api.bodies import PriorityWord
from flockd.api.queries import VisibilityKind
from flockd.api.wire_types import Id, Time
from flockd.domain.question import QuestionState
from flockd.domain.run import RunState, WaitReason
from flockd.domain.visibility import Visibility


class Problem(BaseModel):
    """Every error, as application/problem+json."""

    type: str
    title: str = Field(description="The phrase of the status.")
    status: int
    detail: str = Field(
        description="The sentence for people.", examples=["Agent not found: invalid_agent_name"]
    )
    error: str = Field(description="The stable code for programs.", examples=["NOT_FOUND"])
    message: str = Field(description="As `detail`.")
    details: dict[str, Any] | None = Field(
        description="For bad input: `field` and `issue` of the first problem, and all of them as `errors`."
    )
    timestamp: Time
    request_id: str


class Accepted(BaseModel):
    """The artifact, and the runs that it wakes, are durable."""

    status: Literal["accepted"]
    artifact_id: Id
    correlation_id: Id
    seq: int = Field(description="Of its artifact.published event.")


class Rejected(BaseModel):
    """This item is not on the board."""

    status: Literal["rejected"]
    error: str
    message: str
    details: dict[str, Any] | None


class Bulk(BaseModel):
    """One entry for each item, in their order."""

    items: list[Accepted | Rejected]
    accepted: int
    rejected: int


class Consumption(BaseModel):
    """A run took the artifact and its outputs are on the board."""

    consumer: str
    run_id: Id
    consumed_at: Time


class Artifact(BaseModel):
    """One artifact."""

    id: Id
    seq: int = Field(description="The order of the board.")
    type: str
    payload: Any
    produced_by: str = Field(description='The agent, or "external".')
    run_id: Id | None
    visibility: Visibility
    visibility_kind: VisibilityKind
    created_at: Time
    correlation_id: Id
    partition_key: str | None
    tags: list[str]
    version: int = Field(description="Of its type.")
    consumptions: list[Consumption] = Field([], description="Only with embed_meta.")
    consumed_by: list[str] = Field([], description="Only with embed_meta.")


class Pagination(BaseModel):
    """Where the page is."""

    limit: int
    offset: int
    total: int
    total_exact: bool = Field(description="False where counting ended at limits.count_max.")


class Artifacts(BaseModel):
    """A page of artifacts."""

    items: list[Artifact]
    pagination: Pagination


class ErrorEntry(BaseModel):
    """A run that failed for good."""

    agent: str
    error: str


class Sync(BaseModel):
    """What the workflow came to, or what is there at the timeout."""

    correlation_id: Id
    artifacts: list[Artifact] = Field(description="What agents produced in this round.")
    completed: bool = Field(description="False at the timeout; the work goes on.")
    duration_ms: int
    state: Literal["active", "completed", "failed"]
    errors: list[ErrorEntry]


class Summary(BaseModel):
    """Counts of artifacts."""

    total_count: int
    by_type: dict[str, int]
    by_producer: dict[str, int]
    by_visibility: dict[str, int]
    by_tag: dict[str, int]
    total_exact: bool = Field(True, description="False: there are more; all figures are of the first ones.")
    by_tag_exact: bool = Field(True, description="False: the tags are counted over the first ones.")
    earliest_created_at: Time | None
    latest_created_at: Time | None


class ArtifactsSummary(BaseModel):
    """Counts of the artifacts that the filters select."""

    summary: Summary


class RunResult(BaseModel):
    """What a directly run agent produced; with cascade, what its whole workflow did."""

    artifacts: list[Artifact]
    correlation_id: Id
    run_id: Id


class Usage(BaseModel):
    """What calls of language models took."""

    requests: int = Field(description="Calls that were sent, whatever came of them.")
    input_tokens: int
    output_tokens: int
    cost_usd: float = Field(description="As far as the prices of the models are known.")
    seconds: float = Field(description="From sending to the last byte, of all together.")
    unpriced_requests: int = Field(
        description="Those of the requests whose price was not known: what they cost is not in cost_usd."
    )
    estimated_requests: int = Field(
        description="Those of the requests of which nobody knows what they took (they were cut, or lost in a crash): "
        "they are charged the most that they might have taken."
    )


class Unjoined(BaseModel):
    """What an agent holds until the other artifacts of its AND come."""

    agent: str
    artifacts: list[Id] = Field(description="The oldest hundred, in the order of publication.")
    truncated: bool = Field(default=False, description="It holds more than these. Absent where it does not.")


class Correlation(BaseModel):
    """A workflow. Of one that does not exist, everything but its id is null, zero or false."""

    correlation_id: str
    id: str
    state: Literal["active", "completed", "failed", "not_found"]
    outcome: Literal["cancelled"] | None
    reason: str | None = Field(description="The limit that ended it.")
    paused: bool = Field(description="Nothing of it starts until it is resumed.")
    has_pending_work: bool
    artifact_count: int = Field(description="Of all rounds, the published ones included.")
    error_count: int = Field(description="Runs that ended dead, in all rounds.")
    round: int
    dialect: str | None
    name: str | None
    priority: PriorityWord | None
    batch_id: str | None = Field(description="The batch whose item it is.")
    causes: list[str] = Field(
        description="The workflows whose artifacts were gathered for the run that began it."
    )
    started_at: Time | None
    last_activity_at: Time | None
    completed_at: Time | None
    usage: Usage | None = Field(description="Of all of its runs. Null: they called no language model.")


class CorrelationStatus(Correlation):
    """A workflow, and what of it waits for partners. One that does not exist has the state `not_found`."""

    unjoined: list[Unjoined]


class Correlations(BaseModel):
    """A page of workflows."""

    correlations: list[Correlation]
    total: int
    total_exact: bool
    limit: int
    offset: int


class RunError(BaseModel):
    """Why a run failed last."""

    code: str
    message: str


class Run(BaseModel):
    """One piece of work of one agent."""

    id: Id
    agent: str
    correlation_id: Id
    state: RunState
    reason: WaitReason | None = Field(description="What a waiting run waits for.")
    attempt: int = Field(description="Counted from 1.")
    crashes: int = Field(description="Attempts that ended with the process.")
    priority: PriorityWord
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    due_at: Time | None = Field(description="When a waiting run goes on.")
    error: RunError | None
    inputs: list[Id]
    outputs: list[Id]
    output_text: str | None = Field(description="The end of its live text.")
    usage: Usage | None = Field(description="Of all of its attempts. Null: it called no language model.")


class Runs(BaseModel):
    """A page of runs."""

    runs: list[Run]
    total: int
    total_exact: bool
    limit: int
    offset: int


class RetryRefused(BaseModel):
    """A run that was named and cannot start again."""

    run_id: Id
    error: str
    message: str


class Retried(BaseModel):
    """The dead runs that start again."""

    runs: list[Run] = Field(description="As they are now.")
    retried: int = Field(description="How many these are.")
    refused: list[RetryRefused] = Field(description="Of `run_ids`: those that cannot, and why.")
    remaining: int = Field(description="How many more fit and are dead still; 0 with `run_ids`.")
    remaining_exact: bool = Field(description="False where counting ended at limits.count_max.")
    died_before: Time = Field(description="Send it with the next request: what dies again is left alone.")


class Question(BaseModel):
    """What a run asks, and waits for without holding anything."""

    id: Id
    key: str = Field(description="Names it within its run.")
    text: str
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema of the answer.")
    state: QuestionState
    agent: str
    run_id: Id
    correlation_id: Id
    asked_at: Time
    due_at: Time | None = Field(description="When it expires; null: never.")
    answered_at: Time | None
    answer: Any = Field(description="Null while there is none.")
    answered_by: str | None


class Questions(BaseModel):
    """A page of questions."""

    questions: list[Question]
    total: int
    total_exact: bool
    limit: int
    offset: int


class RuleCheck(BaseModel):
    """What one rule says of the artifact."""

    rule: str
    passed: bool
    detail: str


class Explained(BaseModel):
    """Why an artifact woke an agent, or did not."""

    woke: bool = Field(description="Whether a run of the agent has it among its inputs.")
    reason: str = Field(description="For people.")
    rule: str | None = Field(
        description="What stands in the way: of waking it, or of the start of the run. Null where nothing does."
    )
    checks: list[RuleCheck] = Field(
        description="Every rule, in the order in which they are asked, as they are today."
    )
    run_id: Id | None


class ArtifactNode(BaseModel):
    """An artifact of a workflow, without its payload."""

    id: Id
    kind: Literal["artifact"]
    seq: int
    type: str
    produced_by: str
    correlation_id: Id = Field(description="Another one's, where a run of this workflow took it from there.")
    created_at: Time
    payload_size: int = Field(description="Bytes.")


class RunNode(BaseModel):
    """A run of a workflow."""

    id: Id
    kind: Literal["run"]
    agent: str
    state: RunState
    reason: WaitReason | None
    attempt: int
    correlation_id: Id
    created_at: Time
    started_at: Time | None
    completed_at: Time | None


class Edge(BaseModel):
    """An artifact went into a run, or came out of it."""

    from_: Id = Field(alias="from")
    to: Id


class Graph(BaseModel):
    """How a workflow grew: artifacts, the runs that took them, and what those made."""

    nodes: list[Annotated[ArtifactNode | RunNode, Field(discriminator="kind")]] = Field(
        description="Artifacts by seq, then runs in the order in which they were made."
    )
    edges: list[Edge] = Field(description="Between nodes that are here.")
    truncated: bool = Field(description="Whether there is more than `limit` allows.")


class ArtifactType(BaseModel):
    """One artifact type."""

    name: str
    description: str | None
    version: int
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema.")


class ArtifactTypes(BaseModel):
    """A page of artifact types, by name."""

    types: list[ArtifactType]
    total: int
    limit: int
    offset: int


class TimerTarget(BaseModel):
    """What a timer does; one of the two."""

    publish: str | None = Field(description="The type of the artifact that it publishes.")
    run: str | None = Field(description="The agent that it starts, without inputs.")


class Timer(BaseModel):
    """A timer. Its firings are the workflows of its name."""

    name: str
    schedule: str = Field(description="In words.", examples=["daily at 09:00 (Europe/Berlin)"])
    target: TimerTarget
    next_due_at: Time | None = Field(description="Null: it is over.")
    fired: int = Field(description="How often, since it was declared as it is now.")
    last_fired_at: Time | None
    skipped: int = Field(description="Firings that did not come, since the last one was not over.")


class Timers(BaseModel):
    """A page of timers, by name."""

    timers: list[Timer]
    total: int
    limit: int
    offset: int


class UsageSums(BaseModel):
    """What calls of language models took, in all, by agent and by model."""

    totals: Usage
    by_agent: dict[str, Usage]
    by_model: dict[str, Usage]


class BudgetBound(BaseModel):
    """How far a bound is used up. Null where each run, or each workflow, has it for itself."""

    limit: float
    spent: float | None
    reserved: float | None = Field(description="By calls that are not over.")
    left: float | None


class Budget(BaseModel):
    """How much calls of language models may take together."""

    scope: Literal["run", "correlation", "agent", "tenant"]
    name: str | None = Field(description="The agent, or tenant, for which the rule is alone.")
    subject: str | None = Field(
        description="The agent, or tenant, that has it. Null: each run, or each workflow, has one."
    )
    per: Literal["minute", "hour", "day", "month"] | None = Field(description="Null: in all time.")
    requests: BudgetBound | None = Field(description="Null: not bounded.")
    tokens: BudgetBound | None
    usd: BudgetBound | None
    window_ends_at: Time | None = Field(description="When it begins anew.")


class Budgets(BaseModel):
    """A page of budgets, in the order in which they are declared."""

    budgets: list[Budget]
    total: int
    limit: int
    offset: int


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class Ready(BaseModel):
    """The daemon takes work."""

    status: Literal["ready"]


class Verified(BaseModel):
    """Whether every maintained count and state is what the rows say."""

    ok: bool
    differences: list[str]


class WasReset(BaseModel):
    """The board is empty."""

    status: Literal["reset"]


class Index(BaseModel):
    """What runs here, and where to read on."""

    name: str
    version: str
    docs: str
    redoc: str
    openapi: str
    health: str
