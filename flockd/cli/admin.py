"""`flockd verify`, `backup`, `reset`: what an operator does to a store, through its daemon or beside it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from flockd.cli.daemon import connect
from flockd.cli.options import daemon_options, json_option, store_option, stored_file
from flockd.cli.show import print_json
from flockd.errors import FlockdError

CHUNK_BYTES = 1024 * 1024


@click.command(short_help="Look for differences in the store.")
@store_option
@daemon_options
@json_option
def verify(store: str | None, url: str, as_json: bool) -> None:
    """Recompute every count and state of the store and print each difference. Exit code 1 if there is one."""
    differences = _verify_file(stored_file(store)) if store else asyncio.run(_verify_daemon(url))
    if as_json:
        print_json({"differences": differences})
    else:
        click.echo("\n".join(differences) if differences else "No difference.")
    if differences:
        sys.exit(1)


def _verify_file(path: Path) -> list[str]:
    from flockd.store.verify import verify_path

    try:
        return verify_path(path)
    except FlockdError as error:
        raise click.ClickException(error.message) from None


async def _verify_daemon(url: str) -> list[str]:
    async with connect(url) as daemon:
        answer = await daemon.post("/api/v1/admin/verify", timeout_seconds=None)
    return [str(difference) for difference in answer["differences"]]


@click.command(short_help="Copy the store to a file, while the daemon runs.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@store_option
@daemon_options
@json_option
def backup(file: Path, force: bool, store: str | None, url: str, as_json: bool) -> None:
    """Write a consistent copy of the store to FILE, while the daemon runs."""
    if file.exists() and not force:
        raise click.ClickException(f"{file} is there already: name another file, or replace it with --force.")
    if store:
        _copy_file(stored_file(store), file)
    else:
        asyncio.run(_download(url, file))
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        click.echo(f"{file}: {size} bytes")


def _copy_file(source: Path, target: Path) -> None:
    from flockd.store.sqlite import backup_path

    try:
        backup_path(source, target)
    except FlockdError as error:
        raise click.ClickException(error.message) from None


async def _download(url: str, target: Path) -> None:
    # Beside the target, so that the rename is atomic: the target is a whole copy or is not there.
    partial = target.with_name(target.name + ".tmp")
    try:
        async with connect(url) as daemon, daemon.stream("GET", "/api/v1/admin/backup") as response:
            with partial.open("wb") as copy:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
        partial.replace(target)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)


@click.command(short_help="Delete everything on the board.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@daemon_options
@json_option
def reset(yes: bool, url: str, as_json: bool) -> None:
    """Delete everything on the board: artifacts, runs, workflows and their events."""
    if not yes:
        click.confirm(f"Delete everything on the board at {url}?", abort=True, err=True)
    answer = asyncio.run(_reset(url))
    if as_json:
        print_json(answer)
    else:
        click.echo("The board is empty.")


async def _reset(url: str) -> object:
    async with connect(url) as daemon:
        answer: object = await daemon.post("/api/v1/admin/reset", {"confirm": True}, timeout_seconds=None)
    return answer
