"""`FlockAPI`: a flock's server, as document 000 starts it."""

from __future__ import annotations

from pathlib import Path

from flockd.flock.flock import Flock


class FlockAPI:
    """The HTTP server of one flock."""

    def __init__(self, flock: Flock) -> None:
        self.flock = flock

    def start(
        self,
        host: str | None = None,
        port: int | None = None,
        server_name: str | None = None,
        create_ui: bool | None = None,
        *,
        store: str | None = None,
        auth: str | None = None,
        config: str | Path | None = None,
    ) -> None:
        """As `flock.start_api`: blocks, and ends the process with the daemon."""
        self.flock.start_api(host, port, server_name, create_ui, store=store, auth=auth, config=config)
