"""How a flock serves itself: what an entry point was given, as a configuration; then the daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flockd.config import Config
    from flockd.flock.flock import Flock


async def serve_flock(flock: Flock, config: Config) -> None:
    """Serve a flock and the tables of the configuration in the running loop. Raises LoadError and SystemExit."""
    from flockd.loading import with_tables
    from flockd.process import serve_async  # the daemon is imported by those who run it, not by every author

    if code := await serve_async(config, with_tables(config, flock)):
        sys.exit(code)


def serve_flock_blocking(flock: Flock, config: Config) -> None:
    """The same without a loop; ends the process with the daemon. Raises LoadError."""
    from flockd.loading import with_tables
    from flockd.process import serve

    if code := serve(config, with_tables(config, flock)):
        sys.exit(code)


def configured(
    path: str | Path | None,
    *,
    host: str | None,
    port: int | None,
    store: str | None,
    auth: str | None,
    page: bool | None,
) -> Config:
    """The configuration file at `path` (or ./config.toml, if there), under the environment and what is given.

    Raises ConfigError.
    """
    from flockd.config import Config

    given: dict[str, dict[str, object]] = {
        "server": {"host": host, "port": port, "page": page},
        "store": {"url": store},
        "auth": {"mode": auth},
    }
    overrides = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in given.items()
    }
    default = Path("config.toml")
    file = Path(path) if path is not None else default if default.is_file() else None
    return Config.load(file, overrides)
