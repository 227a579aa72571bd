"""What a group applies: every change of its overlay, one statement per table.

Every statement hands the interpreter lock to other threads, so a group of any size uses few of them: multi-row VALUES,
in chunks that are powers of two so that the statement cache knows them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from flockd.domain.identity import id_bytes
from flockd.domain.visibility import visibility_to_json
from flockd.store.accounts import OF_THE_BOARD, Accounts
from flockd.store.rows import (
    ARTIFACT_COLUMNS,
    BATCH_COLUMNS,
    CALL_COLUMNS,
    CORRELATION_COLUMNS,
    EVENT_COLUMNS,
    HELD_COLUMNS,
    HIDDEN_COLUMNS,
    ITEM_COLUMNS,
    KEY_COLUMNS,
    LEDGER_COLUMNS,
    POOL_COLUMNS,
    QUESTION_COLUMNS,
    RUN_COLUMNS,
    STEP_COLUMNS,
    TIMER_COLUMNS,
    Row,
    artifact_row,
    batch_row,
    call_row,
    correlation_row,
    event_row,
    held_row,
    hidden_row,
    item_row,
    ledger_key_row,
    ledger_row,
    pooled_row,
    question_row,
    run_row,
    step_row,
    timer_row,
)
from flockd.store.state import State

MAX_PARAMETERS = 32_766
"""SQLite's limit of `?` in one statement."""

_RUN_CHANGES = (
    "state, reason, due_at, vtime, attempt, first_attempt, fence, crashes, started_at, completed_at, ended_round, "
    "outputs, error, output_text, paused, usage"
)
_CORRELATION_CHANGES = (
    "state, priority, round, round_seq, open, runs, artifact_count, error_count, round_outputs, round_errors, "
    "round_cancelled, reason, last_activity_at, completed_at, paused, usage"
)


def _chunks(items: Sequence[Any], most: int) -> Iterable[Sequence[Any]]:
    """Slices whose lengths are powers of two, largest first."""
    start, left = 0, len(items)
    while left:
        size = min(1 << (left.bit_length() - 1), 1 << (most.bit_length() - 1))
        yield items[start : start + size]
        start, left = start + size, left - size


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


def _or_add(key: str, columns: str, table: str) -> str:
    changes = ", ".join(f"{column} = {table}.{column} + excluded.{column}" for column in columns.split(", "))
    return f" ON CONFLICT ({key}) DO UPDATE SET {changes}"


_ARTIFACTS = _Statement("artifacts", ARTIFACT_COLUMNS)
_TAGS = _Statement("artifact_tags", "tenant, tag, seq", " ON CONFLICT DO NOTHING")
_RUNS = _Statement("runs", RUN_COLUMNS, _or_change("ord", _RUN_CHANGES))
_CORRELATIONS = _Statement("correlations", CORRELATION_COLUMNS, _or_change("seq", _CORRELATION_CHANGES))
_EVENTS = _Statement("events", EVENT_COLUMNS)
_CONSUMPTIONS = _Statement("consumptions", "artifact, run, tenant, consumer, consumed_at")
_SLOTS = _Statement("slots", HELD_COLUMNS)
_KEYS = _Statement(
    "idempotency",
    KEY_COLUMNS,
    _or_change("digest", "body_hash, created_at, results, answer"),
)
_BATCHES = _Statement("batches", BATCH_COLUMNS, _or_change("id", "completed, failed, next_item, unwritten"))
_POOLS = _Statement("pools", POOL_COLUMNS)
_HIDDEN = _Statement("hidden", HIDDEN_COLUMNS)
_STEPS = _Statement("steps", STEP_COLUMNS)
_QUESTIONS = _Statement(
    "questions", QUESTION_COLUMNS, _or_change("seq", "state, answered_at, answer, answered_by")
)
_TIMERS = _Statement(
    "timers",
    TIMER_COLUMNS,
    _or_change("name", "spec, since, anchor, planned_at, due_at, fired, last_fired_at, correlation, skipped"),
)
_ITEMS = _Statement(
    "batch_items", ITEM_COLUMNS, _or_change("batch, item", "state, correlation, error, inputs")
)
_COUNTERS = _Statement(
    "counters",
    "tenant, kind, a, b, c, n",
    " ON CONFLICT (tenant, kind, a, b, c) DO UPDATE SET n = n + excluded.n",
)

