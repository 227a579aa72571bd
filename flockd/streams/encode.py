"""How events look in Server-Sent Events: `id`, `event` and one line of `data`."""

from __future__ import annotations

from typing import Any

import orjson

from flockd.domain.event import Event, EventKind

RETRY_MILLISECONDS = 1000
"""When a client that was told goodbye comes back."""


def sse_event(event: Event, body: bytes) -> bytes:
    """A stored event has its seq as id; a live one has none and leaves the reader's cursor where it is."""
    head = f"id: {event.seq}\n" if event.seq else ""
    return f"{head}event: {event.kind}\ndata: ".encode() + body + b"\n\n"


def sse_notice(kind: EventKind, data: dict[str, Any], *, retry: bool = False) -> bytes:
    """hello, gap, goodbye: no id."""
    head = f"event: {kind}\n" + (f"retry: {RETRY_MILLISECONDS}\n" if retry else "")
    return head.encode() + b"data: " + orjson.dumps({"kind": kind, "data": data}) + b"\n\n"


def sse_position(seq: int) -> bytes:
    """A block with only an id: fires nothing in a browser and moves its Last-Event-ID."""
    return f"id: {seq}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)
