"""Rows ↔ domain: the columns of each table, what a row of them becomes, and what becomes a row of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.batch import Batch, BatchItem, ItemState
from flockd.domain.budget import Amounts, Ledger, LedgerKey, Scope
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import Event, EventKind
from flockd.domain.identity import id_bytes, id_text
from flockd.domain.priority import Priority
from flockd.domain.question import Question, QuestionState
from flockd.domain.run import Run, RunState, WaitReason
from flockd.domain.timer import TimerProgress
from flockd.domain.usage import Call, Most, Usage
from flockd.domain.visibility import visibility_from_json, visibility_to_json
from flockd.store.accounts import OF_THE_BOARD
from flockd.store.records import Held, Hidden, Pooled, Step

Row = Sequence[Any]

ARTIFACT_COLUMNS = (
    "seq, id, tenant, type, producer, visibility, visible_to, correlation, run, partition_key, tags, version, "
    "created_at, payload, was_hidden"
)
RUN_COLUMNS = (
    "ord, id, tenant, agent, correlation, state, reason, due_at, priority, vtime, depth, cascade, attempt, "
    "first_attempt, fence, crashes, created_at, started_at, completed_at, ended_round, inputs, outputs, error, "
    "output_text, paused, place, of_error, usage"
)
CORRELATION_COLUMNS = (
    "seq, id, tenant, state, dialect, name, priority, round, round_seq, open, runs, artifact_count, "
    "error_count, round_outputs, round_errors, round_cancelled, reason, started_at, last_activity_at, completed_at, "
    "batch, batch_item, paused, causes, usage, inherited_runs"
)
HELD_COLUMNS = "correlation, agent, type, seq, artifact, depth"
KEY_COLUMNS = "digest, body_hash, created_at, results, answer"
BATCH_COLUMNS = "id, agent, width, total, completed, failed, next_item, options, unwritten"
HIDDEN_COLUMNS = "seq, correlation, depth, due_at"
POOL_COLUMNS = "tenant, agent, key, type, seq, artifact, correlation, depth, due_at, place, is_batch"
STEP_COLUMNS = "run, name, value, at"
QUESTION_COLUMNS = (
    "seq, id, tenant, run, agent, correlation, key, text, schema, state, attempt, asked_at, due_at, answered_at, "
    "answer, answered_by"
)
ITEM_COLUMNS = "batch, item, state, correlation, error, inputs"
TIMER_COLUMNS = "name, spec, since, anchor, planned_at, due_at, fired, last_fired_at, correlation, skipped"
CALL_COLUMNS = (
    "id, tenant, run, correlation, agent, model, began_at, input_most, output_most, cost_most, requests, "
    "input_tokens, output_tokens, cost, ms, estimated"
)
LEDGER_COLUMNS = (
    "scope, subject, agent, per, began_at, ends_at, spent_requests, spent_tokens, spent_cost, reserved_requests, "
    "reserved_tokens, reserved_cost"
)
EVENT_COLUMNS = "seq, tenant, kind, at, correlation, agent, run, artifact, data"


# -- rows → domain ------------------------------------------------------------------------------------------


def artifact_from(row: Row) -> Artifact:
    """An artifact from its ARTIFACT_COLUMNS."""
    return Artifact(
        seq=row[0],
        id=id_text(row[1]),
        tenant=row[2],
        type=row[3],
        produced_by=row[4],
        visibility=visibility_from_json(row[6]),
        correlation_id=id_text(row[7]),
        run_id=None if row[8] is None else id_text(row[8]),
        partition_key=row[9],
        tags=() if row[10] is None else tuple(orjson.loads(row[10])),
        version=row[11],
        created_at=row[12],
        payload=row[13],
        was_hidden=row[14],
    )


def run_from(row: Row) -> Run:
    """A run from its RUN_COLUMNS."""
    return Run(
        ord=row[0],
        id=id_text(row[1]),
        tenant=row[2],
        agent=row[3],
        correlation_id=id_text(row[4]),
        state=RunState(row[5]),
        reason=None if row[6] is None else WaitReason(row[6]),
        due_at=row[7],
        priority=Priority(row[8]),
        vtime=row[9],
        depth=row[10],
        cascade=bool(row[11]),
        attempt=row[12],
        first_attempt=row[13],
        fence=row[14],
        crashes=row[15],
        created_at=row[16],
        started_at=row[17],
        completed_at=row[18],
        ended_round=row[19],
        inputs=tuple(orjson.loads(row[20])),
        outputs=tuple(orjson.loads(row[21])),
        error=row[22],
        output_text=row[23],
        paused=bool(row[24]),
        place=row[25],
        of_error=bool(row[26]),
        usage=_usage_from(row[27]),
    )


def correlation_from(row: Row) -> Correlation:
    """A correlation from its CORRELATION_COLUMNS."""
    return Correlation(
        seq=row[0],
        id=id_text(row[1]),
        tenant=row[2],
        state=CorrelationState(row[3]),
        dialect=row[4],
        name=row[5],
        priority=None if row[6] is None else Priority(row[6]),
        round=row[7],
        round_seq=row[8],
        open=row[9],
        runs=row[10],
        artifact_count=row[11],
        error_count=row[12],
        round_outputs=row[13],
        round_errors=row[14],
        round_cancelled=row[15],
        reason=row[16],
        started_at=row[17],
        last_activity_at=row[18],
        completed_at=row[19],
        batch_id=None if row[20] is None else id_text(row[20]),
        batch_item=row[21],
        paused=bool(row[22]),
        causes=() if row[23] is None else tuple(orjson.loads(row[23])),
        usage=_usage_from(row[24]),
        inherited_runs=row[25],
    )


def batch_from(row: Row) -> Batch:
    """A batch from its BATCH_COLUMNS."""
    batch_id, agent, width, total, completed, failed, next_item, options, unwritten = row
    return Batch(
        id_text(batch_id), agent, width, total, completed, failed, next_item, options, bool(unwritten)
    )


def item_from(row: Row) -> BatchItem:
    return BatchItem(id_text(row[0]), row[1], ItemState(row[2]), None, row[4], row[5])


def question_from(row: Row) -> Question:
    """A question from its QUESTION_COLUMNS."""
    return Question(
        seq=row[0],
        id=id_text(row[1]),
        tenant=row[2],
        run_id=id_text(row[3]),
        agent=row[4],
        correlation_id=id_text(row[5]),
        key=row[6],
        text=row[7],
        schema=row[8],
        state=QuestionState(row[9]),
        attempt=row[10],
        asked_at=row[11],
        due_at=row[12],
        answered_at=row[13],
        answer=row[14],
        answered_by=row[15],
    )


def pooled_from(row: Row) -> Pooled:
    """What is pooled, from its POOL_COLUMNS."""
    tenant, agent, key, type_, seq, artifact, correlation, depth, due_at, place, is_batch = row
    return Pooled(
        tenant,
        agent,
        key,
        type_,
        seq,
        id_text(artifact),
        id_text(correlation),
        depth,
        due_at,
        place,
        bool(is_batch),
    )


def held_from(row: Row) -> Held:
    """What an AND holds, from its HELD_COLUMNS."""
    return Held(row[1], row[3], id_text(row[4]), row[2], row[5])


def timer_from(row: Row) -> TimerProgress:
    """A timer from its TIMER_COLUMNS."""
    name, spec, since, anchor, planned_at, due_at, fired, last_fired_at, correlation, skipped = row
    correlation_id = None if correlation is None else id_text(correlation)
    return TimerProgress(
        name, spec, since, anchor, planned_at, due_at, fired, last_fired_at, correlation_id, skipped
    )


def hidden_from(row: Row) -> Hidden:
    """What is hidden, from its HIDDEN_COLUMNS."""
    return Hidden(row[0], id_text(row[1]), row[2], row[3])


def call_from(row: Row) -> Call:
    """A call from its CALL_COLUMNS."""
    return Call(
        id=id_text(row[0]),
        tenant=row[1],
        run_id=id_text(row[2]),
        correlation_id=id_text(row[3]),
        agent=row[4],
        model=row[5],
        began_at=row[6],
        most=Most(row[7], row[8], row[9]),
        taken=None
        if row[10] is None
        else Usage(*row[10:15])._replace(unpriced=row[10] * (row[9] is None), estimated=row[10] * row[15]),
    )


def ledger_from(row: Row) -> Ledger:
    """A ledger from its LEDGER_COLUMNS."""
    scope = Scope(row[0])
    subject = id_text(row[1]) if scope in OF_THE_BOARD else row[1]
    return Ledger(LedgerKey(scope, subject, row[2], row[3], row[4]), Amounts(*row[6:9]), Amounts(*row[9:12]))


def _usage_from(text: str | None) -> Usage | None:
    return None if text is None else Usage(*orjson.loads(text))


def event_from(row: Row, artifact: Artifact | None) -> Event:
    """An event from its EVENT_COLUMNS. Of an artifact that has become visible since, it says what it said."""
    if artifact is not None and artifact.was_hidden is not None and row[2] == EventKind.artifact_published:
        artifact = artifact._replace(visibility=visibility_from_json(artifact.was_hidden), was_hidden=None)
    return Event(
        seq=row[0],
        tenant=row[1],
        kind=EventKind(row[2]),
        at=row[3],
        correlation_id=None if row[4] is None else id_text(row[4]),
        agent=row[5],
        run_id=None if row[6] is None else id_text(row[6]),
        artifact=artifact,
        data=row[8],
    )


# -- domain → rows ------------------------------------------------------------------------------------------


def artifact_row(artifact: Artifact) -> Row:
    return (
        artifact.seq,
        id_bytes(artifact.id),
        artifact.tenant,
        artifact.type,
        artifact.produced_by,
        artifact.visibility.kind,
        visibility_to_json(artifact.visibility),
        id_bytes(artifact.correlation_id),
        None if artifact.run_id is None else id_bytes(artifact.run_id),
        artifact.partition_key,
        orjson.dumps(artifact.tags).decode() if artifact.tags else None,
        artifact.version,
        artifact.created_at,
        artifact.payload,
        artifact.was_hidden,
    )


def run_row(run: Run) -> Row:
    return (
        run.ord,
        id_bytes(run.id),
        run.tenant,
        run.agent,
        id_bytes(run.correlation_id),
        run.state,
        run.reason,
        run.due_at,
        int(run.priority),
        run.vtime,
        run.depth,
        run.cascade,
        run.attempt,
        run.first_attempt,
        run.fence,
        run.crashes,
        run.created_at,
        run.started_at,
        run.completed_at,
        run.ended_round,
        orjson.dumps(run.inputs).decode(),
        orjson.dumps(run.outputs).decode(),
        run.error,
        run.output_text,
        run.paused,
        run.place,
        run.of_error,
        _usage_text(run.usage),
    )


def correlation_row(correlation: Correlation) -> Row:
    return (
        correlation.seq,
        id_bytes(correlation.id),
        correlation.tenant,
        correlation.state,
        correlation.dialect,
        correlation.name,
        None if correlation.priority is None else int(correlation.priority),
        correlation.round,
        correlation.round_seq,
        correlation.open,
        correlation.runs,
        correlation.artifact_count,
        correlation.error_count,
        correlation.round_outputs,
        correlation.round_errors,
        correlation.round_cancelled,
        correlation.reason,
        correlation.started_at,
        correlation.last_activity_at,
        correlation.completed_at,
        None if correlation.batch_id is None else id_bytes(correlation.batch_id),
        correlation.batch_item,
        correlation.paused,
        orjson.dumps(correlation.causes).decode() if correlation.causes else None,
        _usage_text(correlation.usage),
        correlation.inherited_runs,
    )


def batch_row(batch: Batch) -> Row:
    return (
        id_bytes(batch.correlation_id),
        batch.agent,
        batch.width,
        batch.total,
        batch.completed,
        batch.failed,
        batch.next_item,
        batch.options,
        batch.unwritten,
    )


def item_row(item: BatchItem) -> Row:
    return (
        id_bytes(item.batch_id),
        item.item,
        item.state,
        None if item.correlation_id is None else id_bytes(item.correlation_id),
        item.error,
        item.inputs,
    )


def step_row(step: Step) -> Row:
    return (id_bytes(step.run_id), *step[1:])


def question_row(question: Question) -> Row:
    return (
        question.seq,
        id_bytes(question.id),
        question.tenant,
        id_bytes(question.run_id),
        question.agent,
        id_bytes(question.correlation_id),
        question.key,
        question.text,
        question.schema,
        question.state,
        question.attempt,
        question.asked_at,
        question.due_at,
        question.answered_at,
        question.answer,
        question.answered_by,
    )


def held_row(correlation_id: str, held: Held) -> Row:
    return (
        id_bytes(correlation_id), held.agent, held.type, held.seq, id_bytes(held.artifact_id), held.depth
    )  # fmt: skip


def pooled_row(pooled: Pooled) -> Row:
    return (*pooled[:5], id_bytes(pooled.artifact_id), id_bytes(pooled.correlation_id), *pooled[7:])


def timer_row(timer: TimerProgress) -> Row:
    return (
        timer.name,
        timer.spec,
        timer.since,
        timer.anchor,
        timer.planned_at,
        timer.due_at,
        timer.fired,
        timer.last_fired_at,
        None if timer.correlation_id is None else id_bytes(timer.correlation_id),
        timer.skipped,
    )


def hidden_row(hidden: Hidden) -> Row:
    return hidden.seq, id_bytes(hidden.correlation_id), hidden.depth, hidden.due_at


def call_row(call: Call) -> Row:
    taken = call.taken
    return (
        id_bytes(call.id),
        call.tenant,
        id_bytes(call.run_id),
        id_bytes(call.correlation_id),
        call.agent,
        call.model,
        call.began_at,
        *call.most,
        *((None,) * 5 if taken is None else taken[:5]),
        taken is not None and taken.estimated > 0,
    )


def ledger_row(ledger: Ledger) -> Row:
    key = ledger.key
    return (*ledger_key_row(key), key.ends_at, *ledger.spent, *ledger.reserved)


def ledger_key_row(key: LedgerKey) -> Row:
    """The first five of the LEDGER_COLUMNS."""
    return (
        key.scope,
        id_bytes(key.subject) if key.scope in OF_THE_BOARD else key.subject,
        key.agent,
        key.per,
        key.window,
    )


def _usage_text(usage: Usage | None) -> str | None:
    return None if usage is None else orjson.dumps([*usage]).decode()


def event_row(event: Event) -> Row:
    return (
        event.seq,
        event.tenant,
        event.kind,
        event.at,
        None if event.correlation_id is None else id_bytes(event.correlation_id),
        event.agent,
        None if event.run_id is None else id_bytes(event.run_id),
        None if event.artifact is None else event.artifact.seq,
        event.data,
    )
