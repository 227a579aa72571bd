"""Rows ↔ domain, and the statements that move them: what a group loads and what it applies, one statement per table.

Every statement hands the interpreter lock to other threads, so a group of any size uses few of them: multi-row VALUES,
in chunks that are powers of two so that the statement cache knows them again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.batch import Batch, BatchItem, ItemState
from flockd.domain.correlation import BATCHES, Correlation, CorrelationState
from flockd.domain.event import Event, EventKind
from flockd.domain.identity import id_bytes, id_text
from flockd.domain.priority import Priority
from flockd.domain.run import Run, RunState, WaitReason
from flockd.domain.visibility import visibility_from_json, visibility_to_json
from flockd.store.cache import Cache
from flockd.store.state import DUE_PAGE, Held, KeyRecord, Needs, OpenPage, State

Row = Sequence[Any]

MAX_PARAMETERS = 32_766
"""SQLite's limit of `?` in one statement."""

_IN_MOST = 16_384
"""Values of one IN: the largest power of two below it."""

ARTIFACT_COLUMNS = (
    "seq, id, tenant, type, producer, visibility, visible_to, correlation, run, partition_key, tags, version, "
    "created_at, payload"
)
RUN_COLUMNS = (
    "ord, id, tenant, agent, correlation, state, reason, due_at, priority, vtime, depth, cascade, attempt, "
    "first_attempt, fence, crashes, created_at, started_at, completed_at, ended_round, inputs, outputs, error, "
    "output_text"
)
CORRELATION_COLUMNS = (
    "seq, id, tenant, state, dialect, name, priority, round, round_seq, open, runs, vtime, artifact_count, "
    "error_count, round_outputs, round_errors, round_cancelled, reason, started_at, last_activity_at, completed_at, "
    "batch, batch_item"
)
_HELD_COLUMNS = "correlation, agent, seq, artifact, type, depth"
_KEY_COLUMNS = "digest, body_hash, created_at, results, answer"
BATCH_COLUMNS = "id, agent, width, total, completed, failed, next_item, options"
_ITEM_COLUMNS = "batch, item, state, correlation, error, inputs"
EVENT_COLUMNS = "seq, tenant, kind, at, correlation, agent, run, artifact, data"

_RUN_CHANGES = (
    "state, reason, due_at, attempt, first_attempt, fence, crashes, started_at, completed_at, ended_round, "
    "outputs, error, output_text"
)
_CORRELATION_CHANGES = (
    "state, priority, round, round_seq, open, runs, vtime, artifact_count, error_count, round_outputs, round_errors, "
    "round_cancelled, reason, last_activity_at, completed_at"
)


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
        vtime=row[11],
        artifact_count=row[12],
        error_count=row[13],
        round_outputs=row[14],
        round_errors=row[15],
        round_cancelled=row[16],
        reason=row[17],
        started_at=row[18],
        last_activity_at=row[19],
        completed_at=row[20],
        batch_id=None if row[21] is None else id_text(row[21]),
        batch_item=row[22],
    )


def batch_from(row: Row) -> Batch:
    """A batch from its BATCH_COLUMNS."""
    return Batch(id_text(row[0]), *row[1:])


def _item_from(row: Row) -> BatchItem:
    return BatchItem(id_text(row[0]), row[1], ItemState(row[2]), None, row[4], row[5])


def event_from(row: Row, artifact: Artifact | None) -> Event:
    """An event from its EVENT_COLUMNS."""
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


def _artifact_row(artifact: Artifact) -> Row:
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
    )


def _run_row(run: Run) -> Row:
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
    )


def _correlation_row(correlation: Correlation) -> Row:
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
        correlation.vtime,
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
    )


def _batch_row(batch: Batch) -> Row:
    return (
        id_bytes(batch.correlation_id),
        batch.agent,
        batch.width,
        batch.total,
        batch.completed,
        batch.failed,
        batch.next_item,
        batch.options,
    )


def _item_row(item: BatchItem) -> Row:
    return (
        id_bytes(item.batch_id),
        item.item,
        item.state,
        None if item.correlation_id is None else id_bytes(item.correlation_id),
        item.error,
        item.inputs,
    )


def _event_row(event: Event) -> Row:
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


# -- load ---------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, cache: Cache, state: State, needs: Iterable[Needs]) -> None:
    """Fill the overlay with every row that the commands of a group name, from the cache or from the tables."""
    correlations: dict[str, None] = {}
    runs: dict[str, None] = {}
    keys: dict[bytes, None] = {}
    pages: list[Run] = []
    for need in needs:
        correlations.update(dict.fromkeys(need.correlations))
        runs.update(dict.fromkeys(need.runs))
        keys.update(dict.fromkeys(need.keys))
        for correlation_id in need.open_runs_of:
            correlations[correlation_id] = None
            pages += _open_runs_of(connection, correlation_id)
        if need.due_before is not None:
            pages += _due_runs(connection, need.due_before)
        if need.open_page is not None:
            pages += _open_page(connection, need.open_page)
    unknown = [id_bytes(one) for one in runs if not cache.run(state, one)]
    pages += [
        run_from(row) for row in _where_in(connection, f"SELECT {RUN_COLUMNS} FROM runs WHERE id IN", unknown)
    ]
    for run in pages:
        if not cache.run(state, run.id):
            state.runs[run.id] = run
    correlations.update(dict.fromkeys(run.correlation_id for run in state.runs.values()))
    _load_correlations(connection, cache, state, correlations)
    _load_batches(connection, cache, state)
    for row in _where_in(connection, f"SELECT {_KEY_COLUMNS} FROM idempotency WHERE digest IN", list(keys)):
        state.keys[row[0]] = KeyRecord(*row[1:])


