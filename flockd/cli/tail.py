"""`flockd tail`: the log as it grows, over any number of lost connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import click
import orjson

from flockd.cli.daemon import Daemon, Unreachable, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.show import error_text
from flockd.cli.sse import Block, BlockParser

SILENCE_SECONDS = 90.0
"""A connection without even a heartbeat for this long is dead, whatever the system says of it."""

RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0
TEXT_CHARS = 120


@click.command()
@click.option(
    "--kind", "kinds", multiple=True, help="Only events of this kind, as run.completed; may be repeated."
)
@click.option(
    "--type", "types", multiple=True, help="Only events with an artifact of this type; may be repeated."
)
@click.option(
    "--correlation-id", "correlation_ids", multiple=True, metavar="UUID", help="Only events of this workflow."
)
@click.option(
    "--after", type=click.IntRange(0), metavar="SEQ", help="Start behind this event instead of now."
)
@click.option("--from-start", is_flag=True, help="Start at the beginning of the log instead of now.")
@daemon_options
@json_option
def tail(
    kinds: tuple[str, ...],
    types: tuple[str, ...],
    correlation_ids: tuple[str, ...],
    after: int | None,
    from_start: bool,
    url: str,
    as_json: bool,
) -> None:
    """Print events as they happen, one a line, until Ctrl-C. Resumes by itself, without a gap or a repeat."""
    if from_start and after is not None:
        raise click.UsageError("--after and --from-start exclude each other.")
    filters = [("kind", kind) for kind in kinds] + [("type", name) for name in types]
    filters += [("correlation_id", correlation_id) for correlation_id in correlation_ids]
    start = [("from", "start")] if from_start else [("after", str(after))] if after is not None else []
    try:
        asyncio.run(_tail(url, Follower(filters, start, as_json)))
    except KeyboardInterrupt:
        return


async def _tail(url: str, follower: Follower) -> None:
    async with connect(url) as daemon:
        await follower.follow(daemon)


class Follower:
    """Reads the log of a daemon and prints it; knows how far it came."""

    def __init__(self, filters: list[tuple[str, str]], start: list[tuple[str, str]], as_json: bool) -> None:
        self._filters = filters
        self._start = start
        self._as_json = as_json
        self._position: str | None = None
        self._failures = 0
        self._connected = False

    async def follow(self, daemon: Daemon) -> None:
        """Print events for as long as there is somebody to stop it.

        Raises:
            DaemonError: the daemon refuses the filter or the start, or was not there at the first try.
        """
        while True:
            try:
                await self._read(daemon)
            except Unreachable as lost:
                if not self._connected:
                    raise
                if self._failures == 0:
                    click.echo(f"{lost.message} Reconnecting.", err=True)
            self._failures += 1
            wait = min(RETRY_BASE_SECONDS * 2**self._failures, RETRY_MAX_SECONDS)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _read(self, daemon: Daemon) -> None:
        """One connection, from the position on, to its end."""
        headers = {"Accept": "text/event-stream"}
        query = self._filters if self._position is not None else self._filters + self._start
        if self._position is not None:
            headers["Last-Event-ID"] = self._position
        parser = BlockParser()
        async with daemon.stream(
            "GET", "/api/v1/events", query=query, headers=headers, silence_seconds=SILENCE_SECONDS
        ) as response:
            self._connected = True
            async for chunk in response.content.iter_any():
                for block in parser.feed(chunk):
                    self._take(block)
        raise Unreachable("The stream ended.")

    def _take(self, block: Block) -> None:
        if block.data is not None:
            self._show(block, orjson.loads(block.data))
        # Only after it was printed: what a broken pipe swallowed would otherwise count as seen.
        self._position = block.id or self._position

    def _show(self, block: Block, event: dict[str, Any]) -> None:
        self._failures = 0
        if block.event in ("hello", "gap"):
            self._position = str(event["data"]["position"])
        if block.event == "gap":
            click.echo(
                f"Events are missing: the log is complete from {event['data']['complete_from']} on.", err=True
            )
        elif block.event == "goodbye":
            click.echo("The daemon is ending.", err=True)
        if self._as_json and block.data is not None and block.event not in ("hello", "goodbye"):
            click.echo(block.data)
        elif block.event not in ("hello", "gap", "goodbye"):
            click.secho(event_line(event), bold=block.event == "artifact.published" or None)


def event_line(event: Mapping[str, Any]) -> str:
    """One event as a line: time, seq, kind, who, and what matters of its kind."""
    at = str(event["at"] or "").partition("T")[2].removesuffix("Z")
    seq = f"#{event['seq']}" if event.get("seq") is not None else ""
    kind = str(event["kind"])
    words = [at, f"{seq:>7}", f"{kind:<22}"]
    artifact = event.get("artifact")
    if artifact is not None:
        words.append(f"{artifact['type']} by {artifact['produced_by']} ({artifact['id']})")
    elif event.get("agent"):
        words.append(str(event["agent"]))
    if kind.startswith("correlation."):
        words.append(str(event["correlation_id"]))
    words += _details(event.get("data") or {})
    return "  ".join(words).rstrip()


def _details(data: Mapping[str, Any]) -> list[str]:
    """The parts of an event's data that say something to people."""
    words = []
    if data.get("attempt", 1) > 1:
        words.append(f"attempt {data['attempt']}")
    if data.get("fraction") is not None:
        words.append(f"{data['fraction']:.0%}")
    words += [str(data[name]) for name in ("phase", "message", "reason") if data.get(name)]
    if data.get("error"):
        words.append(_clip(error_text(data["error"])))
    if data.get("text"):
        words.append(_clip(str(data["text"])))
    if data.get("duration_ms") is not None:
        words.append(f"{data['duration_ms']} ms")
    return words


def _clip(text: str) -> str:
    """A text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"
