"""Results as files below batch.dir: whole, once, also over a restart."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flockd.api.keys import BOARD, DAEMON, READS
from flockd.dialects.runs.batch_files import BATCH_FILES

from ..store.full_disk import full_for
from ..store.test_writer import Wrapped
from .conftest import LIMIT_SECONDS, Serve, Served
from .run_flock import Gate, make_flock


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def api(serve: Serve, gate: Gate) -> Served:
    return await serve(make_flock(gate))


async def start(api: Served, agent: str, items: Any, name: str, **fields: Any) -> str:
    body = {"agent_name": agent, "batch_inputs": items, "write_to_csv": name, **fields}
    return str((await api.post("/run/batch", body)).ok()["batch_id"])


async def written(batch_id: str) -> None:
    """Returns when whoever writes the file of this batch is done with it."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == f"batch file {batch_id}"]
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*tasks)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def lines(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))


async def test_the_results_are_written_in_their_order(api: Served, files: Path) -> None:
    (files / "deep").mkdir()
    batch = await start(
        api, "shower", [{"text": 'a "b", c\nd', "words": ["w"]}, {"text": "e"}], "deep/out.csv"
    )
    await written(batch)
    heading, first, second = lines(files / "deep" / "out.csv")
    assert heading == ["cells"]
    assert '"text":"a \\"b\\", c\\nd"' in first[0]
    assert '"text":"e"' in second[0]
    assert names(files / "deep") == ["out.csv"]
    assert await api.app[READS].unwritten_batches() == []


@pytest.mark.parametrize(
    ("return_errors", "expected"),
    [
        (False, [["n"], ["0"], [""], ["2"], [""]]),
        (True, [["n", "error"], ["0", ""], ["", "RuntimeError: 1 is odd"], ["2", ""]]),
    ],
)
async def test_failed_items_have_a_line(
    api: Served, files: Path, return_errors: bool, expected: list[list[str]]
) -> None:
    items = [{"n": 0}, {"n": 1}, {"n": 2}, {"n": "x"}]
    batch = await start(api, "loser", items, "out.csv", return_errors=return_errors)
    await written(batch)
    assert lines(files / "out.csv")[: len(expected)] == expected
    assert len(lines(files / "out.csv")) == 5


async def test_more_items_than_one_page(api: Served, files: Path) -> None:
    batch = await start(api, "my_agent", [{"query": str(n)} for n in range(1201)], "out.csv", max_workers=50)
    await written(batch)
    assert lines(files / "out.csv") == [["result"]] + [[f"Processed: {n}"] for n in range(1201)]


async def test_nothing_is_there_before_the_end_and_what_was_is_replaced(
    api: Served, files: Path, gate: Gate
) -> None:
    (files / "out.csv").write_text("of yesterday")
    batch = await start(api, "holder", [{"n": 1}, {"n": 2}], "out.csv")
    await gate.until_entered(2)
    gate.permit(1)
    assert (files / "out.csv").read_text() == "of yesterday"
    gate.permit(1)
    await written(batch)
    assert lines(files / "out.csv") == [["n"], ["1"], ["2"]]


async def test_a_cancelled_batch_writes_what_it_has(api: Served, files: Path, gate: Gate) -> None:
    batch = await start(api, "holder", [{"n": n} for n in range(3)], "out.csv", parallel=False)
    gate.permit(1)
    await gate.until_entered(2)
    (await api.post(f"/batch/{batch}/cancel")).ok()
    await written(batch)
    assert lines(files / "out.csv") == [["n"], ["0"], [""], [""]]


async def test_a_restart_before_the_end(serve: Serve, api: Served, gate: Gate, files: Path) -> None:
    batch = await start(api, "holder", [{"n": n} for n in range(3)], "out.csv", parallel=False)
    gate.permit(1)
    await gate.until_entered(2)
    await api.stop()
    assert names(files) == []
    after = await serve(make_flock(Gate(permits=3)))
    await after.ended(batch)
    await written(batch)
    assert lines(files / "out.csv") == [["n"], ["0"], ["1"], ["2"]]


async def test_a_process_that_died_between_the_end_and_the_file(
    serve: Serve, api: Served, files: Path, tmp_path: Path
) -> None:
    batch = await start(api, "my_agent", [{"query": "x"}], "out.csv")
    await written(batch)
    await api.stop()
    (files / "out.csv").unlink()
    (files / f".{batch}.part").write_text("half a li")
    with closing(sqlite3.connect(next((tmp_path / "data").glob("*.db")))) as store, store:
        assert store.execute("UPDATE batches SET unwritten = 1").rowcount == 1
    await serve(make_flock(Gate()))
    await written(batch)
    assert lines(files / "out.csv") == [["result"], ["Processed: x"]]
    assert names(files) == ["out.csv"]


async def test_a_file_that_was_taken_away_does_not_come_back(serve: Serve, api: Served, files: Path) -> None:
    batch = await start(api, "my_agent", [{"query": "x"}], "out.csv")
    await written(batch)
    await api.stop()
    (files / "out.csv").unlink()
    after = await serve(make_flock(Gate()))
    await written(batch)
    (await after.get(f"/batch/{batch}")).ok()
    assert names(files) == []


