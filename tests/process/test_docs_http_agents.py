"""The examples of docs/http-agents.md: the service runs, the daemon has it as its agent, and both say what is shown."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flockd.domain.artifact import Artifact
from flockd.engines.http.engine import SENDINGS
from flockd.engines.signing import signed_headers

from .client import Client
from .daemon import ROOT, Daemon

PAGE = (ROOT / "docs" / "http-agents.md").read_text("utf-8")
PORT = "9000"


def block(language: str) -> str:
    """The only block of code that is exactly of this language."""
    (found,) = re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[str]:
    """The port of the service, which is the page's own program."""
    program = tmp_path / "service.py"
    program.write_text(block("python service.py"), "utf-8")
    service = await asyncio.create_subprocess_exec(
        sys.executable, str(program), "0",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert service.stdout is not None
    async with asyncio.timeout(30):
        said = (await service.stdout.readline()).decode()
    yield said.removeprefix("prices on port ").strip()
    service.kill()
    await service.communicate()


@pytest.mark.timeout(120)
async def test_the_service_is_an_agent(daemon: Daemon, client: Client, port: str) -> None:
    (daemon.folder / "config.toml").write_text(block("toml").replace(PORT, port), "utf-8")
    await daemon.start()
    code, printed = await daemon.command(
        "publish", "PricerInput", "--set", "item=pen", "--wait", "--url", daemon.url
    )
    assert code == 0, printed
    (price,) = await client.artifacts(type="PricerOutput")
    assert (price["payload"], price["produced_by"]) == ({"price": 2.5}, "pricer")
    code, printed = await daemon.command("check", "--config", "config.toml")
    assert code == 0
    assert "pricer" in printed


def test_the_request_has_the_fields_that_are_shown() -> None:
    shown: dict[str, Any] = json.loads(block("json"))
    assert list(shown) == ["agent", "run_id", "correlation_id", "attempt", "inputs"]
    (artifact,) = shown["inputs"]
    sent = Artifact(2, "id", "PricerInput", b"{}", "external", "id", 0).document()
    assert list(artifact) == list(sent)


def test_the_flock_of_the_page_is_declared() -> None:
    program: dict[str, Any] = {}
    exec(block("python"), program)
    program["flock"].validate()
    agent = program["flock"].agents()["pricer"]
    assert (agent.kind, agent.subscription.types, agent.outputs) == ("http", ("Order",), ("Price",))


def test_the_verifying_example_verifies() -> None:
    program: dict[str, Any] = {}
    exec(block("python verify.py"), program)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(secret, "run-1", int(time.time()), b'{"agent":"pricer"}')
    assert program["run_of"](b'{"agent":"pricer"}', headers, secret) == {"agent": "pricer"}


def test_the_number_of_sendings_is_told() -> None:
    assert f"at most {SENDINGS} times" in PAGE