def _load_correlations(
    connection: sqlite3.Connection, cache: Cache, state: State, correlations: Iterable[str]
) -> None:
    """These correlations, with what their ANDs hold."""
    unknown = [id_bytes(one) for one in correlations if not cache.correlation(state, one)]
    for row in _where_in(connection, f"SELECT {CORRELATION_COLUMNS} FROM correlations WHERE id IN", unknown):
        correlation = correlation_from(row)
        state.correlations[correlation.id] = correlation
    for row in _where_in(connection, f"SELECT {_HELD_COLUMNS} FROM slots WHERE correlation IN", unknown):
        state.held.setdefault(id_text(row[0]), []).append(
            Held(row[1], row[2], id_text(row[3]), row[4], row[5])
        )
    for held in state.held.values():
        held.sort(key=_seq_of)


def _load_batches(connection: sqlite3.Connection, cache: Cache, state: State) -> None:
    """The batches that the loaded correlations are or belong to, with as many waiting items as may begin: each
    correlation of an item that ends lets one begin."""
    ending = Counter(one.batch_id for one in state.correlations.values() if one.batch_id is not None)
    _load_correlations(connection, cache, state, ending)
    wanted = [*ending, *(one.id for one in state.correlations.values() if one.dialect == BATCHES)]
    for row in _where_in(
        connection, f"SELECT {BATCH_COLUMNS} FROM batches WHERE id IN", [id_bytes(one) for one in wanted]
    ):
        batch = batch_from(row)
        state.batches[batch.correlation_id] = batch
    for batch_id, count in ending.items():
        state.waiting_items[batch_id] = [
            _item_from(row)
            for row in connection.execute(
                f"SELECT {_ITEM_COLUMNS} FROM batch_items WHERE batch = ? AND item >= ? AND state = 'waiting' "
                "ORDER BY item LIMIT ?",
                (id_bytes(batch_id), state.batches[batch_id].next_item, count),
            )
        ]
    for one in state.correlations.values():
        if one.batch_id is not None and one.batch_item is not None and one.round > 1:
            failed = connection.execute(
                "SELECT 1 FROM batch_items WHERE batch = ? AND item = ? AND state = 'failed'",
                (id_bytes(one.batch_id), one.batch_item),
            ).fetchone()
            if failed is not None:
                state.failed_items.add((one.batch_id, one.batch_item))


def _seq_of(held: Held) -> int:
    return held.seq


def _open_runs_of(connection: sqlite3.Connection, correlation_id: str) -> list[Run]:
    return [
        run_from(row)
        for row in connection.execute(
            f"SELECT {RUN_COLUMNS} FROM runs WHERE tenant = (SELECT tenant FROM correlations WHERE id = ?1) "
            "AND (correlation = ?1 OR correlation IN "
            "(SELECT correlation FROM batch_items WHERE batch = ?1 AND state = 'running')) "
            "AND state IN ('ready', 'running', 'waiting')",
            (id_bytes(correlation_id),),
        )
    ]


def _due_runs(connection: sqlite3.Connection, moment: int) -> list[Run]:
    return [
        run_from(row)
        for row in connection.execute(
            f"SELECT {RUN_COLUMNS} FROM runs WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?",
            (moment, DUE_PAGE),
        )
    ]


def _open_page(connection: sqlite3.Connection, page: OpenPage) -> list[Run]:
    of_agents = "" if page.agents is None else f" AND agent IN ({', '.join('?' * len(page.agents))})"
    return [
        run_from(row)
        for row in connection.execute(
            f"SELECT {RUN_COLUMNS} FROM runs WHERE state = '{page.state}' AND ord > ?{of_agents} ORDER BY ord LIMIT ?",
            (page.after, *(page.agents or ()), page.limit),
        )
    ]


def _where_in(connection: sqlite3.Connection, select: str, values: Sequence[Any]) -> list[Row]:
    """`select … IN (values)`; the last value is repeated up to a power of two, so that few texts are ever made."""
    rows: list[Row] = []
    for start in range(0, len(values), _IN_MOST):
        chunk = list(values[start : start + _IN_MOST])
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [chunk[-1]] * (size - len(chunk))
        rows += connection.execute(f"{select} ({', '.join('?' * size)})", chunk).fetchall()
    return rows


def _chunks(items: Sequence[Any], most: int) -> Iterable[Sequence[Any]]:
    """Slices whose lengths are powers of two, largest first."""
    start, left = 0, len(items)
    while left:
        size = min(1 << (left.bit_length() - 1), 1 << (most.bit_length() - 1))
        yield items[start : start + size]
        start, left = start + size, left - size