_CALLS = _Statement("calls", CALL_COLUMNS, _or_change("id", ", ".join(CALL_COLUMNS.split(", ")[10:])))
_LEDGERS = _Statement(
    "ledgers",
    LEDGER_COLUMNS,
    _or_change("scope, subject, agent, per, began_at", ", ".join(LEDGER_COLUMNS.split(", ")[6:])),
)
_TAKEN = "requests, input_tokens, output_tokens, cost, ms, unpriced, estimated"
_USAGE = _Statement(
    "usage", f"tenant, agent, model, {_TAKEN}", _or_add("tenant, agent, model", _TAKEN, "usage")
)
_USAGE_HOURS = _Statement(
    "usage_hours",
    f"tenant, agent, model, hour, {_TAKEN}",
    _or_add("tenant, hour, agent, model", _TAKEN, "usage_hours"),
)

_NOT_HELD = (
    "DELETE FROM slots WHERE (correlation, agent, type, seq) IN "
    "(SELECT column1, column2, column3, column4 FROM (VALUES {}))"
)
_NOT_HIDDEN = "DELETE FROM hidden WHERE seq IN (SELECT value FROM json_each(?))"
_VISIBLE = (
    "UPDATE artifacts SET visibility = one.value ->> 1, visible_to = one.value ->> 2, was_hidden = one.value ->> 3 "
    "FROM json_each(?) AS one WHERE artifacts.seq = one.value ->> 0"
)
_UNPOOLED = (
    "DELETE FROM pools INDEXED BY pools_by_agent WHERE agent = ? AND seq IN (SELECT value FROM json_each(?))"
)

EMPTIED = (
    "artifacts", "artifact_tags", "runs", "consumptions", "correlations", "slots", "events", "idempotency", "counters",
    "batches", "batch_items", "steps", "questions", "paused_agents", "starts", "pools", "hidden",
)  # fmt: skip
"""The tables that a reset empties; `log` stays, so that no seq is given out again, and what was spent stays spent."""


