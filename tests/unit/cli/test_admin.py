"""`flockd verify`, `backup` and `reset`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from flockd.store.sqlite import migrate
from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]
BACKUP = "GET /api/v1/admin/backup"


def test_verify_prints_each_difference_and_exits_1(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/verify", {"ok": False, "differences": ["one is 2", "two is 3"]})
    found = flockd("verify", "--url", daemon.url)
    assert (found.exit_code, found.stdout) == (1, "one is 2\ntwo is 3\n")
    as_json = flockd("verify", "--json", "--url", daemon.url)
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"differences": ["one is 2", "two is 3"]})


def test_verify_of_a_sound_store_exits_0(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/verify", {"ok": True, "differences": []})
    sound = flockd("verify", "--url", daemon.url)
    assert (sound.exit_code, sound.stdout) == (0, "No difference.\n")


def test_verify_of_a_stopped_store_needs_no_daemon(flockd: Flockd) -> None:
    migrate(Path("board.db"))
    sound = flockd("verify", "--store", "sqlite:///board.db")
    assert (sound.exit_code, sound.stdout) == (0, "No difference.\n")


def test_what_is_no_store_is_a_sentence(flockd: Flockd) -> None:
    Path("board.db").write_text("no store" * 1000, "utf-8")
    found = flockd("verify", "--store", "sqlite:///board.db")
    assert found.exit_code == 1
    assert "Traceback" not in found.output
    refused = flockd("backup", "copy.db", "--store", "sqlite:///board.db")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: The ")
    assert not Path("copy.db").exists()


@pytest.mark.parametrize("verb", [["verify"], ["backup", "copy.db"]])
def test_a_store_that_is_not_there_is_a_sentence(flockd: Flockd, verb: list[str]) -> None:
    missing = flockd(*verb, "--store", "sqlite:///none.db")
    assert (missing.exit_code, missing.stderr) == (1, "Error: There is no store none.db.\n")
    assert flockd(*verb, "--store", "none.db").exit_code == 2
    assert not Path("copy.db").exists()


def test_backup_writes_what_the_daemon_sends(flockd: Flockd, daemon: Answering) -> None:
    copy = b"SQLite format 3\0" * 1000
    daemon.answer(BACKUP, copy)
    result = flockd("backup", "copy.db", "--url", daemon.url)
    assert (result.exit_code, result.stdout) == (0, "copy.db: 16000 bytes\n")
    assert Path("copy.db").read_bytes() == copy
    assert list(Path().iterdir()) == [Path("copy.db")]


def test_backup_replaces_a_file_only_when_told_to(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer(BACKUP, b"new")
    Path("copy.db").write_bytes(b"old")
    refused = flockd("backup", "copy.db", "--url", daemon.url)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: copy.db is there already: name another file, or replace it with --force.\n"
    )
    assert Path("copy.db").read_bytes() == b"old"
    replaced = flockd("backup", "copy.db", "--force", "--json", "--url", daemon.url)
    assert json.loads(replaced.stdout) == {"file": "copy.db", "bytes": 3}
    assert Path("copy.db").read_bytes() == b"new"


def test_a_backup_that_fails_leaves_nothing(flockd: Flockd, daemon: Answering) -> None:
    daemon.refuse(BACKUP, 503, "The daemon is draining")
    refused = flockd("backup", "copy.db", "--url", daemon.url)
    assert (refused.exit_code, refused.stderr) == (1, "Error: The daemon is draining\n")
    daemon.answer(BACKUP, b"new")
    nowhere = flockd("backup", "none/copy.db", "--url", daemon.url)
    assert nowhere.exit_code == 1
    assert nowhere.stderr == "Error: none/copy.db cannot be written: No such file or directory.\n"
    assert list(Path().iterdir()) == []


def test_backup_of_a_stopped_store_is_a_store(flockd: Flockd) -> None:
    migrate(Path("board.db"))
    result = flockd("backup", "copy.db", "--store", "sqlite:///board.db")
    assert result.exit_code == 0, result.output
    assert flockd("verify", "--store", "sqlite:///copy.db").exit_code == 0


def test_reset_asks_first(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/reset", {"status": "reset"})
    kept = flockd("reset", "--url", daemon.url, stdin="n\n")
    assert kept.exit_code == 1
    assert daemon.requests == []
    emptied = flockd("reset", "--url", daemon.url, stdin="y\n")
    assert (emptied.exit_code, emptied.stdout) == (0, "The board is empty.\n")
    assert daemon.sent("POST /api/v1/admin/reset").body == {"confirm": True}


def test_reset_does_not_ask_with_yes(flockd: Flockd, daemon: Answering) -> None:
    daemon.answer("POST /api/v1/admin/reset", {"status": "reset"})
    emptied = flockd("reset", "--yes", "--json", "--url", daemon.url)
    assert (emptied.exit_code, json.loads(emptied.stdout)) == (0, {"status": "reset"})
