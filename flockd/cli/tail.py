"""`flockd tail`: the log as it grows, or one workflow to its end, over any number of lost connections."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click
import orjson

from flockd.cli.daemon import Daemon, Unreachable, connect
from flockd.cli.event_lines import JsonLines, Lines, Printer
from flockd.cli.options import daemon_options, json_option
from flockd.cli.sse import Block, BlockParser

SILENCE_SECONDS = 90.0
"""A connection without even a heartbeat for this long is dead, whatever the system says of it."""

RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0

_INTERRUPTED = 130
"""The exit code of what SIGINT ended, as shells have it."""

_FILTERS = ("kind", "agent", "correlation_id", "type", "produced_by", "tag", "partition_key", "where")


@click.command()
@click.argument("workflow", required=False, metavar="[WORKFLOW]")
@click.option("--kind", multiple=True, help="Only events of this kind, as run.completed.")
@click.option("--agent", multiple=True, metavar="NAME", help="Only events of this agent.")
@click.option("--correlation-id", multiple=True, metavar="UUID", help="Only events of this workflow.")
@click.option("--type", multiple=True, help="Only events with an artifact of this type.")
@click.option("--produced-by", multiple=True, metavar="NAME", help="… with an artifact of this producer.")
@click.option("--tag", multiple=True, help="… with an artifact that has this tag (of several: all of them).")
@click.option("--partition-key", multiple=True, metavar="KEY", help="… with an artifact of this partition.")
@click.option(
    "--where",
    multiple=True,
    metavar="EXPRESSION",
    help="… with an artifact whose payload is so: \"severity == 'high'\".",
)
@click.option(
    "--after", type=click.IntRange(0), metavar="SEQ", help="Start behind this event instead of now."
)
@click.option("--from-start", is_flag=True, help="Start at the beginning of the log instead of now.")
@daemon_options
@json_option
def tail(
    workflow: str | None,
    after: int | None,
    from_start: bool,
    url: str,
    as_json: bool,
    **filters: Sequence[str],
) -> None:
    """Print events as they happen, one a line, until Ctrl-C. Resumes by itself, without a gap or a repeat.

    With WORKFLOW (a correlation id): that one from its beginning to its end. Exits with 0 if it completed, with 1 if
    it failed or was cancelled.

    Filters are combined and may be repeated, for any of their values. What agents write while they run is shown line
    by line.
    """
    if from_start and after is not None:
        raise click.UsageError("--after and --from-start exclude each other.")
    if workflow is not None and filters["correlation_id"]:
        raise click.UsageError("WORKFLOW and --correlation-id exclude each other.")
    query = [(name, value) for name in _FILTERS for value in filters[name]]
    start = [] if after is None else [("after", str(after))]
    if from_start and workflow is None:  # a workflow's stream begins there by itself
        start = [("from", "start")]
    printer = JsonLines() if as_json else Lines()
    try:
        state = asyncio.run(_tail(url, Follower(query, start, printer, workflow)))
    except KeyboardInterrupt:
        if workflow is None:
            return
        raise click.exceptions.Exit(_INTERRUPTED) from None  # it is not known to have completed
    except ReaderLeftError:
        raise BrokenPipeError(errno.EPIPE, "nobody reads what is printed") from None  # click leaves quietly
    finally:
        with suppress(BrokenPipeError):
            printer.close()
    if state != "completed":
        raise click.exceptions.Exit(1)


class ReaderLeftError(Exception):
    """Whoever read standard output has left. Not an OSError: those are taken for a lost daemon."""


async def _tail(url: str, follower: Follower) -> str:
    async with connect(url) as daemon:
        following = asyncio.create_task(follower.follow(daemon), name="tail")
        with _reader_watched() as left:
            await asyncio.wait((following, left), return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            return following.result()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        raise ReaderLeftError


@contextmanager
def _reader_watched() -> Iterator[asyncio.Future[None]]:
    """Done when the reader of a pipe has left. Otherwise that shows only at the next event, which may be far."""
    loop = asyncio.get_running_loop()
    left: asyncio.Future[None] = loop.create_future()
    try:
        output = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(output).st_mode)
    except (OSError, ValueError):  # standard output is no file, as in tests
        is_pipe = False
    if not is_pipe:
        yield left
        return

    def leave() -> None:
        loop.remove_reader(output)
        left.set_result(None)

    # Nothing ever comes back through a pipe that is written to: it becomes readable by its end alone.
    loop.add_reader(output, leave)
    try:
        yield left
    finally:
        loop.remove_reader(output)


class Follower:
    """Reads the log of a daemon, or one workflow's part of it, and prints it; knows how far it came."""

    def __init__(
        self,
        filters: list[tuple[str, str]],
        start: list[tuple[str, str]],
        printer: Printer,
        workflow: str | None = None,
    ) -> None:
        self._path = "/api/v1/events" if workflow is None else f"/api/v1/correlations/{workflow}/events"
        self._filters = filters
        self._start = start
        self._printer = printer
        self._workflow = workflow
        self._position: str | None = None
        self._failures = 0
        self._connected = False

    async def follow(self, daemon: Daemon) -> str:
        """Print events for as long as there is somebody to stop it, or to a workflow's end: its state then.

        Raises:
            DaemonError: the daemon refuses the filter or the start, or was not there at the first try.
            ReaderLeftError: nobody reads what is printed.
        """
        while True:
            try:
                state = await self._read(daemon)
                if state is not None:
                    return state
            except Unreachable as lost:
                if not self._connected:
                    raise
                if self._failures == 0:
                    self._printer.notice(f"{lost.message} Reconnecting.")
            self._failures += 1
            wait = min(RETRY_BASE_SECONDS * 2**self._failures, RETRY_MAX_SECONDS)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _read(self, daemon: Daemon) -> str | None:
        """One connection, from the position on, to its end; the state of a workflow that has ended."""
        headers = {"Accept": "text/event-stream"}
        query = self._filters if self._position is not None else self._filters + self._start
        if self._position is not None:
            headers["Last-Event-ID"] = self._position
        parser = BlockParser()
        async with daemon.stream(
            "GET", self._path, query=query, headers=headers, silence_seconds=SILENCE_SECONDS
        ) as response:
            self._connected = True
            async for chunk in response.content.iter_any():
                for block in parser.feed(chunk):
                    self._take(block)
        if self._workflow is None:
            raise Unreachable("The stream ended.")
        # A stream ends after the workflow's last event, and with the daemon: the workflow itself says which it was.
        status = await daemon.get(f"/api/v1/correlations/{self._workflow}/status")
        return None if status["state"] == "active" else str(status["state"])

    def _take(self, block: Block) -> None:
        if block.data is not None:
            try:
                self._print(block.event, block.data)
            except BrokenPipeError:
                raise ReaderLeftError from None
        # Only after it was printed: what a broken pipe swallowed would otherwise count as seen.
        self._position = block.id or self._position

    def _print(self, kind: str, raw: str) -> None:
        self._failures = 0
        event = orjson.loads(raw)
        match kind:
            case "hello":
                self._position = str(event["data"]["position"])
            case "gap":
                self._position = str(event["data"]["position"])
                self._printer.gap(event, raw)
            case "goodbye":
                self._printer.notice("The daemon is ending.")
            case _:
                self._printer.event(event, raw)
