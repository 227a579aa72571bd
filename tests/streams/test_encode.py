"""What each transport puts around the one body of an event."""

from __future__ import annotations

import orjson
import pytest

from flockd.domain.event import Event, EventKind
from flockd.streams.encode import (
    NDJSON,
    SSE,
    Encoder,
    WebSocketMessages,
    pong_message,
    text_header,
    text_message,
)

EVENT = Event(7, EventKind.run_started, 1, "c1", "agent", "r1")
LIVE = Event(0, EventKind.run_output, 1, "c1", "agent", "r1")
BODY = EVENT.encode(100)


def joined(encoder: Encoder, event: Event) -> bytes:
    return b"".join(encoder.event(event, BODY))


def payload(frame: bytes) -> bytes:
    """Of one text message from a server, as RFC 6455 has it."""
    assert frame[0] == 0x81
    size, start = frame[1], 2
    assert size < 128, "a server does not mask"
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(frame[2:start])
    assert len(frame) == start + size
    return frame[start:]


def test_server_sent_events() -> None:
    assert joined(SSE, EVENT) == b"id: 7\nevent: run.started\ndata: " + BODY + b"\n\n"
    assert joined(SSE, LIVE) == b"event: run.output\ndata: " + BODY + b"\n\n"
    assert SSE.position(7) == b"id: 7\n\n"
    assert SSE.notice(EventKind.goodbye, {}).startswith(b"event: goodbye\nretry: ")


def test_what_is_live_only_has_no_seq_that_could_be_kept_as_a_cursor() -> None:
    assert orjson.loads(BODY)["seq"] == 7
    assert orjson.loads(LIVE.encode(100))["seq"] is None


def test_lines_of_json() -> None:
    assert joined(NDJSON, EVENT) == BODY + b"\n"
    assert orjson.loads(NDJSON.position(7)) == {"type": "position", "seq": 7}
    assert orjson.loads(NDJSON.notice(EventKind.hello, {"head": 1})) == {"kind": "hello", "data": {"head": 1}}


@pytest.mark.parametrize("name", ["s1", 'with "quotes" and \u00fc'])
def test_messages_of_a_subscription(name: str) -> None:
    encoder = WebSocketMessages(name)
    message = orjson.loads(payload(joined(encoder, EVENT)))
    assert message == {"type": "event", "subscription": name, "event": orjson.loads(BODY)}
    notice = orjson.loads(payload(encoder.notice(EventKind.gap, {"head": 1})))
    assert notice == {
        "type": "event",
        "subscription": name,
        "event": {"kind": "gap", "data": {"head": 1}},
    }
    position = orjson.loads(payload(encoder.position(7)))
    assert position == {"type": "position", "subscription": name, "seq": 7}


def test_encoders_that_write_the_same_are_equal_and_no_others() -> None:
    assert WebSocketMessages("s1") == WebSocketMessages("s1")
    assert len({SSE, NDJSON, WebSocketMessages("s1"), WebSocketMessages("s1"), WebSocketMessages("s2")}) == 4


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_the_length_of_a_message(size: int) -> None:
    text = b"x" * size
    assert payload(text_message(text)) == text
    assert text_message(text) == text_header(size) + text


def test_a_pong_carries_what_the_ping_did() -> None:
    assert pong_message(b"abc") == b"\x8a\x03abc"
