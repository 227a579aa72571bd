"""Real MCP servers for tests, as programs and over HTTP, and what is left of them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")


from flockd.engines.llm.thinking import McpServer
from flockd.engines.outside import Outside

from .attempts import Attempt, Kept
from .scripted import Call, Script

LIMIT_SECONDS = 20
SERVER = (
    sys.executable,
    "-P",
    str(Path(__file__).with_name("mcp_server.py")),
)  # -P: `http` is not our neighbour


ENDED = "the MCP server test ended: it forgot what it knew, and the next call starts it again"


def attempt(kept: Kept | None = None) -> Attempt:
    return Attempt(Outside(), kept=kept)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers note what happens to them."""
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("MCP_TEST_NOTES", str(path))
    return path


def program(*allow: str, how: str = "stdio", name: str = "test", **options: Any) -> McpServer:
    command = options.pop("command", (*SERVER, how))
    env = options.pop("env", ("MCP_TEST_NOTES",))
    return McpServer(name, command=command, allow=allow, env=env, **options)


async def called(server: McpServer, *calls: Call, kept: Kept | None = None) -> list[tuple[Any, str]]:
    """What the model is told of some calls, each in an answer of its own."""
    script = Script(*[[call] for call in calls])
    await script.run(attempt(kept).context, mcp=[server])
    return [told[0] for told in script.told]


def noted(notes: Path) -> list[str]:
    return notes.read_text().splitlines()


def pids(notes: Path) -> list[int]:
    return [int(line.split()[1]) for line in noted(notes) if line.startswith("pid ")]


def lives(pid: int) -> bool:
    """Whether a process works; one that only waits to be looked at by its parent has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not true():  # noqa: ASYNC110  # what another process does rings no bell
            await asyncio.sleep(0.01)


class Served:
    """A server over HTTP, in a process of its own."""

    def __init__(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [*SERVER, "http", str(port)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def server(self, *allow: str, **options: Any) -> McpServer:
        return McpServer("web", url=f"http://127.0.0.1:{self.port}/mcp", allow=allow, **options)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def serve(notes: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers; they end with the test."""
    started: list[Served] = []

    def start(port: int = 0) -> Served:
        started.append(Served(port))
        return started[-1]

    yield start
    for one in started:
        one.end()


both_protocols = pytest.mark.parametrize("old", [False, True], ids=["new protocol", "old protocol"])
