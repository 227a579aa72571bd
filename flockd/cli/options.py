"""The options that several verbs share; the configuration and the flock as the command line loads them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flockd.config import Config, ConfigError, sqlite_path

if TYPE_CHECKING:
    from flockd.flock import Flock

DEFAULT_FILE = Path("config.toml")

Verb = Callable[..., None]

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Default: ./config.toml, if it is there.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
store_option = click.option(
    "--store", metavar="URL", help="The store of a daemon that does not run: sqlite:///path/file.db."
)


def daemon_options(verb: Verb) -> Verb:
    """`--url` and `--config`, which reach the verb as its argument `url`.

    The configuration is only read where `--url` is not given: a client needs none.
    """

    @config_option
    @click.option(
        "--url", metavar="URL", help="The daemon. Default: server.host and server.port of the configuration."
    )
    @functools.wraps(verb)
    def with_url(*arguments: object, url: str | None, config_file: Path | None, **options: object) -> None:
        verb(*arguments, url=url or load_config(config_file).server.client_url, **options)

    return with_url


def load_config(path: Path | None, overrides: Mapping[str, Mapping[str, object]] | None = None) -> Config:
    """The configuration of `--config`, or `./config.toml` if it is there. Ends the verb where refused."""
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    try:
        return Config.load(path, overrides)
    except ConfigError as error:
        raise click.ClickException(error.message) from None


def load_target(config: Config, target: str | None) -> Flock:
    """The flock that `serve` would serve; says first what an operator should be told of the configuration."""
    for warning in config.warnings():
        click.echo(f"Warning: {warning}", err=True)
    from flockd.loading import LoadError, load_flock

    try:
        return load_flock(config, target)
    except LoadError as error:
        raise click.ClickException(str(error)) from None


def stored_file(url: str) -> Path:
    """The file that `--store` names. Ends the verb where there is none."""
    try:
        path = sqlite_path(url)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--store") from None
    if not path.is_file():
        raise click.ClickException(f"There is no store {path}.")
    return path
