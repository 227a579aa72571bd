"""`flockd status`: the daemon at a glance, or one workflow."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import click

from flockd.cli.daemon import Daemon, DaemonError, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.show import print_json, readable

TOTALS = {
    "correlations": ("/api/v1/correlations", []),
    "active correlations": ("/api/v1/correlations", [("state", "active")]),
    "runs": ("/api/v1/runs", []),
    "dead runs": ("/api/v1/runs", [("state", "dead")]),
}
"""What is counted beside the artifacts: the list whose total it is, and its filter."""


@click.command()
@click.argument("correlation_id", required=False)
@daemon_options
@json_option
def status(correlation_id: str | None, url: str, as_json: bool) -> None:
    """Show the daemon, or the workflow CORRELATION_ID."""
    if correlation_id is None:
        overview = asyncio.run(_overview(url))
        print_json(overview) if as_json else _print_overview(overview)
        return
    answer = asyncio.run(_correlation(url, correlation_id))
    if as_json:
        print_json(answer)
    else:
        click.echo("\n".join(readable({name: value for name, value in answer.items() if value is not None})))


async def _correlation(url: str, correlation_id: str) -> dict[str, Any]:
    async with connect(url) as daemon:
        answer: dict[str, Any] = await daemon.get(
            f"/api/v1/correlations/{quote(correlation_id, safe='')}/status"
        )
    if answer["state"] == "not_found":
        raise DaemonError(f"There is no correlation {correlation_id}.")
    return answer


async def _overview(url: str) -> dict[str, Any]:
    async with connect(url) as daemon:
        health = await daemon.get("/health")
        ready = await _ready(daemon)
        agents = (await daemon.get("/api/v1/agents"))["agents"]
        summary = (await daemon.get("/api/v1/artifacts/summary"))["summary"]
        totals = {"artifacts": summary["total_count"]}
        for name, (path, query) in TOTALS.items():
            totals[name] = (await daemon.get(path, [*query, ("limit", "1")]))["total"]
    return {"url": url, "health": health["status"], "ready": ready, "agents": agents, "totals": totals}


async def _ready(daemon: Daemon) -> str:
    """`yes`, or the daemon's reason why not."""
    try:
        await daemon.get("/ready")
    except DaemonError as error:
        return f"no: {error.message}"
    return "yes"


def _print_overview(overview: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    click.echo(f"{overview['url']}  health: {overview['health']}  ready: {overview['ready']}")
    click.echo("  ".join(f"{name}: {total}" for name, total in overview["totals"].items()))
    counts = [Column(heading, justify="right", no_wrap=True) for heading in ("running", "queued")]
    table = Table(Column("agent", no_wrap=True), "status", *counts, Column("wakes on", no_wrap=True))
    for agent in overview["agents"]:
        wakes = [
            (" and\n" if taken["mode"] == "all" else " or\n").join(taken["types"])
            for taken in agent["subscriptions"]
        ]
        words = (
            agent["name"],
            agent["status"],
            str(agent["running"]),
            str(agent["queued"]),
            "\n".join(wakes),
        )
        table.add_row(*map(Text, words))
    Console().print(table)
