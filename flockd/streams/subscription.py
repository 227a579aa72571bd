"""A subscription: a filter and a position in the log, served on a connection."""

from __future__ import annotations

import asyncio

from flockd.domain.filter import EventFilter
from flockd.streams.connection import Connection
from flockd.streams.encode import Encoder
from flockd.streams.follow import End


class Subscription:
    """What one client wants of the log, and how far it has been served."""

    def __init__(
        self,
        connection: Connection,
        wanted: EventFilter,
        encoder: Encoder,
        *,
        position: int,
        end: End | None = None,
    ) -> None:
        self.connection = connection
        self.wanted = wanted
        self.encoder = encoder
        self.position = position
        """Every event up to this seq has been served or does not pass the filter."""
        self.end = end
        """Where it is over, and its connection with it; None: it lasts for as long as the client stays."""
        self.sent = 0
        """Events that were written."""
        self.missed: set[str] = set()
        """Runs of whose live text it lacks a part: it gets what they have written so far before more of it."""
        self.catch_up: asyncio.Task[None] | None = None
        """A task of its own waits for room or reads the log for it; meanwhile the pump leaves it alone."""
        self.reads_disk = False
        self.is_closed = False

    @property
    def is_over(self) -> bool:
        """Nothing more is to be served."""
        return self.is_closed or not self.connection.is_open

    @property
    def is_behind(self) -> bool:
        return self.catch_up is not None

    @property
    def is_live(self) -> bool:
        """Whether the pump serves it."""
        return self.catch_up is None and not self.is_over
