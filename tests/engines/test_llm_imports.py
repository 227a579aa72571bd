"""pydantic-ai, the SDKs and MCP take a second to import: nothing does that before an agent thinks with a model."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..process.daemon import ROOT, environment

HEAVY = ("pydantic_ai", "openai", "mcp", "genai_prices", "httpx2")
TELL = f"""
import sys
print("imported:", *[name for name in {HEAVY!r} if name in sys.modules])
"""

DECLARING = """
from flockd import Flock
from pydantic import BaseModel

class Text(BaseModel):
    text: str

class Verdict(BaseModel):
    sentiment: str

flock = Flock("openai:gpt-4.1")

@flock.agent
async def plain(text: Text) -> Verdict:
    return Verdict(sentiment="good")
"""

AN_LLM_AGENT = """
flock.llm_agent("reader", consumes=Verdict, publishes=Text, tools=[])
"""

SERVING = """
import asyncio
from aiohttp.test_utils import TestClient, TestServer
from flockd.app import make_app
from flockd.config import Config

async def serve():
    app = make_app(Config.model_validate({"store": {"data_dir": "data"}}), flock)
    async with TestClient(TestServer(app)) as client:
        body = {"type": "Text", "payload": {"text": "x"}}
        async with client.post("/api/v1/artifacts/sync", json=body) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["artifacts"][-1]["type"] == "Verdict"

asyncio.run(serve())
"""

CHECKING = """
from click.testing import CliRunner
from flockd.cli import main

checked = CliRunner().invoke(main, ["check", "declared:flock"])
assert checked.exit_code == 0, checked.output
assert "reader" in checked.output
"""


THINKING = """
import asyncio, threading

importing = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        importing.append((name, threading.current_thread() is threading.main_thread()))

sys.meta_path.insert(0, Watch())

from flockd.engines.outside import LlmDefaults, Outside
from flockd.errors import AgentFailed
from tests.engines.attempts import Attempt, artifact
from tests.engines.verdicts import reader, work

async def main():
    importing.clear()
    async with Outside(LlmDefaults(model="tiny", base_url="http://127.0.0.1:1/v1", retries=0)) as outside:
        try:
            await work(reader(), Attempt(outside, artifact("Text", {})))
        except AgentFailed as failed:
            assert "could not be reached" in failed.message, failed

asyncio.run(main())
heavy = ("pydantic_ai", "openai", "httpx2", "genai_prices")
on_the_loop = [name for name, main in importing if main and name.partition(".")[0] in heavy]
assert [name for name, _ in importing if name in heavy], "nothing was imported"
print("on the loop:", *on_the_loop)
"""


def test_what_is_heavy_is_imported_in_a_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + THINKING],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "on the loop:"


@pytest.mark.parametrize(
    "program",
    [
        "import flockd",
        "import flockd.app, flockd.testing",
        DECLARING + SERVING,
        DECLARING + AN_LLM_AGENT,
        CHECKING,
    ],
    ids=["import", "the daemon", "serving functions", "declaring an agent", "check"],
)
def test_nothing_heavy_is_imported(program: str, tmp_path: Path) -> None:
    (tmp_path / "declared.py").write_text(DECLARING + AN_LLM_AGENT)
    done = subprocess.run(
        [sys.executable, "-c", program + TELL],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:", done.stdout


def test_the_names_are_those_that_are_imported() -> None:
    """What the other tests look for in vain is what an agent that thinks does import."""
    program = (
        "import flockd.engines.llm.thinker, flockd.engines.llm.price, pydantic_ai.models.openai, mcp" + TELL
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stdout.splitlines()[-1] == f"imported: {' '.join(HEAVY)}"
