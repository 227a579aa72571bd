"""What a group loads of calls of language models and of the ledgers in which they stand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from flockd.domain.budget import Amounts, Ledger, LedgerKey, Scope
from flockd.domain.identity import id_bytes
from flockd.domain.usage import Call, Most
from flockd.store.accounts import OF_THE_BOARD
from flockd.store.cache import Cache
from flockd.store.command import DUE_PAGE
from flockd.store.rows import CALL_COLUMNS, LEDGER_COLUMNS, Row, call_from, ledger_from, ledger_key_row
from flockd.store.state import State

_KEYS_MOST = 4096
"""Keys of one statement: five parameters each."""
_NO_MOMENT = 2**63 - 1

_SPENT = "ifnull(sum(requests), 0), ifnull(sum(input_tokens + output_tokens), 0), ifnull(sum(cost), 0)"
_HELD = "ifnull(sum(input_most + output_most), 0), ifnull(sum(cost_most), 0)"

_ON_BOARD = "EXISTS (SELECT 1 FROM runs WHERE id = calls.run)"
"""Of a call: a reset has not taken its run away."""

_OF_THEM = {
    Scope.run: "(tenant, correlation) IN (SELECT tenant, correlation FROM runs WHERE id = ?1) AND run = ?1",
    Scope.correlation: "tenant = (SELECT tenant FROM correlations WHERE id = ?1) AND correlation = ?1 AND "
    + _ON_BOARD,
    Scope.agent: "tenant IN (WITH RECURSIVE tenants (name) AS (SELECT min(tenant) FROM usage UNION ALL "
    "SELECT (SELECT min(tenant) FROM usage WHERE tenant > name) FROM tenants WHERE name IS NOT NULL) "
    "SELECT name FROM tenants) AND agent = ?1",
    Scope.tenant: "tenant = ?1",
}
"""What is of a subject; of an agent in all tenants, which are found by one step of the index each."""


def load_calls(connection: sqlite3.Connection, cache: Cache, state: State, calls: Iterable[str]) -> None:
    """These calls."""
    unknown = [id_bytes(one) for one in calls if not cache.call(state, one)]
    for one in unknown:
        _take(state, connection.execute(f"SELECT {CALL_COLUMNS} FROM calls WHERE id = ?", (one,)))


def load_lost_calls(connection: sqlite3.Connection, state: State) -> list[Call]:
    """A page of the calls that are open."""
    sql = f"SELECT {CALL_COLUMNS} FROM calls INDEXED BY calls_open WHERE requests IS NULL LIMIT ?"
    return _take(state, connection.execute(sql, (DUE_PAGE,)))


def _take(state: State, rows: Iterable[Row]) -> list[Call]:
    found = [call_from(row) for row in rows]
    state.accounts.calls.update({call.id: call for call in found})
    return found


def load_ledgers(connection: sqlite3.Connection, cache: Cache, state: State, calls_of: Iterable[str]) -> None:
    """The ledgers of the loaded calls, as far as they are there, and all of the calls that these runs begin."""
    accounts = state.accounts
    budgets = accounts.budgets
    if not budgets.rules:
        return
    beginning = [
        key
        for run in map(state.runs.get, calls_of)
        if run is not None
        for _, key in budgets.ledgers(
            Call("", run.id, run.correlation_id, run.agent, run.tenant, "", Most(0, 0, 0), state.clock)
        )
    ]
    wanted = dict.fromkeys(
        chain(beginning, (key for call in accounts.calls.values() for _, key in budgets.ledgers(call)))
    )
    unknown = [key for key in wanted if not cache.ledger(state, key)]
    for start in range(0, len(unknown), _KEYS_MOST):
        for row in connection.execute(*stored_ledgers(unknown[start : start + _KEYS_MOST])):
            ledger = ledger_from(row)
            accounts.ledgers[ledger.key] = ledger
    for key in beginning:
        if key not in accounts.ledgers:
            accounts.ledgers[key] = Ledger(key, *summed(connection.execute(*ledger_sum(key)).fetchone()))


def stored_ledgers(keys: Sequence[LedgerKey]) -> tuple[str, Row]:
    """A SELECT, with its parameters, of the LEDGER_COLUMNS of those of these that are stored."""
    size = 1 << (len(keys) - 1).bit_length()  # few texts are ever made
    padded = [*keys, *[keys[-1]] * (size - len(keys))]
    places = ", ".join(["(?, ?, ?, ?, ?)"] * size)
    columns = ", ".join(f"l.{column}" for column in LEDGER_COLUMNS.split(", "))
    return (  # a join: IN with rows of values would read the whole table
        f"WITH wanted (scope, subject, agent, per, began_at) AS (VALUES {places}) "
        f"SELECT {columns} FROM wanted w CROSS JOIN ledgers l ON l.scope = w.scope AND l.subject = w.subject "
        "AND l.agent = w.agent AND l.per = w.per AND l.began_at = w.began_at",
        [value for key in padded for value in ledger_key_row(key)],
    )


def ledger_sum(key: LedgerKey) -> tuple[str, Row]:
    """A SELECT, with its parameters, of what a ledger that is not stored would say; `summed` reads its row.

    Of agents and tenants what is spent is read from the sums by the hour or of all time: their calls may be millions.
    """
    ends_at = _NO_MOMENT if key.ends_at is None else key.ends_at
    parameters: list[object] = [ledger_key_row(key)[1], key.window, ends_at]
    whose, of_agent = _OF_THEM[key.scope], ""
    if key.agent:
        of_agent = " AND agent = ?4"
        parameters.append(key.agent)
    within = "began_at >= ?2 AND began_at < ?3"
    if key.scope in OF_THE_BOARD:
        spent = f"calls INDEXED BY calls_by_correlation WHERE {whose} AND {within}{of_agent}"
    elif key.per == "minute":
        spent = f"calls INDEXED BY calls_by_moment WHERE {whose} AND {within}"
    elif key.per:
        spent = f"usage_hours WHERE {whose} AND hour >= ?2 AND hour < ?3"
    else:
        spent = f"usage WHERE {whose}"
    held = f"requests IS NULL AND {key.scope} = ?1 AND {within}{of_agent}"
    if key.scope in OF_THE_BOARD:
        held += f" AND {_ON_BOARD}"
    return (
        f"SELECT * FROM (SELECT {_SPENT} FROM {spent}), "
        f"(SELECT count(*), {_HELD} FROM calls INDEXED BY calls_open WHERE {held})",
        parameters,
    )


def summed(row: Row) -> tuple[Amounts, Amounts]:
    """What is spent, and what is reserved."""
    return Amounts(*row[:3]), Amounts(*row[3:])
