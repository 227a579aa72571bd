"""How the log looks on a transport. Encoders differ in the bytes around one shared body; the pump and the cursors know
nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from flockd.domain.event import Event, EventKind

RETRY_MILLISECONDS = 1000
"""When a client that was told goodbye comes back."""


class Encoder(Protocol):
    """A value without state: equal ones write the same bytes, so what one wrote is shared by all who use an equal."""

    def event(self, event: Event, body: bytes) -> tuple[bytes, ...]:
        """One event, of the log or live, in pieces; `body` is its JSON, one line."""
        ...

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        """hello, gap or goodbye: about the stream itself, with no place in the log."""
        ...

    def position(self, seq: int) -> bytes:
        """Up to which seq the reader has been served."""
        ...


class ServerSentEvents:
    """`id`, `event` and one line of `data`."""

    def event(self, event: Event, body: bytes) -> tuple[bytes, ...]:
        """A live one has no id, which leaves the reader's cursor where it is."""
        if event.seq:
            return b"id: %d\nevent: %b\ndata: " % (event.seq, event.kind.encode()), body, b"\n\n"
        return b"event: %b\ndata: " % event.kind.encode(), body, b"\n\n"

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        retry = f"retry: {RETRY_MILLISECONDS}\n" if kind is EventKind.goodbye else ""
        return f"event: {kind}\n{retry}data: ".encode() + _notice(kind, data) + b"\n\n"

    def position(self, seq: int) -> bytes:
        """A block with only an id fires nothing in a browser and moves its Last-Event-ID."""
        return b"id: %d\n\n" % seq


class JsonLines:
    """NDJSON: one object a line."""

    def event(self, event: Event, body: bytes) -> tuple[bytes, ...]:
        return body, b"\n"

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        return _notice(kind, data) + b"\n"

    def position(self, seq: int) -> bytes:
        return b'{"type":"position","seq":%d}\n' % seq


class WebSocketMessages(NamedTuple):
    """One text message for each event, under the name of its subscription."""

    subscription: str

    def event(self, event: Event, body: bytes) -> tuple[bytes, ...]:
        around = self._around()
        return text_header(len(around) + len(body) + 1) + around, body, b"}"

    def notice(self, kind: EventKind, data: Mapping[str, Any]) -> bytes:
        return text_message(self._around() + _notice(kind, data) + b"}")

    def position(self, seq: int) -> bytes:
        text = b'{"type":"position","subscription":%b,"seq":%d}' % (orjson.dumps(self.subscription), seq)
        return text_message(text)

    def _around(self) -> bytes:
        return b'{"type":"event","subscription":%b,"event":' % orjson.dumps(self.subscription)


SSE = ServerSentEvents()
NDJSON = JsonLines()


def _notice(kind: EventKind, data: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"kind": kind, "data": data})


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked transfer coding; `data` is not empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
"""First bytes of RFC 6455's frames, whole messages each."""


def text_header(size: int) -> bytes:
    """What comes before a text message of so many bytes, from a server: no mask."""
    if size < 126:
        return bytes((_TEXT, size))
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2)
    return bytes((_TEXT, 127)) + size.to_bytes(8)


def text_message(text: bytes) -> bytes:
    return text_header(len(text)) + text


def pong_message(data: bytes) -> bytes:
    """The answer to a ping with this data: at most 125 bytes."""
    return bytes((_PONG, len(data))) + data


PING_MESSAGE = bytes((_PING, 0))
