"""`flockd serve`: the daemon itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flockd.cli.options import config_option, load_config, load_target
from flockd.cli.reload import Reloader


@click.command()
@click.argument("target", metavar="[MODULE:ATTR]", required=False)
@config_option
@click.option("--host", help="The address to bind (server.host).")
@click.option("--port", type=int, help="The port to bind (server.port); 0 takes a free one.")
@click.option("--store", metavar="URL", help="Where the board is kept (store.url): sqlite:///path/file.db.")
@click.option("--reload", is_flag=True, help="For development: start again when a .py or .toml file changes.")
def serve(
    target: str | None,
    config_file: Path | None,
    host: str | None,
    port: int | None,
    store: str | None,
    reload: bool,
) -> None:
    """Serve a flock until SIGTERM or Ctrl-C.

    MODULE:ATTR names a Flock in Python. Without it the modules of the configuration are loaded, and without
    those the demo flock.
    """
    if reload:
        sys.exit(
            Reloader(_same_command(target, config_file, host, port, store), Path.cwd(), config_file).run()
        )
    server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_config(config_file, {"server": server, "store": {"url": store} if store else {}})
    flock = load_target(settings, target)
    from flockd.flock.declaration import DeclarationError
    from flockd.process import serve as serve_flock

    try:
        code = serve_flock(settings, flock)
    except DeclarationError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)


def _same_command(
    target: str | None, config_file: Path | None, host: str | None, port: int | None, store: str | None
) -> list[str]:
    """This command line without --reload."""
    options = (("--config", config_file), ("--host", host), ("--port", port), ("--store", store))
    command = [sys.executable, "-m", "flockd", "serve", *([target] if target else [])]
    return command + [part for name, value in options if value is not None for part in (name, str(value))]
