"""`flockd batch`: what is sent, what is shown, and that a lost connection only delays it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import Result

from flockd.cli import batch as batch_module
from flockd.cli.batch import Work
from flockd.cli.daemon import DaemonError, Unreachable
from flockd.cli.progress import Bar, Lines
from tests.unit.cli.answering import Answering

Flockd = Callable[..., Result]

STARTED = {"batch_id": "b-1", "status": "starting", "results": [None, None]}
SCHEMA = {"properties": {"text": {"type": "string"}, "count": {"type": "integer"}}}


def standing(completed: int, total: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "batch_id": "b-1",
        "status": "completed" if completed == total else "running",
        "results": None,
        "started_at": "2026-11-21T10:11:12.345Z",
        "completed_at": None,
        "error": None,
        "total_items": total,
        "completed_items": completed,
        "failed_items": 0,
        "progress_percentage": 100.0 * completed / total,
        **fields,
    }


DONE = standing(2, results=[{"result": "a, b", "n": 1}, {"result": "c", "more": [1]}])


@pytest.fixture
def running(daemon: Answering) -> Answering:
    daemon.answer("POST /run/batch", STARTED)
    daemon.answer("GET /batch/b-1", DONE)
    daemon.answer("GET /api/v1/agents", {"agents": [{"name": "my_agent", "input_schema": SCHEMA}]})
    return daemon


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "texts.csv"
    path.write_bytes("\ufefftext\r\nä\r\n".encode())
    return str(path)


def test_it_sends_the_file_and_prints_the_results(flockd: Flockd, running: Answering, file: str) -> None:
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url)
    assert (result.exit_code, result.stdout) == (0, 'result,n,more\n"a, b",1,\nc,,[1]\n')
    assert result.stderr == "2 of 2 items\nbatch b-1 completed: 2 of 2 items\n"
    assert running.sent("POST /run/batch").body == {
        "agent_name": "my_agent",
        "batch_inputs": "text\r\nä\n",
        "input_mapping": {},
        "static_inputs": {},
        "parallel": True,
        "max_workers": 5,
        "return_errors": True,
    }


def test_the_options_reach_the_daemon(flockd: Flockd, running: Answering, file: str) -> None:
    result = flockd(
        *("batch", file, "--agent", "MY-agent", "--url", running.url, "--max-workers", "9", "--sequential"),
        *("--map", "a column=text", "--map", "b=count", "--static", "count=5", "--static", "text=5"),
        *("--static", "other=x=y", "--key", "k-1"),
    )
    assert result.exit_code == 0
    sent = running.sent("POST /run/batch")
    assert sent.body["input_mapping"] == {"a column": "text", "b": "count"}
    assert sent.body["static_inputs"] == {"count": 5, "text": "5", "other": "x=y"}
    assert (sent.body["parallel"], sent.body["max_workers"]) == (False, 9)
    assert sent.headers["X-Idempotency-Key"] == "k-1"


def test_standard_input_is_a_file(flockd: Flockd, running: Answering) -> None:
    flockd("batch", "-", "--agent", "my_agent", "--url", running.url, stdin="text\nx")
    assert running.sent("POST /run/batch").body["batch_inputs"] == "text\nx\n"


@pytest.mark.parametrize(
    ("name", "form", "content"),
    [
        ("out.csv", (), 'result,n,more\n"a, b",1,\nc,,[1]\n'),
        ("out.txt", (), 'result,n,more\n"a, b",1,\nc,,[1]\n'),
        ("out.json", (), json.dumps(DONE["results"], indent=2, ensure_ascii=False) + "\n"),
        ("out.txt", ("--format", "json"), json.dumps(DONE["results"], indent=2) + "\n"),
        ("out.json", ("--format", "csv"), 'result,n,more\n"a, b",1,\nc,,[1]\n'),
    ],
)
def test_the_results_go_into_a_file(
    flockd: Flockd, running: Answering, file: str, tmp_path: Path, name: str, form: Any, content: str
) -> None:
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url, "--output", name, *form)
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / name).read_bytes() == content.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "texts.csv"])


def test_json_is_the_whole_batch(flockd: Flockd, running: Answering, file: str, tmp_path: Path) -> None:
    both = ("--json", "--output", "out.csv")
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url, *both)
    assert json.loads(result.stdout) == DONE
    assert (tmp_path / "out.csv").is_file()
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url, "--json")
    assert json.loads(result.stdout) == DONE


def test_failed_items_are_told_and_exit_1(flockd: Flockd, running: Answering, file: str) -> None:
    results = [{"error": f"no {n}"} for n in range(7)] + [{"n": 1}]
    running.answer("GET /batch/b-1", standing(8, 8, results=results, failed_items=7))
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == ["error,n", "no 0,"]
    assert result.stderr.splitlines() == [
        "8 of 8 items, 7 failed",
        *(f"item {n + 1} failed: no {n}" for n in range(5)),
        "… and 2 more",
        "batch b-1 completed: 8 of 8 items, 7 failed",
    ]


def test_a_cancelled_batch_exits_1(flockd: Flockd, running: Answering) -> None:
    running.answer(
        "GET /batch/b-1", standing(1, status="failed", error="Cancelled", results=[{"n": 1}, None])
    )
    result = flockd("batch", "--follow", "b-1", "--url", running.url)
    assert (result.exit_code, result.stdout) == (1, 'n\n1\n""\n')
    assert result.stderr.splitlines()[-1] == "batch b-1 failed: 1 of 2 items (Cancelled)"


def test_following_and_cancelling_need_only_the_id(flockd: Flockd, running: Answering) -> None:
    assert flockd("batch", "--follow", "b-1", "--url", running.url).exit_code == 0
    cancelled = standing(1, status="failed", error="Cancelled")
    running.answer("POST /batch/b-1/cancel", cancelled)
    result = flockd("batch", "--cancel", "b-1", "--url", running.url)
    assert (result.exit_code, result.stdout) == (0, "batch b-1 failed: 1 of 2 items (Cancelled)\n")
    assert json.loads(flockd("batch", "--cancel", "b-1", "--url", running.url, "--json").stdout) == cancelled


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Give one of"),
        (("texts.csv", "--follow", "b-1"), 2, "Give one of"),
        (("texts.csv",), 2, "--agent"),
        (("none.csv", "--agent", "a"), 1, "There is no file none.csv."),
        (("latin.csv", "--agent", "a"), 1, "latin.csv is not UTF-8 text."),
        ((".", "--agent", "a"), 1, ". cannot be read"),
        (("texts.csv", "--agent", "a", "--map", "x"), 2, "--map"),
        (("texts.csv", "--agent", "a", "--static", "=x"), 2, "--static"),
        (("texts.csv", "--agent", "a", "--max-workers", "0"), 2, "--max-workers"),
        (("texts.csv", "--agent", "a"), 1, "Agent 'a' not found"),
        (("--follow", "b-2"), 1, "Batch not found"),
        (("--cancel", "b-2"), 1, "Batch not found"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    flockd: Flockd, daemon: Answering, file: str, tmp_path: Path, arguments: Any, code: int, said: str
) -> None:
    (tmp_path / "latin.csv").write_bytes(b"text\n\xe4\n")
    daemon.refuse("POST /run/batch", 400, "agent_name: Agent 'a' not found")
    daemon.refuse("GET /batch/b-2", 404, "Batch not found")
    daemon.refuse("POST /batch/b-2/cancel", 404, "Batch not found")
    result = flockd("batch", *arguments, "--url", daemon.url)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_an_output_that_cannot_be_written(flockd: Flockd, running: Answering, file: str) -> None:
    result = flockd("batch", file, "--agent", "my_agent", "--url", running.url, "--output", "no/such/out.csv")
    assert result.exit_code == 1
    assert "no/such/out.csv cannot be written" in result.stderr


# -- following ----------------------------------------------------------------------------------------------


class Answers:
    """A daemon whose batch stands differently each time; None: the connection is cut."""

    def __init__(self, *answers: dict[str, Any] | int | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        answer = self.answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, int):
            return web.json_response({"message": f"refused with {answer}"}, status=answer)
        return web.json_response(answer)

    async def follow(self) -> Any:
        app = web.Application()
        app.router.add_get("/batch/b-1", self.handle)
        async with TestServer(app) as server, asyncio.timeout(20):
            return await Work("b-1").follow(str(server.make_url("")))


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "RETRY_BASE_SECONDS"):
        monkeypatch.setattr(batch_module, name, 0.0)


async def test_progress_is_shown_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [standing(n, 20, failed_items=n // 10) for n in (0, 1, 2, 9, 10, 20)]
    answers = Answers(steps[0], *steps, DONE)
    assert await answers.follow() == DONE
    assert answers.asked == ["/batch/b-1?results=false"] * 7 + ["/batch/b-1"]
    assert capsys.readouterr().err.splitlines() == [
        "0 of 20 items",
        "2 of 20 items",
        "9 of 20 items",
        "10 of 20 items, 1 failed",
        "20 of 20 items, 2 failed",
    ]


async def test_a_daemon_that_goes_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    cut = (None, None)  # aiohttp's client tries once more by itself where a kept connection is cut
    answers = Answers(standing(0), standing(0), *cut, 503, 502, standing(1), 503, standing(2), *cut, DONE)
    assert await answers.follow() == DONE
    said = capsys.readouterr().err
    assert said.count("Trying again.") == 3
    assert "2 of 2 items" in said


async def test_a_daemon_that_is_not_there_at_first_is_an_error() -> None:
    with pytest.raises(Unreachable):
        await Answers(503).follow()
    with pytest.raises(DaemonError, match="refused with 404"):
        await Answers(standing(0), standing(0), 404).follow()


def test_interrupting_leaves_the_batch_and_says_how_to_go_on(
    daemon: Answering, file: str, tmp_path: Path
) -> None:
    daemon.answer("POST /run/batch", STARTED)
    daemon.answer("GET /batch/b-1", standing(1))
    with client("batch", file, "--agent", "my_agent", "--url", daemon.url, cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "1 of 2 items\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err == "The batch goes on.\nflockd batch --follow b-1\nflockd batch --cancel b-1\n"
    assert [each.path for each in daemon.requests if each.method == "POST"] == ["/run/batch"]


@contextmanager
def client(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOCKD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "flockd", *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()


# -- how far it is ------------------------------------------------------------------------------------------


def test_the_bar_shows_what_is_done_and_what_failed() -> None:
    import io

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    with Progress(MofNCompleteColumn(), TextColumn("{task.description}"), console=console) as rich:
        bar = Bar(rich)
        bar.show(7, 20, 3)
        bar.say("[not markup]")
    shown = text.getvalue()
    assert "7/20" in shown
    assert "3 failed" in shown
    assert "[not markup]" in shown


def test_lines_come_once_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("items")
    for completed in range(1001):
        lines.show(completed, 1000)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{n} of 1000 items" for n in range(0, 1001, 100)]
