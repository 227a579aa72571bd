"""`flockd retry`: dead runs start again, a page in each transaction, until none of those that were meant is left."""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections.abc import Sequence
from typing import Any

import click

from flockd.cli.daemon import Daemon, Unreachable, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.progress import Progress, show_progress
from flockd.cli.show import print_json

PAGE = 100
"""Runs of one request, which share a transaction: small enough that others get their turn."""
RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0


@click.command(short_help="Start dead runs again.")
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option("--agent", help="The dead runs of this agent.")
@click.option("--correlation-id", "--correlation", metavar="UUID", help="Those of this workflow.")
@click.option("--error", metavar="CODE", help="Those whose error has this code, as AGENT_FAILED.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@daemon_options
@json_option
def retry(
    run_ids: tuple[str, ...],
    agent: str | None,
    correlation_id: str | None,
    error: str | None,
    everything: bool,
    url: str,
    as_json: bool,
) -> None:
    """Start the dead runs RUN_ID again, or all those that fit the options.

    \b
    flockd retry 0199c0de-0000-7000-8000-000000000000
    flockd retry --agent reviewer --error AGENT_FAILED

    Each keeps its id and gets fresh retries. One that dies again meanwhile is left alone. Runs of cancelled
    workflows stay dead. The exit code is 1 if one that was named cannot start again.
    """
    given = {"agent": agent, "correlation_id": correlation_id, "error": error}
    filters = {name: value for name, value in given.items() if value is not None}
    if sum((bool(run_ids), bool(filters), everything)) != 1:
        raise click.UsageError("Say which: RUN_IDs, or --agent, --correlation-id and --error, or --all.")
    work = Redrive()
    asyncio.run(work.named(url, run_ids) if run_ids else work.fitting(url, filters))
    if as_json:
        print_json({"retried": work.retried, "refused": work.refused})
    else:
        for one in work.refused:
            click.secho(f"{one['run_id']}: {one['message']}", fg="red", err=True)
        click.echo("1 run starts again." if work.retried == 1 else f"{work.retried} runs start again.")
    if work.refused:
        sys.exit(1)


class Redrive:
    """What one call of the verb has done so far."""

    def __init__(self) -> None:
        self.retried = 0
        self.refused: list[dict[str, Any]] = []

    async def named(self, url: str, run_ids: Sequence[str]) -> None:
        """Start these again. Raises DaemonError."""
        async with connect(url) as daemon:
            with show_progress("runs") as progress:
                for start in range(0, len(run_ids), PAGE):
                    page = run_ids[start : start + PAGE]
                    await self._page(daemon, progress, {"run_ids": page}, is_first=start == 0)
                    progress.show(start + len(page), len(run_ids), len(self.refused))

    async def fitting(self, url: str, filters: dict[str, str]) -> None:
        """Start again what is dead now and fits. Raises DaemonError."""
        body: dict[str, Any] = {**filters, "limit": PAGE}
        async with connect(url) as daemon:
            with show_progress("runs") as progress:
                while True:
                    answer = await self._page(daemon, progress, body, is_first="died_before" not in body)
                    progress.show(self.retried, self.retried + answer["remaining"])
                    if not answer["remaining"]:
                        return
                    body["died_before"] = answer["died_before"]

    async def _page(self, daemon: Daemon, progress: Progress, body: object, *, is_first: bool) -> Any:
        """One request, once: past the first one, a daemon that restarts or has too much to do is waited for."""
        headers = {"X-Idempotency-Key": str(uuid.uuid4())}
        failures = 0
        while True:
            try:
                answer = await daemon.post("/api/v1/runs/retry", body, headers=headers)
            except Unreachable as lost:
                if is_first:
                    raise
                if failures == 0:
                    progress.say(f"{lost.message} Trying again.")
            else:
                self.retried += answer["retried"]
                self.refused += answer["refused"]
                return answer
            failures += 1
            wait = min(RETRY_BASE_SECONDS * 2**failures, RETRY_MAX_SECONDS)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
