"""Verify, reset, backup."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from flockd.config import Config

from .conftest import Api


async def test_verify_finds_nothing(api: Api) -> None:
    await api.sync("Order")
    assert (await api.post("/api/v1/admin/verify")).ok() == {"ok": True, "differences": []}


async def test_reset_empties_the_board_and_uses_no_seq_again(api: Api) -> None:
    before = await api.sync("Order")
    for body in ({}, {"confirm": False}, {"confirm": "true"}, {"confirm": True, "now": 1}):
        (await api.post("/api/v1/admin/reset", body)).problem(400, "INVALID_INPUT")
    assert (await api.post("/api/v1/admin/reset", {"confirm": True})).ok() == {"status": "reset"}
    assert (await api.get("/api/v1/artifacts")).ok()["pagination"]["total"] == 0
    assert (await api.get("/api/v1/runs")).ok()["total"] == 0
    assert (await api.get(f"/api/v1/correlations/{before['correlation_id']}/status")).ok()[
        "state"
    ] == "not_found"
    assert (await api.publish("Order"))["seq"] > before["artifacts"][-1]["seq"]
    assert (await api.post("/api/v1/admin/verify")).ok()["ok"] is True


async def test_a_backup_is_a_database(api: Api, config: Config, tmp_path: Path) -> None:
    await api.sync("Order")
    answer = await api.get("/api/v1/admin/backup")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/vnd.sqlite3"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="flockd-')
    copy = tmp_path / "copy.db"
    copy.write_bytes(answer.body)
    connection = sqlite3.connect(copy)
    try:
        assert connection.execute("SELECT count(*) FROM artifacts").fetchone() == (3,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    assert [path.name for path in config.store.data_dir.iterdir() if path.name.startswith("backup-")] == []
