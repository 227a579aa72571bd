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
