"""`flockd batch`: one agent on every row of a CSV file, with its progress and its results."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import random
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import click
import orjson

from flockd.cli.daemon import Daemon, Unreachable, connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.payload import is_text
from flockd.cli.progress import Progress, show_progress
from flockd.cli.show import print_json
from flockd.domain.names import fold
from flockd.domain.result_table import ResultTable

POLL_SECONDS = 0.5
RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0
SEND_SECONDS = 300.0
"""How long the daemon may take to store a batch, or to send its results."""
ERRORS_SHOWN = 5
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


@click.command(short_help="Run an agent on every row of a CSV file.")
@click.argument("file", required=False, metavar="[FILE.csv|-]")
@click.option("--agent", help="The agent that gets the rows.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="A column whose name is not that of its input field; may be repeated.",
)
@click.option(
    "--static",
    multiple=True,
    metavar="FIELD=VALUE",
    help="An input field of every row that does not give it; may be repeated.",
)
@click.option("--max-workers", type=click.IntRange(1), default=5, show_default=True, help="Rows at a time.")
@click.option("--sequential", is_flag=True, help="One row at a time.")
@click.option(
    "--output", default="-", metavar="FILE|-", help="Where the results go. Default: standard output."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    help="Of the results. Default: json for a FILE.json, else csv.",
)
@click.option(
    "--key", metavar="TEXT", help="An idempotency key: the same call with the same key is the same batch."
)
@click.option("--follow", metavar="BATCH_ID", help="Follow a batch that was started before.")
@click.option("--cancel", metavar="BATCH_ID", help="End a batch; the rows that are done keep their results.")
@daemon_options
@json_option
def batch(
    file: str | None,
    agent: str | None,
    mapping: tuple[str, ...],
    static: tuple[str, ...],
    max_workers: int,
    sequential: bool,
    output: str,
    form: Literal["csv", "json"] | None,
    key: str | None,
    follow: str | None,
    cancel: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Run an agent, and what it sets off, on every row of FILE.csv, and write the results in their order.

    \b
    flockd batch texts.csv --agent text_analyzer --output results.csv
    flockd batch texts.csv --agent text_analyzer --map body=text --max-workers 20

    The columns are input fields of the agent. A result is the last artifact that a row's workflow made; a row that
    failed has its error. The exit code is 1 if any did. Ctrl-C leaves the batch running: --follow takes it up
    again, also after a restart of the daemon. With --json the whole batch is printed as JSON.
    """
    if sum(given is not None for given in (file, follow, cancel)) != 1:
        raise click.UsageError("Give one of FILE.csv, --follow and --cancel.")
    if cancel is not None:
        answer = asyncio.run(_cancel(url, cancel))
        print_json(answer) if as_json else click.echo(_summary(answer))
        return
    work = Work(follow)
    try:
        if file is not None:
            if agent is None:
                raise click.UsageError("Name the agent with --agent.")
            body = {
                "agent_name": agent,
                "batch_inputs": _read(file),
                "input_mapping": dict(_pairs(mapping, "--map")),
                "static_inputs": dict(_pairs(static, "--static")),
                "parallel": not sequential,
                "max_workers": max_workers,
                "return_errors": True,
            }
            answer = asyncio.run(work.start_and_follow(url, body, key))
        else:
            answer = asyncio.run(work.follow(url))
    except KeyboardInterrupt:
        click.echo(_goes_on(work.batch_id), err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        print_json(answer)
    if not as_json or output != "-":
        _write(output, _results(answer["results"], form or _form_of(output)))
    _print_outcome(answer)
    if answer["status"] == "failed" or answer["failed_items"]:
        sys.exit(1)


class Work:
    """One batch and how far this client is with it."""

    def __init__(self, batch_id: str | None) -> None:
        self.batch_id = batch_id
        """None until the daemon has accepted it."""

    async def start_and_follow(self, url: str, body: dict[str, Any], key: str | None) -> Any:
        """The batch when it has ended. Raises DaemonError where it is refused."""
        async with connect(url) as daemon:
            body["static_inputs"] = await _typed(daemon, body["agent_name"], body["static_inputs"])
            headers = {"X-Idempotency-Key": key} if key else {}
            answer = await daemon.post("/run/batch", body, headers=headers, timeout_seconds=SEND_SECONDS)
            self.batch_id = answer["batch_id"]
            return await self._follow(daemon)

    async def follow(self, url: str) -> Any:
        """As `start_and_follow`, of a batch that was accepted before."""
        async with connect(url) as daemon:
            await daemon.get(self._path, _WITHOUT_RESULTS)  # there is a daemon, and it knows this batch
            return await self._follow(daemon)

    @property
    def _path(self) -> str:
        assert self.batch_id is not None, "it was accepted"
        return f"/batch/{quote(self.batch_id, safe='')}"

    async def _follow(self, daemon: Daemon) -> Any:
        with show_progress("items") as progress:
            while True:
                batch = await self._ask(daemon, progress, _WITHOUT_RESULTS)
                progress.show(batch["completed_items"], batch["total_items"], batch["failed_items"])
                if batch["status"] in ("completed", "failed"):
                    return await self._ask(daemon, progress, ())
                await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, daemon: Daemon, progress: Progress, query: Iterable[tuple[str, str]]) -> Any:
        """The batch; over a restart of the daemon this takes as long as it takes."""
        failures = 0
        while True:
            try:
                return await daemon.get(self._path, query)
            except Unreachable as lost:
                if failures == 0:
                    progress.say(f"{lost.message} Trying again.")
            failures += 1
            wait = min(RETRY_BASE_SECONDS * 2**failures, RETRY_MAX_SECONDS)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))


