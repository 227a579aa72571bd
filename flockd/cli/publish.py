"""`flockd publish`: one artifact onto the board, and what agents make of it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from flockd.cli.daemon import ANSWER_SECONDS, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.payload import build_payload, payload_options
from flockd.cli.show import error_text, print_artifacts, print_json

PRIORITIES = click.Choice(["low", "normal", "high", "critical"])


@click.command()
@click.argument("type_name", metavar="TYPE")
@payload_options
@click.option("--tag", "tags", multiple=True, help="A tag of the artifact; may be repeated.")
@click.option("--correlation-id", metavar="UUID", help="The workflow that it belongs to. Default: a new one.")
@click.option("--priority", type=PRIORITIES, help="Of everything that grows from it.")
@click.option(
    "--key", metavar="TEXT", help="An idempotency key: the same call with the same key has one effect."
)
@click.option("--wait", is_flag=True, help="Wait for the workflow and print what the agents published.")
@click.option("--timeout", default=30.0, show_default=True, metavar="SECONDS", help="How long --wait waits.")
@daemon_options
@json_option
def publish(
    type_name: str,
    data: str | None,
    settings: tuple[str, ...],
    tags: tuple[str, ...],
    correlation_id: str | None,
    priority: str | None,
    key: str | None,
    wait: bool,
    timeout: float,
    url: str,
    as_json: bool,
) -> None:
    """Publish an artifact of TYPE.

    \b
    flockd publish CodeSubmission --set code=@some.py --wait

    With --wait the exit code is 1 if the workflow failed or is not done in time.
    """
    given = {"tags": list(tags), "correlation_id": correlation_id, "priority": priority}
    body = {"type": type_name, **{name: value for name, value in given.items() if value}}
    answer = asyncio.run(_publish(url, body, data, settings, key, timeout if wait else None))
    if as_json:
        print_json(answer)
    elif wait:
        _print_outcome(answer)
        if answer["state"] == "failed" and not answer["errors"]:
            click.secho(asyncio.run(_why_failed(url, answer["correlation_id"])), fg="red", err=True)
    else:
        click.echo(f"accepted {answer['artifact_id']} (seq {answer['seq']})")
        click.echo(f"flockd status {answer['correlation_id']}")
    if wait and (not answer["completed"] or answer["state"] == "failed"):
        sys.exit(1)


async def _publish(
    url: str,
    body: dict[str, Any],
    data: str | None,
    settings: tuple[str, ...],
    key: str | None,
    wait_seconds: float | None,
) -> Any:
    headers = {"X-Idempotency-Key": key} if key else {}
    async with connect(url) as daemon:
        body["payload"] = await build_payload(daemon, body["type"], data, settings)
        if wait_seconds is None:
            return await daemon.post("/api/v1/artifacts", body, headers=headers)
        body["timeout"] = wait_seconds
        limit = wait_seconds + ANSWER_SECONDS
        return await daemon.post("/api/v1/artifacts/sync", body, headers=headers, timeout_seconds=limit)


async def _why_failed(url: str, correlation_id: str) -> str:
    """Why a workflow failed of which no agent did: a limit ended it, or somebody cancelled it."""
    async with connect(url) as daemon:
        status = await daemon.get(f"/api/v1/correlations/{correlation_id}/status")
    return "It was cancelled." if status["outcome"] == "cancelled" else str(status["reason"])


def _print_outcome(answer: dict[str, Any]) -> None:
    print_artifacts(answer["artifacts"])
    for failure in answer["errors"]:
        click.secho(f"{failure['agent']} failed: {error_text(failure['error'])}", fg="red", err=True)
    if answer["completed"]:
        click.echo(f"{answer['state']} in {answer['duration_ms']} ms, correlation {answer['correlation_id']}")
    else:
        click.echo(
            f"Not done after {answer['duration_ms']} ms; the work goes on: "
            f"flockd status {answer['correlation_id']}",
            err=True,
        )
