"""`flockd run`: one agent, once, on one input."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import click

from flockd.cli.daemon import ANSWER_SECONDS, Daemon, DaemonError, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.payload import build_payload, payload_options
from flockd.cli.publish import PRIORITIES
from flockd.cli.show import print_artifacts, print_json
from flockd.domain.names import fold


@click.command()
@click.argument("agent")
@payload_options
@click.option(
    "--type",
    "type_name",
    metavar="TYPE",
    help="The input's type. Default: the only one that the agent takes.",
)
@click.option("--cascade", is_flag=True, help="What it publishes wakes other agents, too.")
@click.option("--correlation-id", metavar="UUID", help="The workflow that it belongs to. Default: a new one.")
@click.option("--priority", type=PRIORITIES)
@click.option(
    "--key", metavar="TEXT", help="An idempotency key: the same call with the same key has one effect."
)
@click.option(
    "--timeout", default=300.0, show_default=True, metavar="SECONDS", help="How long to wait for it."
)
@daemon_options
@json_option
def run(
    agent: str,
    data: str | None,
    settings: tuple[str, ...],
    type_name: str | None,
    cascade: bool,
    correlation_id: str | None,
    priority: str | None,
    key: str | None,
    timeout: float,
    url: str,
    as_json: bool,
) -> None:
    """Run AGENT alone on one input and print what it published.

    \b
    flockd run text_analyzer --set text="What a fine day."
    """
    given = {"correlation_id": correlation_id, "priority": priority, "cascade": cascade}
    body = {"timeout": timeout, **{name: value for name, value in given.items() if value}}
    answer = asyncio.run(_run(url, agent, type_name, data, settings, body, key))
    if as_json:
        print_json(answer)
    else:
        print_artifacts(answer["artifacts"])
        click.echo(f"run {answer['run_id']}, correlation {answer['correlation_id']}")


async def _run(
    url: str,
    agent: str,
    type_name: str | None,
    data: str | None,
    settings: tuple[str, ...],
    body: dict[str, Any],
    key: str | None,
) -> Any:
    async with connect(url) as daemon:
        input_types = [type_name] if type_name else await _only_types(daemon, agent)
        body["inputs"] = [
            {"type": name, "payload": await build_payload(daemon, name, data, settings)}
            for name in input_types
        ]
        return await daemon.post(
            f"/api/v1/agents/{quote(agent, safe='')}/run",
            body,
            headers={"X-Idempotency-Key": key} if key else {},
            timeout_seconds=body["timeout"] + ANSWER_SECONDS,
        )


async def _only_types(daemon: Daemon, name: str) -> list[str]:
    """The one type that the agent subscribes to, if any. Raises DaemonError for several, or no such agent."""
    agents = (await daemon.get("/api/v1/agents"))["agents"]
    found = next((agent for agent in agents if fold(agent["name"]) == fold(name)), None)
    if found is None:
        raise DaemonError(f"Agent not found: {name}")
    types = list(
        dict.fromkeys(taken for subscription in found["subscriptions"] for taken in subscription["types"])
    )
    if len(types) > 1:
        raise DaemonError(f"{name} takes {', '.join(types)}: say which with --type.")
    return types