async def test_a_disk_that_is_full_after_the_file_does_not_bring_it_back_either(
    serve: Serve, api: Served, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.app[BATCH_FILES], "_retry_seconds", 0.0)
    kept_by = api.app[DAEMON].writer  # type: ignore[attr-defined]
    kept_by._connection = connection = Wrapped(kept_by._connection)
    disk = full_for(monkeypatch, connection, "BatchWritten", times=2)
    batch = await start(api, "my_agent", [{"query": "x"}], "out.csv")
    await written(batch)
    assert disk.refused == 2
    await api.stop()
    (files / "out.csv").unlink()
    await serve(make_flock(Gate()))
    await written(batch)
    assert names(files) == []


async def test_the_same_key_writes_once(api: Served, files: Path) -> None:
    body = {"agent_name": "my_agent", "batch_inputs": "query\nx\n", "write_to_csv": "out.csv"}
    key = {"X-Idempotency-Key": "k"}
    batch = (await api.post("/run/batch", body, key)).ok()["batch_id"]
    await written(batch)
    (files / "out.csv").unlink()
    assert (await api.post("/run/batch", body, key)).ok()["batch_id"] == batch
    await written(batch)
    assert names(files) == []


async def test_a_client_that_leaves_while_it_starts_gets_its_file(
    api: Served, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, reached, go_on = api.app[BOARD], asyncio.Event(), asyncio.Event()
    start_batch, started = board.start_batch, []

    async def slow(*arguments: Any, **options: Any) -> Any:
        reached.set()
        await go_on.wait()
        started.append(await start_batch(*arguments, **options))
        return started[0]

    monkeypatch.setattr(board, "start_batch", slow)
    leaving = asyncio.create_task(start(api, "my_agent", [{"query": "x"}], "out.csv"))
    await reached.wait()
    (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "batch with a file"]
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    go_on.set()
    await task
    await written(started[0].correlation_id)
    assert lines(files / "out.csv") == [["result"], ["Processed: x"]]


async def test_a_board_that_is_emptied_writes_no_file(
    api: Served, files: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    batch = await start(api, "holder", [{"n": 1}], "out.csv")
    await gate.until_entered(1)
    with caplog.at_level(logging.WARNING, "flockd"):
        (await api.post("/api/v1/admin/reset", {"confirm": True})).ok()
        await written(batch)
    assert "no longer on the board" in caplog.text
    assert names(files) == []


# -- paths --------------------------------------------------------------------------------------------------


async def test_a_path_that_leaves_the_folder_is_refused(api: Served, files: Path, tmp_path: Path) -> None:
    (files / "inside").mkdir()
    (files / "folder").symlink_to(tmp_path)
    for name in (
        "../out.csv",
        "inside/../out.csv",
        str(tmp_path / "out.csv"),
        "folder/out.csv",
        "none/out.csv",
        "inside",
        ".",
        "..",
        "/",
        "a\0b/c.csv",
        "a\0b",
        "x" * 5000,
    ):
        body = {"agent_name": "my_agent", "batch_inputs": [{"query": "x"}], "write_to_csv": name}
        problem = (await api.post("/run/batch", body)).problem(400, "INVALID_INPUT")
        assert problem["details"]["field"] == "write_to_csv", name
        assert len(problem["detail"]) < 300
    assert (await api.get("/api/v1/correlations")).ok()["total"] == 0


async def test_a_link_is_replaced_and_not_followed(api: Served, files: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("mine")
    (files / "out.csv").symlink_to(outside)
    batch = await start(api, "my_agent", [{"query": "x"}], "out.csv")
    await written(batch)
    assert outside.read_text() == "mine"
    assert not (files / "out.csv").is_symlink()
    assert lines(files / "out.csv") == [["result"], ["Processed: x"]]


async def test_a_folder_that_became_a_link_outside_is_not_written_to(
    api: Served, files: Path, gate: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (files / "deep").mkdir()
    (tmp_path / "elsewhere").mkdir()
    batch = await start(api, "holder", [{"n": 1}], "deep/out.csv")
    await gate.until_entered(1)
    (files / "deep").rmdir()
    (files / "deep").symlink_to(tmp_path / "elsewhere")
    gate.permit(1)
    with caplog.at_level(logging.ERROR, "flockd"):
        await written(batch)
    assert names(tmp_path / "elsewhere") == []
    assert "batch.dir" in caplog.text


async def test_what_cannot_be_written_is_tried_again(
    api: Served, files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [OSError(28, "No space left on device")] * 2

    def full(part: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        part.rename(target)

    monkeypatch.setattr("flockd.dialects.runs.batch_files._finish", full)
    monkeypatch.setattr(api.app[BATCH_FILES], "_retry_seconds", 0.0)
    with caplog.at_level(logging.ERROR, "flockd"):
        batch = await start(api, "my_agent", [{"query": "x"}], "out.csv")
        await written(batch)
    assert lines(files / "out.csv") == [["result"], ["Processed: x"]]
    assert caplog.text.count("No space left") == 2
