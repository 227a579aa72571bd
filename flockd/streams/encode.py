"""How the log looks on a transport. Encoders differ in text alone; the pump and the cursors know nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from flockd.domain.event import Event, EventKind

RETRY_MILLISECONDS = 1000
"""When a client that was told goodbye comes back."""


class Encoder(Protocol):
    """Stateless: what it makes of an event is kept with the event's frame and shared by all its readers."""

    def event(self, event: Event, inline_bytes: int) -> bytes:
        """One event, of the log or live; payloads over `inline_bytes` are left out."""
        ...

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        """hello, gap or goodbye: about the stream itself, with no place in the log."""
        ...

    def position(self, seq: int) -> bytes:
        """Up to which seq the reader has been served."""
        ...


class ServerSentEvents:
    """`id`, `event` and one line of `data`."""

    def event(self, event: Event, inline_bytes: int) -> bytes:
        """A live one has no id, which leaves the reader's cursor where it is."""
        head = f"id: {event.seq}\n" if event.seq else ""
        return f"{head}event: {event.kind}\ndata: ".encode() + event.encode(inline_bytes) + b"\n\n"

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        retry = f"retry: {RETRY_MILLISECONDS}\n" if kind is EventKind.goodbye else ""
        return f"event: {kind}\n{retry}data: ".encode() + orjson.dumps({"kind": kind, "data": data}) + b"\n\n"

    def position(self, seq: int) -> bytes:
        """A block with only an id fires nothing in a browser and moves its Last-Event-ID."""
        return f"id: {seq}\n\n".encode()


SSE = ServerSentEvents()


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked transfer coding; `data` is not empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