_WITHOUT_RESULTS = (("results", "false"),)


async def _cancel(url: str, batch_id: str) -> Any:
    async with connect(url) as daemon:
        return await daemon.post(f"/batch/{quote(batch_id, safe='')}/cancel", timeout_seconds=SEND_SECONDS)


# -- what is sent -------------------------------------------------------------------------------------------


def _read(file: str) -> str:
    """The CSV. It ends with a line break, by which the daemon knows that it is no name of a file."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig").rstrip("\r\n") + "\n"
    except FileNotFoundError:
        raise click.ClickException(f"There is no file {file}.") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8 text.") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from None


def _pairs(settings: Iterable[str], option: str) -> Iterable[tuple[str, str]]:
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{setting!r} is not NAME=VALUE.", param_hint=option)
        yield name, value


async def _typed(daemon: Daemon, agent: str, static: Mapping[str, str]) -> dict[str, Any]:
    """The values of `--static`: text where the agent's input says text, else JSON if it is JSON."""
    if not static:
        return {}
    agents = (await daemon.get("/api/v1/agents"))["agents"]
    schema: Mapping[str, Any] = next(
        (one["input_schema"] for one in agents if fold(one["name"]) == fold(agent)), {}
    )
    fields = schema.get("properties", {})
    return {
        field: text if is_text(schema, fields.get(field, {})) else _json_or_text(text)
        for field, text in static.items()
    }


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


# -- what is shown ------------------------------------------------------------------------------------------


def _form_of(output: str) -> Literal["csv", "json"]:
    return "json" if output.lower().endswith(".json") else "csv"


def _results(results: list[Any], form: Literal["csv", "json"]) -> str:
    """A line, or a JSON value, for each item."""
    if form == "json":
        return orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    table, text = ResultTable(), io.StringIO()
    for result in results:
        table.see(result)
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(table.headings)
    lines.writerows(table.line(result) for result in results)
    return text.getvalue()


def _write(output: str, text: str) -> None:
    """To standard output, or into a file, which has all of it or is not touched."""
    if output == "-":
        click.echo(text, nl=False)
        return
    target = Path(output)
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from None


def _print_outcome(answer: Mapping[str, Any]) -> None:
    """On standard error: the results may be on the other one."""
    failed = [
        (index, result["error"])
        for index, result in enumerate(answer["results"])
        if isinstance(result, Mapping) and result.keys() == {"error"}
    ]
    if answer["failed_items"]:
        for index, error in failed[:ERRORS_SHOWN]:
            click.secho(f"item {index + 1} failed: {error}", fg="red", err=True)
        if len(failed) > ERRORS_SHOWN:
            click.echo(f"… and {len(failed) - ERRORS_SHOWN} more", err=True)
    click.echo(_summary(answer), err=True)


def _summary(answer: Mapping[str, Any]) -> str:
    words = f"batch {answer['batch_id']} {answer['status']}: {answer['completed_items']} of "
    words += f"{answer['total_items']} items"
    if answer["failed_items"]:
        words += f", {answer['failed_items']} failed"
    return words + (f" ({answer['error']})" if answer["error"] else "")


def _goes_on(batch_id: str | None) -> str:
    if batch_id is None:
        return "Interrupted before the daemon had answered: it may have started the batch (flockd status)."
    return f"The batch goes on.\nflockd batch --follow {batch_id}\nflockd batch --cancel {batch_id}"
