"""The examples of docs/runs.md work as they are written, in their order, and no route is left out."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flockd.demo.agents import flock
from flockd.dialects.runs.routes import RUNS_ROUTES
from tests.api.test_docs_http import example

from .conftest import Serve, Served

TEXT = (Path(__file__).parents[2] / "docs" / "runs.md").read_text("utf-8")
BLOCK = re.compile(r"^```(sh|python|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_SECONDS = 60.0


@pytest.fixture
async def api(serve: Serve) -> Served:
    return await serve(flock)


def commands(program: str) -> Iterator[str]:
    for kind, block in BLOCK.findall(TEXT):
        if kind == "sh":
            yield from (
                one
                for one in re.split(r"^(?=curl |flockd |printf )", block, flags=re.MULTILINE)
                if one.startswith(f"{program} ")
            )


async def test_the_calls_of_curl_work(api: Served) -> None:
    known: dict[str, str] = {}
    answers = []
    for command in commands("curl"):
        one = example(shlex.split(command))
        path = one.path
        for name, value in known.items():
            path = path.replace(name, value)
        assert "$" not in path
        answer = (await api.request(one.method, path, data=one.data, headers=one.headers)).ok()
        known |= {f"${key.upper()}": answer[key] for key in ("run_id", "batch_id") if key in answer}
        if "batch_id" in answer:
            await api.ended(answer["batch_id"])
        answers.append(answer)
    assert len(answers) == 12
    hello, unknown, flocked = answers[:3]
    assert hello["result"] == flocked["result"] == {"result": "Processed: Hello, world!"}
    assert unknown["error"] == "Agent 'unknown_agent' not found"


async def test_the_answers_that_are_shown_are_those_that_come(api: Served) -> None:
    shown = [json.loads(block) for kind, block in BLOCK.findall(TEXT) if kind == "json"]
    hello = {"agent_name": "my_agent", "inputs": {"query": "Hello, world!"}}
    came: list[Any] = [
        (await api.post("/run/agent", hello)).ok(),
        (await api.post("/run/agent", {**hello, "agent_name": "unknown_agent"})).ok(),
        (await api.get("/agents")).ok(),
    ]
    items = [{"text": "What a fine day."}, {"text": "What a dreadful day."}]
    batch = (await api.post("/run/batch", {"agent_name": "text_analyzer", "batch_inputs": items})).ok()
    await api.ended(batch["batch_id"])
    came.append((await api.get(f"/batch/{batch['batch_id']}")).ok())
    assert len(shown) == len(came)
    (agent,) = shown[2]["agents"]
    assert agent in came[2]["agents"]
    for told, real in zip(shown[:2] + shown[3:], came[:2] + came[3:], strict=True):
        assert list(told) == list(real)
        varying = {"run_id", "batch_id", "started_at", "completed_at"}
        assert {key: told[key] for key in told.keys() - varying} == {
            key: real[key] for key in real.keys() - varying
        }


async def test_the_python_client_works(api: Served) -> None:
    (code,) = [block for kind, block in BLOCK.findall(TEXT) if kind == "python"]
    output = await run(api, sys.executable, "-c", code.replace("http://localhost:8344", address(api)))
    assert output == "Result: {'result': 'Processed: Hello, world!'}\n" * 2


async def test_the_command_line_works(api: Served, tmp_path: Path) -> None:
    (printf,) = commands("printf")
    await run(api, "sh", "-c", printf, folder=tmp_path)
    into_file, as_json = commands("flockd")
    await run(api, *flockd(into_file, api), folder=tmp_path)
    heading, first, second = (tmp_path / "results.csv").read_text().splitlines()
    assert heading == "sentiment,keywords"
    assert first.startswith("positive,")
    assert second.startswith("negative,")
    assert json.loads(await run(api, *flockd(as_json, api), folder=tmp_path))["completed_items"] == 2


def flockd(command: str, api: Served) -> list[str]:
    return [sys.executable, "-m", *shlex.split(command), "--url", address(api)]


def address(api: Served) -> str:
    return str(api.client.make_url("")).rstrip("/")


async def run(api: Served, *arguments: str, folder: Path | None = None) -> str:
    """What a program prints on its standard output; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("path", sorted({route.path for route in RUNS_ROUTES if route.documented}))
def test_no_route_is_left_out(path: str) -> None:
    assert f"{path}`" in TEXT
