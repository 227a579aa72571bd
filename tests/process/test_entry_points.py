"""The ways into a daemon that documents 000 to 003 show, as programs of their own, with only their import changed."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .daemon import READY, ROOT, START_SECONDS, environment

AGENT = """
from flockd import Flock, FlockAgent, FlockAPI, FlockFactory

flock = Flock(name="My API Flock", model="openai/gpt-4o")
agent = FlockAgent(
    name="my_agent",
    input="query: str | The query to process",
    output="result: str | The processed result",
    hand_off="text_analyzer",
)
flock.add_agent(agent)
analyzer_agent = FlockFactory.create_default_agent(
    name="text_analyzer", input="result: str", output="sentiment: str, keywords: list[str]"
)
flock.add_agent(analyzer_agent)
"""
STARTS = {
    "document 000": 'api = FlockAPI(flock)\napi.start(host="127.0.0.1", port=0)',
    "document 001": 'flock.start_api(host="127.0.0.1", port=0, server_name="My Flock Service API", create_ui=False)',
    "document 002": "import asyncio\nasyncio.run(flock.serve(dashboard=True, port=0))",
}
CHAIN = """
from pydantic import BaseModel
from flockd import Flock

flock = Flock()

class Question(BaseModel):
    text: str

class Finding(BaseModel):
    text: str
    sources: int

class Draft(BaseModel):
    text: str

class Article(BaseModel):
    title: str

@flock.agent(hand_off="writer")
async def researcher(question: Question) -> Finding:
    return Finding(text=question.text.upper(), sources=2)

@flock.agent
async def writer(draft: Draft) -> Article:
    return Article(title=f"On {draft.text}")
"""
SCRIPT = re.search(
    r"```python run_api\.py\n(.*?)```", (ROOT / "docs/authoring.md").read_text("utf-8"), re.DOTALL
)


@asynccontextmanager
async def serving(folder: Path, *command: str) -> AsyncIterator[str]:
    """The address of a daemon that a Python program serves; it ends as it should when it is asked to."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        cwd=folder,
        env=environment() | {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (ready := READY.search("".join(printed[-1:]))):
                line = await process.stdout.readline()
                assert line, "".join(printed)
                printed.append(line.decode())
        yield ready[1]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def answer(url: str, json: Any = None) -> tuple[int, Any]:
    """Of a GET, or of a POST where there is something to send."""
    async with (
        aiohttp.ClientSession() as session,
        session.request("GET" if json is None else "POST", url, json=json) as response,
    ):
        return response.status, await response.json(content_type=None)


@pytest.mark.parametrize("document", STARTS)
async def test_the_program_of_a_document_serves_its_agents(tmp_path: Path, document: str) -> None:
    (tmp_path / "program.py").write_text(AGENT + STARTS[document], "utf-8")
    async with serving(tmp_path, "program.py") as url:
        _, listed = await answer(f"{url}/api/v1/agents")
        assert {agent["name"]: agent["kind"] for agent in listed["agents"]} == {
            "my_agent": "llm",
            "text_analyzer": "llm",
        }
        _, openapi = await answer(f"{url}/openapi.json")
        named = "My Flock Service API" if document == "document 001" else "My API Flock"
        assert openapi["info"]["title"] == named
        inputs = [{"type": "MyAgentInput", "payload": {"query": "Hello, world!"}}]
        status, failed = await answer(f"{url}/api/v1/agents/my_agent/run", {"inputs": inputs})
        assert (status, failed["error"]) == (500, "AGENT_FAILED")
        assert "environment variable OPENAI_API_KEY, which is not set" in failed["message"]


async def test_run_api_takes_the_arguments_of_serve(tmp_path: Path) -> None:
    assert SCRIPT is not None
    (tmp_path / "run_api.py").write_text(SCRIPT[1], "utf-8")
    (tmp_path / "mine.py").write_text(AGENT, "utf-8")
    async with serving(tmp_path, "run_api.py", "mine:flock", "--port", "0", "--host", "127.0.0.1") as url:
        status, listed = await answer(f"{url}/api/v1/agents")
        assert (status, [agent["name"] for agent in listed["agents"]]) == (200, ["my_agent", "text_analyzer"])


async def test_a_chain_of_hand_offs_runs_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text(CHAIN, "utf-8")
    async with serving(tmp_path, "-m", "flockd", "serve", "chain:flock", "--port", "0") as url:
        asked = {"type": "Question", "payload": {"text": "sheep"}}
        status, done = await answer(f"{url}/api/v1/artifacts/sync", asked)
        assert (status, done["state"]) == (200, "completed"), done
        assert [(artifact["produced_by"], artifact["payload"]) for artifact in done["artifacts"]] == [
            ("researcher", {"text": "SHEEP", "sources": 2}),
            ("writer", {"title": "On SHEEP"}),
        ]
        inputs = [{"type": "Draft", "payload": {"text": "wool"}}]
        status, ran = await answer(f"{url}/api/v1/agents/writer/run", {"inputs": inputs})
        assert (status, ran["artifacts"][0]["payload"]) == (200, {"title": "On wool"})
