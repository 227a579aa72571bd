"""What the application hands to the routes, as typed keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from aiohttp import web

from flockd.api.metrics import Metrics
from flockd.board import Board
from flockd.store.reads import Reads
from flockd.streams.hub import Hub
from flockd.streams.streams import Streams


class ApiSettings(NamedTuple):
    """What the routes need of the configuration: the settings of these names in `[limits]`, a name and a folder."""

    name: str
    """The flock's, which is the title of the API's documents."""
    body_bytes: int
    bulk_body_bytes: int
    bulk_items: int
    sync_wait_seconds: float
    offset_max: int
    tags_per_artifact: int
    tag_chars: int
    json_depth: int
    page: bool
    """server.page: whether browsers get the page at `/`."""
    scratch_dir: Path
    """Where a backup lies while it is sent: on a disk that can hold one."""


class AgentLoad(NamedTuple):
    """What an agent has to do right now."""

    running: int
    queued: int
    paused: bool = False
    """None of its runs starts until it is resumed."""


class Daemon(Protocol):
    """The life of the process, as far as the routes see it."""

    @property
    def name(self) -> str:
        """The flock's."""
        ...

    @property
    def state(self) -> Literal["starting", "ready", "draining"]: ...

    def writable(self) -> str | None:
        """None, or the sentence why the store cannot write now."""
        ...

    def occupancy(self) -> Mapping[str, AgentLoad]:
        """The load of each agent that has any, or is paused."""
        ...

    async def verify(self) -> list[str]:
        """Recompute every maintained count and state; each difference is a sentence."""
        ...

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the store to a file that does not exist yet."""
        ...


BOARD = web.AppKey("BOARD", Board)
READS = web.AppKey("READS", Reads)
HUB = web.AppKey("HUB", Hub)
STREAMS = web.AppKey("STREAMS", Streams)
SETTINGS = web.AppKey("SETTINGS", ApiSettings)
DAEMON: web.AppKey[Daemon] = web.AppKey("DAEMON", Daemon)
METRICS = web.AppKey("METRICS", Metrics)

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
"""The caller's X-Request-ID, or ours."""
