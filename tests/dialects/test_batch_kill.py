"""A batch of ten thousand items under SIGKILL: it goes on, in order, with each item once on the board."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.process.client import Client, Json
from tests.process.daemon import FLOCKD, Daemon, environment

ITEMS = 10_000
KILLS_AT = (1_500, 4_000, 7_000)
"""Items that have ended when the process is killed."""
WIDTH = 40
SETTINGS = {"FLOCKD_BATCH__DIR": "."}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    await daemon.close()
    print(daemon.output)


@pytest.mark.timeout(300)
async def test_ten_thousand_items_and_three_kills(daemon: Daemon, tmp_path: Path) -> None:
    await daemon.start(settings=SETTINGS)
    async with Client(daemon) as client:
        body = {
            "agent_name": "persuader",
            "batch_inputs": "n,failures\n" + "".join(f"{n},0\n" for n in range(ITEMS)),
            "max_workers": WIDTH,
            "write_to_csv": "out.csv",
        }
        batch = (await client.request("POST", "/run/batch", body)).accepted()
        assert (batch["total_items"], batch["results"]) == (ITEMS, [None] * ITEMS)
        for at in KILLS_AT:
            before = await until_completed(client, batch, at)
            await daemon.kill()
            await daemon.start(settings=SETTINGS)
            after = await client.get(f"/batch/{batch['batch_id']}", results="false")
            assert after["completed_items"] >= before["completed_items"]
            assert after["started_at"] == batch["started_at"]
        end = await until_completed(client, batch, ITEMS)
        assert (end["status"], end["failed_items"], end["error"]) == ("completed", 0, None)
        whole = await client.get(f"/batch/{batch['batch_id']}")
        assert [one["n"] for one in whole["results"]] == list(range(ITEMS))
        for kind in ("Stubborn", "Persuaded"):
            artifacts = await client.artifacts(type=kind)
            assert Counter(one["payload"]["n"] for one in artifacts) == Counter(range(ITEMS))
        children = await client.get("/api/v1/correlations", dialect="runs", limit="1")
        assert children["total"] == ITEMS
        await until_written(tmp_path / "out.csv", daemon)
        await daemon.verify()


async def test_the_command_line_follows_over_a_kill(daemon: Daemon, tmp_path: Path) -> None:
    await daemon.start(settings=SETTINGS)
    port = daemon.url.rpartition(":")[2]
    rows = 2_000
    (tmp_path / "in.csv").write_text("number\n" + "".join(f"{n}\n" for n in range(rows)))
    options = ("--map", "number=n", "--static", "failures=0", "--output", "out.json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *FLOCKD, "batch", "in.csv", "--agent", "persuader", "--url", daemon.url, *options),
        cwd=tmp_path,
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b" items" not in await process.stderr.readline():
            pass
        await daemon.kill()
        await daemon.start("--port", port, settings=SETTINGS)
        rest = await process.stderr.read()
        assert await process.wait() == 0, rest.decode()
    assert b"Trying again." in rest
    assert f"completed: {rows} of {rows} items".encode() in rest
    results = json.loads((tmp_path / "out.json").read_bytes())
    assert [one["n"] for one in results] == list(range(rows))
    await daemon.verify()


async def until_completed(client: Client, batch: Json, items: int) -> Json:
    """The batch when so many items have ended. Each look is a request."""
    async with asyncio.timeout(120):
        while True:
            now = await client.get(f"/batch/{batch['batch_id']}", results="false")
            if now["completed_items"] >= items:
                return now


async def until_written(file: Path, daemon: Daemon) -> None:
    """The file of results is whole as soon as it is there."""
    await daemon.printed("its results are in")
    lines = file.read_text().splitlines()  # noqa: ASYNC240 - of a test
    assert lines == ["n,attempt", *(line for line in lines[1:])]
    assert [int(line.partition(",")[0]) for line in lines[1:]] == list(range(ITEMS))