# -- apply --------------------------------------------------------------------------------------------------


class _Statement:
    """A multi-row INSERT; its texts by number of rows."""

    def __init__(self, table: str, columns: str, suffix: str = "") -> None:
        self.width = columns.count(",") + 1
        self._head = f"INSERT INTO {table} ({columns}) VALUES "
        self._row = f"({', '.join('?' * self.width)})"
        self._suffix = suffix
        self._texts: dict[int, str] = {}

    def execute(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        for chunk in _chunks(rows, MAX_PARAMETERS // self.width):
            text = self._texts.get(len(chunk))
            if text is None:
                text = self._texts[len(chunk)] = (
                    self._head + ", ".join([self._row] * len(chunk)) + self._suffix
                )
            connection.execute(text, [value for row in chunk for value in row])


def _or_change(key: str, columns: str) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))
    return f" ON CONFLICT ({key}) DO UPDATE SET {changes}"


_ARTIFACTS = _Statement("artifacts", ARTIFACT_COLUMNS)
_TAGS = _Statement("artifact_tags", "tenant, tag, seq", " ON CONFLICT DO NOTHING")
_RUNS = _Statement("runs", RUN_COLUMNS, _or_change("ord", _RUN_CHANGES))
_CORRELATIONS = _Statement("correlations", CORRELATION_COLUMNS, _or_change("seq", _CORRELATION_CHANGES))
_EVENTS = _Statement("events", EVENT_COLUMNS)
_CONSUMPTIONS = _Statement("consumptions", "artifact, run, tenant, consumer, consumed_at")
_SLOTS = _Statement("slots", _HELD_COLUMNS)
_KEYS = _Statement(
    "idempotency",
    _KEY_COLUMNS,
    _or_change("digest", "body_hash, created_at, results, answer"),
)
_BATCHES = _Statement("batches", BATCH_COLUMNS, _or_change("id", "completed, failed, next_item"))
_ITEMS = _Statement(
    "batch_items", _ITEM_COLUMNS, _or_change("batch, item", "state, correlation, error, inputs")
)
_COUNTERS = _Statement(
    "counters",
    "tenant, kind, a, b, c, n",
    " ON CONFLICT (tenant, kind, a, b, c) DO UPDATE SET n = n + excluded.n",
)

EMPTIED = (
    "artifacts", "artifact_tags", "runs", "consumptions", "correlations", "slots", "events", "idempotency", "counters",
    "batches", "batch_items",
)  # fmt: skip
"""The tables that a reset empties; `log` stays, so that no seq is given out again."""


def apply(connection: sqlite3.Connection, state: State) -> None:
    """Write every change of the overlay. The caller commits."""
    if state.emptied:
        for table in EMPTIED:
            connection.execute(f"DELETE FROM {table}")
    _rows(connection, _ARTIFACTS, state.artifacts, _artifact_row)
    tags = [(artifact.tenant, tag, artifact.seq) for artifact in state.artifacts for tag in artifact.tags]
    _rows(connection, _TAGS, tags, tuple)
    _rows(connection, _CORRELATIONS, list(state.changed_correlations.values()), _correlation_row)
    _rows(connection, _RUNS, list(state.changed_runs.values()), _run_row)
    _rows(connection, _EVENTS, state.events, _event_row)
    _rows(
        connection,
        _CONSUMPTIONS,
        state.consumptions,
        lambda one: (one.artifact_seq, id_bytes(one.run_id), one.tenant, one.consumer, one.consumed_at),
    )
    for correlation_id, agent, seq in state.held_removed:
        connection.execute(
            "DELETE FROM slots WHERE correlation = ? AND agent = ? AND seq = ?",
            (id_bytes(correlation_id), agent, seq),
        )
    _rows(
        connection,
        _SLOTS,
        list(state.held_added.items()),
        lambda item: (
            id_bytes(item[0][0]), item[1].agent, item[1].seq, id_bytes(item[1].artifact_id), item[1].type, item[1].depth
        ),
    )  # fmt: skip
    kept = [(digest, *record) for digest, record in state.changed_keys.items() if record is not None]
    _rows(connection, _KEYS, kept, tuple)
    for digest, record in state.changed_keys.items():
        if record is None:
            connection.execute("DELETE FROM idempotency WHERE digest = ?", (digest,))
    _rows(connection, _BATCHES, list(state.changed_batches.values()), _batch_row)
    _rows(connection, _ITEMS, list(state.changed_items.values()), _item_row)
    _rows(connection, _COUNTERS, [(*key, n) for key, n in state.counters.items() if n], tuple)
    connection.execute(
        "UPDATE log SET next_seq = ?, next_run = ?, last_at = ?, "
        "complete_from = CASE WHEN ? THEN ? ELSE complete_from END",
        (state.next_seq, state.next_run, state.now, state.emptied, state.complete_from),
    )


def _rows(
    connection: sqlite3.Connection, statement: _Statement, items: Sequence[Any], row: Callable[[Any], Row]
) -> None:
    if items:
        statement.execute(connection, [row(item) for item in items])
