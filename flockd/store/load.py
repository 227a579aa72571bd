"""What a group loads: every row that its commands name, one statement per table."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from flockd.domain.correlation import BATCHES, Correlation
from flockd.domain.identity import id_bytes
from flockd.domain.run import Run, WaitReason
from flockd.store.cache import Cache
from flockd.store.command import DUE_PAGE, Needs, OpenPage
from flockd.store.load_accounts import load_calls, load_ledgers, load_lost_calls
from flockd.store.load_slots import load_slots
from flockd.store.load_waiting import ALL_OF, load_hidden, load_more_of_pools, load_pools
from flockd.store.records import KeyRecord, PoolKey
from flockd.store.rows import (
    BATCH_COLUMNS,
    CORRELATION_COLUMNS,
    ITEM_COLUMNS,
    KEY_COLUMNS,
    QUESTION_COLUMNS,
    RUN_COLUMNS,
    TIMER_COLUMNS,
    Row,
    batch_from,
    correlation_from,
    item_from,
    question_from,
    run_from,
    timer_from,
)
from flockd.store.state import State

_IN_MOST = 16_384
"""Values of one IN: the largest power of two below it."""


class _Wanted:
    """What the commands of a group name, together."""

    def __init__(self, needs: Iterable[Needs]) -> None:
        self.correlations: dict[str, None] = {}
        self.runs: dict[str, None] = {}
        self.keys: dict[bytes, None] = {}
        self.questions: dict[str, None] = {}
        self.timers: dict[str, None] = {}
        self.open_runs_of: dict[str, None] = {}
        self.hidden: dict[int, None] = {}
        self.pools: Counter[PoolKey] = Counter()
        self.due_before: list[int] = []
        self.open_pages: list[OpenPage] = []
        self.calls_of: dict[str, None] = {}
        self.calls: dict[str, None] = {}
        self.lost_calls = False
        for need in needs:  # most name a correlation and a run, and nothing else
            self.correlations |= dict.fromkeys(need.correlations)
            self.runs |= dict.fromkeys(need.runs)
            if need.keys:
                self.keys |= dict.fromkeys(need.keys)
            if need.pools:
                self.pools.update(need.pools)
            if need.calls_of or need.calls:
                self.calls_of |= dict.fromkeys(need.calls_of)
                self.calls |= dict.fromkeys(need.calls)
            if need.questions:
                self.questions |= dict.fromkeys(need.questions)
            if need.timers:
                self.timers |= dict.fromkeys(need.timers)
            if need.hidden:
                self.hidden |= dict.fromkeys(need.hidden)
            if need.open_runs_of:
                self.open_runs_of |= dict.fromkeys(need.open_runs_of)
            if need.due_before is not None:
                self.due_before.append(need.due_before)
            if need.open_page is not None:
                self.open_pages.append(need.open_page)
            self.lost_calls |= need.lost_calls


def load(connection: sqlite3.Connection, cache: Cache, state: State, needs: Iterable[Needs]) -> None:
    """Fill the overlay with every row that the commands of a group name, from the cache or from the tables."""
    wanted = _Wanted(needs)
    wanted.correlations.update(wanted.open_runs_of)
    _load_questions(connection, state, wanted)
    load_calls(connection, cache, state, wanted.calls)
    if wanted.lost_calls:
        wanted.runs.update(dict.fromkeys(call.run_id for call in load_lost_calls(connection, state)))
    _load_runs(connection, cache, state, wanted)
    _load_waiting(connection, state, wanted)
    _load_timers(connection, state, wanted)
    _load_correlations(connection, cache, state, wanted.correlations)
    _load_open_questions(connection, state)
    _load_batches(connection, cache, state, state.correlations.values())
    load_ledgers(connection, cache, state, wanted.calls_of)
    for row in _where_in(
        connection, f"SELECT {KEY_COLUMNS} FROM idempotency WHERE digest IN", list(wanted.keys)
    ):
        state.keys[row[0]] = KeyRecord(*row[1:])


def _load_questions(connection: sqlite3.Connection, state: State, wanted: _Wanted) -> None:
    """The questions, and the names of their runs."""
    ids = [id_bytes(one) for one in wanted.questions]
    for row in _where_in(connection, f"SELECT {QUESTION_COLUMNS} FROM questions WHERE id IN", ids):
        question = question_from(row)
        state.know_question(question)
        wanted.runs[question.run_id] = None


def _load_timers(connection: sqlite3.Connection, state: State, wanted: _Wanted) -> None:
    """The timers, and the names of the correlations that they began last."""
    for row in _where_in(
        connection, f"SELECT {TIMER_COLUMNS} FROM timers WHERE name IN", list(wanted.timers)
    ):
        timer = timer_from(row)
        state.timers[timer.name] = timer
        if timer.correlation_id is not None:
            wanted.correlations[timer.correlation_id] = None


def _load_runs(connection: sqlite3.Connection, cache: Cache, state: State, wanted: _Wanted) -> None:
    """The runs, and the names of their correlations."""
    unknown = [id_bytes(one) for one in wanted.runs if not cache.run(state, one)]
    found = [
        run_from(row) for row in _where_in(connection, f"SELECT {RUN_COLUMNS} FROM runs WHERE id IN", unknown)
    ]
    for correlation_id in wanted.open_runs_of:
        found += _open_runs_of(connection, correlation_id)
    for moment in wanted.due_before:
        found += _due_runs(connection, moment)
    for page in wanted.open_pages:
        found += _open_page(connection, page)
    for run in found:
        if not cache.run(state, run.id):
            state.runs[run.id] = run
    wanted.correlations.update(dict.fromkeys(run.correlation_id for run in state.runs.values()))


def _load_waiting(connection: sqlite3.Connection, state: State, wanted: _Wanted) -> None:
    """What waits outside of the queue, hidden or in pools, and the names of its correlations."""
    load_hidden(connection, state, wanted.hidden)
    latest = max(wanted.due_before, default=None)  # what is due at an earlier moment comes first
    load_pools(connection, state, wanted.pools, wanted.open_runs_of, latest)
    wanted.correlations.update(dict.fromkeys(state.unloaded))
    wanted.correlations.update(dict.fromkeys(one.correlation_id for one in state.hidden.values()))
    wanted.correlations.update(
        dict.fromkeys(one.correlation_id for pool in state.pools.values() for one in pool)
    )


def fetch_pools(
    connection: sqlite3.Connection, cache: Cache, state: State, pools: tuple[PoolKey, ...]
) -> None:
    """Load what pools hold in the middle of a group; what the group has done to them stands."""
    found = load_more_of_pools(connection, state, pools)
    missing = {one.correlation_id for one in found} - state.correlations.keys()
    _load_correlations(connection, cache, state, missing)
    _load_batches(connection, cache, state, [state.correlations[one] for one in missing])


def _load_correlations(
    connection: sqlite3.Connection, cache: Cache, state: State, correlations: Iterable[str]
) -> None:
    """These correlations, with the oldest of what their ANDs hold."""
    unknown = [id_bytes(one) for one in correlations if not cache.correlation(state, one)]
    for row in _where_in(connection, f"SELECT {CORRELATION_COLUMNS} FROM correlations WHERE id IN", unknown):
        correlation = correlation_from(row)
        state.correlations[correlation.id] = correlation
    if unknown:
        load_slots(connection, state, unknown)


def _load_open_questions(connection: sqlite3.Connection, state: State) -> None:
    asking = [id_bytes(run.id) for run in state.runs.values() if run.reason is WaitReason.question]
    for row in _where_in(
        connection, f"SELECT {QUESTION_COLUMNS} FROM questions WHERE state = 'open' AND run IN", asking
    ):
        question = question_from(row)
        if question.id not in state.questions:
            state.know_question(question)


def _load_batches(
    connection: sqlite3.Connection, cache: Cache, state: State, correlations: Iterable[Correlation]
) -> None:
    """The batches that these loaded correlations are or belong to, with as many waiting items as may begin: each
    correlation of an item that ends lets one begin."""
    correlations = list(correlations)
    ending = Counter(one.batch_id for one in correlations if one.batch_id is not None)
    _load_correlations(connection, cache, state, ending.keys() - state.correlations.keys())
    wanted = {*ending, *(one.id for one in correlations if one.dialect == BATCHES)} - state.batches.keys()
    for row in _where_in(
        connection, f"SELECT {BATCH_COLUMNS} FROM batches WHERE id IN", [id_bytes(one) for one in wanted]
    ):
        batch = batch_from(row)
        state.batches[batch.correlation_id] = batch
    for batch_id, count in ending.items():
        waiting = state.waiting_items.setdefault(batch_id, [])
        first = waiting[-1].item + 1 if waiting else state.batches[batch_id].next_item
        waiting += map(
            item_from,
            connection.execute(
                f"SELECT {ITEM_COLUMNS} FROM batch_items WHERE batch = ? AND item >= ? AND state = 'waiting' "
                "ORDER BY item LIMIT ?",
                (id_bytes(batch_id), first, count),
            ),
        )
    for one in correlations:
        if one.batch_id is not None and one.batch_item is not None and one.round > 1:
            failed = connection.execute(
                "SELECT 1 FROM batch_items WHERE batch = ? AND item = ? AND state = 'failed'",
                (id_bytes(one.batch_id), one.batch_item),
            ).fetchone()
            if failed is not None:
                state.failed_items.add((one.batch_id, one.batch_item))


def _open_runs_of(connection: sqlite3.Connection, correlation_id: str) -> list[Run]:
    return [
        run_from(row)
        for row in connection.execute(
            f"SELECT {RUN_COLUMNS} FROM runs WHERE tenant = (SELECT tenant FROM correlations WHERE id = ?1) "
            f"AND {ALL_OF} "
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