def apply(connection: sqlite3.Connection, state: State) -> None:
    """Write every change of the overlay. The caller commits."""
    if state.emptied:
        for table in EMPTIED:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM ledgers WHERE scope IN (?, ?)", OF_THE_BOARD)
    _rows(connection, _ARTIFACTS, state.artifacts, artifact_row)
    tags = [(artifact.tenant, tag, artifact.seq) for artifact in state.artifacts for tag in artifact.tags]
    _rows(connection, _TAGS, tags, tuple)
    _rows(connection, _CORRELATIONS, list(state.changed_correlations.values()), correlation_row)
    _rows(connection, _RUNS, list(state.changed_runs.values()), run_row)
    _rows(connection, _EVENTS, state.events, event_row)
    _rows(
        connection,
        _CONSUMPTIONS,
        state.consumptions,
        lambda one: (one.artifact_seq, id_bytes(one.run_id), one.tenant, one.consumer, one.consumed_at),
    )
    for chunk in _chunks(state.held_removed, MAX_PARAMETERS // 4):
        keys = [value for one in chunk for value in held_row(*one)[:4]]
        connection.execute(_NOT_HELD.format(", ".join(["(?, ?, ?, ?)"] * len(chunk))), keys)
    added = [(correlation_id, held) for (correlation_id, _, _), held in state.held_added.items()]
    _rows(connection, _SLOTS, added, lambda one: held_row(*one))
    kept = [(digest, *record) for digest, record in state.changed_keys.items() if record is not None]
    _rows(connection, _KEYS, kept, tuple)
    for digest, record in state.changed_keys.items():
        if record is None:
            connection.execute("DELETE FROM idempotency WHERE digest = ?", (digest,))
    _apply_waiting(connection, state)
    _rows(connection, _STEPS, state.steps, step_row)
    _rows(connection, _QUESTIONS, list(state.changed_questions.values()), question_row)
    _rows(connection, _BATCHES, list(state.changed_batches.values()), batch_row)
    _rows(connection, _ITEMS, list(state.changed_items.values()), item_row)
    _rows(connection, _COUNTERS, [(*key, n) for key, n in state.counters.items() if n], tuple)
    _rows(connection, _TIMERS, [one for one in state.changed_timers.values() if one is not None], timer_row)
    if state.accounts.has_changes:
        _apply_accounts(connection, state.accounts)
    for name, timer in state.changed_timers.items():
        if timer is None:
            connection.execute("DELETE FROM timers WHERE name = ?", (name,))
    for (agent, at), n in state.starts.items():
        connection.execute(
            "INSERT INTO starts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + ?", (agent, at, n, n)
        )
        rate = state.agents[agent].rate
        assert rate is not None, "only starts of agents with a rate are counted"
        connection.execute("DELETE FROM starts WHERE agent = ? AND at <= ?", (agent, at - rate.period_ms))
    for agent, paused in state.changed_pauses.items():
        if paused:
            connection.execute("INSERT OR IGNORE INTO paused_agents VALUES (?, ?)", (agent, state.now))
        else:
            connection.execute("DELETE FROM paused_agents WHERE agent = ?", (agent,))
    connection.execute(
        "UPDATE log SET next_seq = ?, next_run = ?, last_at = ?, "
        "complete_from = CASE WHEN ? THEN ? ELSE complete_from END",
        (state.next_seq, state.next_run, state.now, state.emptied, state.complete_from),
    )


def _apply_accounts(connection: sqlite3.Connection, accounts: Accounts) -> None:
    """What calls of models took, and what budgets have left."""
    if accounts.renewed is not None:
        connection.execute("DELETE FROM ledgers")
        connection.execute("DELETE FROM ledger_rules")
        connection.execute("INSERT INTO ledger_rules VALUES (?)", (accounts.renewed,))
    for key in accounts.dropped:
        connection.execute(
            "DELETE FROM ledgers WHERE scope = ? AND subject = ? AND agent = ? AND per = ? AND began_at = ?",
            ledger_key_row(key),
        )
    _rows(connection, _CALLS, list(accounts.changed_calls.values()), call_row)
    _rows(connection, _LEDGERS, list(accounts.changed_ledgers.values()), ledger_row)
    _rows(connection, _USAGE, [(*key[:3], *taken) for key, taken in accounts.taken.items()], tuple)
    _rows(connection, _USAGE_HOURS, [(*key, *taken) for key, taken in accounts.taken.items()], tuple)


def _apply_waiting(connection: sqlite3.Connection, state: State) -> None:
    """What waits outside of the queue: hidden artifacts, and pools."""
    for correlation_id in state.withdrawn:
        for table in ("hidden", "pools"):
            connection.execute(f"DELETE FROM {table} WHERE correlation = ?", (id_bytes(correlation_id),))
    _rows(connection, _HIDDEN, list(state.newly_hidden.values()), hidden_row)
    if state.revealed:
        connection.execute(_NOT_HIDDEN, (orjson.dumps(list(state.revealed)).decode(),))
        visible = [
            (one.seq, one.visibility.kind, visibility_to_json(one.visibility), one.was_hidden)
            for one in state.revealed.values()
            if one is not None
        ]
        connection.execute(_VISIBLE, (orjson.dumps(visible).decode(),))
    unpooled: dict[str, list[int]] = {}
    for pooled in state.unpooled:
        unpooled.setdefault(pooled.agent, []).append(pooled.seq)
    for agent, seqs in unpooled.items():
        connection.execute(_UNPOOLED, (agent, orjson.dumps(seqs).decode()))
    _rows(connection, _POOLS, list(state.pooled.values()), pooled_row)


def _rows(
    connection: sqlite3.Connection, statement: _Statement, items: Sequence[Any], row: Callable[[Any], Row]
) -> None:
    if items:
        statement.execute(connection, [row(item) for item in items])
