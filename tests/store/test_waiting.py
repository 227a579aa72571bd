"""What is gathered is found, and taken away, by its index: whatever waits beside it costs nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flockd.store import apply, load_slots, load_waiting, sqlite


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    sqlite.migrate(tmp_path / "board.db")
    with closing(sqlite3.connect(tmp_path / "board.db")) as connection:
        yield connection


@pytest.mark.parametrize(
    ("statement", "values", "searched"),
    [
        (load_waiting._OLDEST_OF_TYPE, 2, "p USING PRIMARY KEY (tenant=? AND agent=? AND key=? AND type=? AND seq=?)"),
        (load_waiting._OLDEST_OF_FULL, 2, "p USING PRIMARY KEY (tenant=? AND agent=? AND key=? AND type=? AND seq=?)"),
        (load_waiting._OF_BATCHES, 2, "p USING PRIMARY KEY (tenant=? AND agent=? AND key=?)"),
        (load_waiting._HIDDEN, 1, "hidden USING INTEGER PRIMARY KEY (rowid=?)"),
        (apply._UNPOOLED, 2, "pools USING COVERING INDEX pools_by_agent (agent=? AND seq=?)"),
        (apply._NOT_HIDDEN, 1, "hidden USING INTEGER PRIMARY KEY (rowid=?)"),
        (apply._VISIBLE, 1, "artifacts USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            apply._NOT_HELD.format(", ".join(["(?, ?, ?, ?)"] * 32)),
            128,
            "slots USING PRIMARY KEY (correlation=? AND agent=? AND type=? AND seq=?)",
        ),
        (load_slots._ALL_HELD.format("?, ?"), 3, "slots USING PRIMARY KEY (correlation=?)"),
        (load_slots._NEXT_HELD, 5, "slots USING PRIMARY KEY (correlation=? AND agent=? AND type=? AND seq>?)"),
        (
            load_slots.OLDEST_HELD.format("(?), (?)"),
            3,
            "slots USING PRIMARY KEY (correlation=? AND agent=? AND type=? AND seq=?)",
        ),
        (load_waiting._OF_CORRELATIONS, 2, "p USING PRIMARY KEY (tenant=? AND agent=? AND key=?)"),
    ],
)  # fmt: skip
def test_each_statement_goes_to_its_rows(
    connection: sqlite3.Connection, statement: str, values: int, searched: str
) -> None:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", ["[]"] * values)
    plan = [detail for *_, detail in rows]
    assert f"SEARCH {searched}" in plan
    assert not [
        step for step in plan if step.startswith(("SCAN p ", "SCAN pools", "SCAN hidden", "SCAN slots"))
    ]
