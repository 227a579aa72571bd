"""What the writer reads of calls and ledgers it finds by an index, however many there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flockd.domain.budget import LedgerKey, Scope
from flockd.domain.identity import new_id
from flockd.store.load_accounts import ledger_sum, stored_ledgers
from flockd.store.rows import Row
from flockd.store.sqlite import migrate

DAY = 86_400_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    migrate(tmp_path / "board.db")
    with closing(sqlite3.connect(tmp_path / "board.db")) as opened:
        yield opened


def plan(connection: sqlite3.Connection, sql: str, parameters: Row) -> str:
    return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))


CORRELATION = "calls USING INDEX calls_by_correlation (tenant=? AND correlation=?)"
OPEN = "SCAN calls USING INDEX calls_open"


@pytest.mark.parametrize(
    ("key", "search"),
    [
        (LedgerKey(Scope.run, new_id(), "", "", 0), CORRELATION),
        (LedgerKey(Scope.correlation, new_id(), "a", "", 0), CORRELATION),
        (LedgerKey(Scope.agent, "a", "", "", 0), "usage USING PRIMARY KEY (tenant=? AND agent=?)"),
        (
            LedgerKey(Scope.agent, "a", "", "day", DAY),
            "usage_hours USING PRIMARY KEY (tenant=? AND hour>? AND hour<?)",
        ),
        (
            LedgerKey(Scope.agent, "a", "", "minute", DAY),
            "calls USING INDEX calls_by_moment (tenant=? AND began_at>? AND began_at<?)",
        ),
        (LedgerKey(Scope.tenant, "t", "", "", 0), "usage USING PRIMARY KEY (tenant=?)"),
    ],
)
def test_a_ledger_is_made_by_an_index_and_without_old_calls(
    connection: sqlite3.Connection, key: LedgerKey, search: str
) -> None:
    shown = plan(connection, *ledger_sum(key))
    assert f"SEARCH {search}" in shown and OPEN in shown
    assert shown.count("calls") == 2 + 2 * ("calls" in search), shown


def test_ledgers_are_found_by_their_keys(connection: sqlite3.Connection) -> None:
    keys = [LedgerKey(Scope.tenant, "t", "", "", 0), LedgerKey(Scope.run, new_id(), "", "", 0)]
    shown = plan(connection, *stored_ledgers(keys))
    assert (
        "SEARCH l USING PRIMARY KEY (scope=? AND subject=? AND agent=? AND per=? AND began_at=?)" in shown
    ), shown
