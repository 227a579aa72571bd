"""CSV as the input of batches: as text, or as a file below batch.dir; what cells become."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from flockd.dialects.runs.batch_folder import BatchFolder

from .conftest import Serve, Served
from .run_flock import Gate, make_flock


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"batch": {"dir": tmp_path / "files", "file_bytes": 2000}}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
async def api(serve: Serve) -> Served:
    return await serve(make_flock(Gate()))


async def results(api: Served, agent: str, given: str, **fields: Any) -> Any:
    body = {"agent_name": agent, "batch_inputs": given, "return_errors": True, **fields}
    batch = (await api.post("/run/batch", body)).ok()
    await api.ended(batch["batch_id"])
    return (await api.get(f"/batch/{batch['batch_id']}")).ok()["results"]


async def refused(api: Served, given: str, status: int = 400, **fields: Any) -> Any:
    body = {"agent_name": "my_agent", "batch_inputs": given, **fields}
    answer = await api.post("/run/batch", body)
    problem = answer.problem(status, "INVALID_INPUT" if status == 400 else "TOO_LARGE")
    assert (await api.get("/api/v1/correlations")).ok()["total"] == 0
    return problem["details"]


QUERIES = [{"result": "Processed: x"}, {"result": "Processed: y, z"}]


@pytest.mark.parametrize(
    "text",
    [
        'query\nx\n"y, z"\n',
        'query\r\nx\r\n"y, z"',
        'query\rx\r"y, z"\r',
        '\ufeffquery\nx\n"y, z"\n',
        '"query"\n\nx\n\n"y, z"\n\n',
        ' query ,other\nx,1\n"y, z"\n',
        ',query\n0,x\n1,"y, z"\n',
    ],
)
async def test_text_in_every_form(api: Served, text: str) -> None:
    assert await results(api, "my_agent", text) == QUERIES


async def test_a_line_break_in_a_cell(api: Served) -> None:
    assert await results(api, "my_agent", 'query\n"a\nb"\n') == [{"result": "Processed: a\nb"}]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("whole", "5", 5),
        ("whole", "-5", -5),
        ("whole", "007", 7),
        ("whole", "5.0", 5),
        ("whole", "", 0),
        ("real", "1.5", 1.5),
        ("real", "1e3", 1000.0),
        ("real", "5", 5.0),
        ("flag", "true", True),
        ("flag", "True", True),
        ("flag", "yes", True),
        ("flag", "0", False),
        ("flag", "", False),
        ("note", "5", "5"),
        ("note", "true", "true"),
        ("note", "", "none"),
        ("note", " x ", " x "),
        ("maybe", "x", "x"),
        ("maybe", "null", "null"),
        ("maybe", "", None),
        ("day", "2026-11-21", "2026-11-21"),
        ("day", "", None),
        ("words", '"[""a"", ""b""]"', ["a", "b"]),
        ("words", "", []),
        ("table", '"{""a"": 1}"', {"a": 1}),
        ("mixed", "5", "5"),
        ("level", "2", "2"),
    ],
)
async def test_a_cell_is_what_its_field_asks_for(api: Served, column: str, cell: str, value: Any) -> None:
    (one,) = await results(api, "shower", f"text,{column}\nx,{cell}\n")
    assert one["cells"][column] == value


@pytest.mark.parametrize(
    ("column", "cell"),
    [("whole", "x"), ("whole", "1.5"), ("flag", "maybe"), ("day", "soon"), ("words", "a"), ("level", "3")],
)
async def test_a_cell_that_its_type_refuses_is_a_failed_item(api: Served, column: str, cell: str) -> None:
    bad, good = await results(api, "shower", f"text,{column}\nx,{cell}\ny,\n")
    assert bad["error"].startswith(f"inputs.{column}")
    assert good["cells"]["text"] == "y"


async def test_empty_cells_give_nothing_but_required_text_gets_the_empty_text(api: Served) -> None:
    assert [one["cells"]["text"] for one in await results(api, "shower", "text,whole\n,1\nx,2\n")] == [
        "",
        "x",
    ]
    filled = await results(api, "shower", "text,whole\n,1\nx,\n", static_inputs={"text": "s", "whole": 9})
    assert [(one["cells"]["text"], one["cells"]["whole"]) for one in filled] == [("s", 1), ("x", 9)]


async def test_columns_are_mapped(api: Served) -> None:
    mapping = {"the text": "text", "number": "whole"}
    one, two = await results(api, "shower", "the text,number,note\nx,3,n\ny,,\n", input_mapping=mapping)
    assert (one["cells"]["text"], one["cells"]["whole"], one["cells"]["note"]) == ("x", 3, "n")
    assert (two["cells"]["text"], two["cells"]["whole"], two["cells"]["note"]) == ("y", 0, "none")


async def test_an_agent_that_joins_takes_objects_as_cells(api: Served) -> None:
    text = 'Left,Right\n"{""n"": 1}","{""n"": 2}"\n1,"{""n"": 2}"\n'
    good, bad = await results(api, "joiner", text)
    assert good == {"total": 3}
    assert bad["error"].startswith("inputs.Left")


async def test_headings_without_end_are_looked_at_once(api: Served) -> None:
    """Each against all others would take hours for what a body may hold."""
    many = ",".join(f"h{n}" for n in range(90_000))
    async with asyncio.timeout(20):
        details = await refused(api, f"{many}\nx\n")
        assert len(details["issue"]) < 400
        details = await refused(api, f"{many},h0\nx\n")
        assert details["issue"] == "The heading h0 stands twice"


# -- files --------------------------------------------------------------------------------------------------


async def test_files_below_the_folder(api: Served, files: Path) -> None:
    (files / "deep").mkdir()
    (files / "deep" / "a.csv").write_text('query\nx\n"y, z"\n', "utf-8-sig")
    (files / "link.csv").symlink_to(files / "deep" / "a.csv")
    for name in ("deep/a.csv", "./deep/a.csv", "link.csv", str(files / "deep" / "a.csv")):
        assert await results(api, "my_agent", name) == QUERIES


async def test_a_batch_over_a_file_that_is_gone_is_answered_to_its_key_as_before(
    api: Served, files: Path
) -> None:
    (files / "a.csv").write_text("query\nx\n")
    body, key = {"agent_name": "my_agent", "batch_inputs": "a.csv"}, {"X-Idempotency-Key": "k"}
    first = (await api.post("/run/batch", body, key)).ok()
    (files / "a.csv").unlink()
    again = await api.post("/run/batch", body, key)
    assert (again.ok(), again.headers["Idempotency-Replayed"]) == (first, "true")
    (await api.post("/run/batch", body)).problem(400, "INVALID_INPUT")


async def test_a_path_that_leaves_the_folder_is_refused(api: Served, files: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("query\nx\n")
    (tmp_path / "files-2").mkdir()
    (tmp_path / "files-2" / "a.csv").write_text("query\nx\n")
    (files / "file.csv").symlink_to(tmp_path / "secret.csv")
    (files / "relative.csv").symlink_to("../secret.csv")
    (files / "folder").symlink_to(tmp_path)
    (files / "inside").mkdir()
    (files / "inside" / "b.csv").write_text("query\nx\n")
    (files / "circle").symlink_to(files / "circle")
    for name in (
        "../secret.csv",
        "inside/../../secret.csv",
        "inside/../inside/b.csv",
        str(tmp_path / "secret.csv"),
        str(tmp_path / "files-2" / "a.csv"),
        "/etc/passwd",
        "file.csv",
        "relative.csv",
        "folder/secret.csv",
        "circle",
        "a\0b",
    ):
        details = await refused(api, name)
        assert details["field"] == "batch_inputs", name
        assert "is not a file below batch.dir" in details["issue"], name


async def test_a_link_that_is_put_there_after_the_look_is_not_followed(
    api: Served, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.csv").write_text("query\nx\n")
    (files / "a.csv").write_text("query\nx\n")
    look = BatchFolder._inside

    def slow(folder: BatchFolder, *arguments: Any) -> Path:
        found = look(folder, *arguments)
        found.unlink()
        found.symlink_to(tmp_path / "secret.csv")
        return found

    monkeypatch.setattr(BatchFolder, "_inside", slow)
    assert "cannot be read" in (await refused(api, "a.csv"))["issue"]


async def test_what_is_no_csv_file_is_refused(api: Served, files: Path) -> None:
    (files / "folder").mkdir()
    os.mkfifo(files / "pipe")
    (files / "latin.csv").write_bytes("query\nä\n".encode("latin-1"))
    (files / "headings.csv").write_text("query\n")
    (files / "empty.csv").touch()
    said = {
        "none.csv": "No such file",
        "folder": "is not a file",
        ".": "is not a file",
        "pipe": "is not a file",
        "latin.csv": "not UTF-8",
        "x" * 300: "File name too long",
        "x" * 1_500: "File name too long",
        "headings.csv": "no rows",
        "empty.csv": "headings",
    }
    for name, words in said.items():
        details = await refused(api, name)
        assert details["field"] == "batch_inputs", name
        assert words in details["issue"], (name, details["issue"])
        assert len(details["issue"]) < 300


async def test_a_file_that_is_too_large(api: Served, files: Path) -> None:
    (files / "large.csv").write_text("query\n" + "x\n" * 1000)
    details = await refused(api, "large.csv", 413)
    assert details["limit"] == 2000
