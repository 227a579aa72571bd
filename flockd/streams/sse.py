"""Server-Sent Events: the log, live, over HTTP."""

from __future__ import annotations

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from flockd.domain.event import EventKind
from flockd.domain.filter import EventFilter
from flockd.errors import InvalidInput
from flockd.streams.encode import sse_notice
from flockd.streams.streams import Streams
from flockd.streams.subscriber import Subscriber

_NEVER_SECONDS = 10.0**8
"""For the library's own ping: heartbeats are ours, one sweep for all streams."""


async def stream(
    request: web.Request,
    streams: Streams,
    wanted: EventFilter,
    *,
    after: int | None,
    from_start: bool,
    last_event_id: str | None,
) -> web.StreamResponse:
    """Follow the log until the client leaves, is cut, or the daemon says goodbye.

    `Last-Event-ID` wins over `after`, that over `from_start`; with none of them it begins now. Raises InvalidInput
    for a malformed cursor and for an `after` from the future, Unavailable past the limit of open streams.
    """
    streams.admit()
    position, gap = _start(streams, after, from_start, last_event_id)
    response = EventSourceResponse(sep="\n", send_timeout=None, ping_interval=_NEVER_SECONDS)
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back until its buffer is full
    writer = await response.prepare(request)
    assert writer is not None, "a fresh response is prepared once"
    hello = sse_notice(EventKind.hello, streams.notice(position))
    if gap:
        hello += sse_notice(EventKind.gap, streams.notice(position))
    try:
        await response.write(hello + streams.texts_so_far(wanted))  # also sends the headers
        transport = request.transport
        if transport is None:
            return response
        subscriber = Subscriber(
            transport,
            writer,
            wanted,
            position=position,
            chunked=bool(response.chunked) and request.version >= (1, 1),
            buffer_bytes=streams.buffer_bytes,
        )
        with streams.joined(subscriber):
            await subscriber.ended
    except ConnectionError:
        pass  # the client has left
    finally:
        response.stop_streaming()
    return response


def _start(
    streams: Streams, after: int | None, from_start: bool, last_event_id: str | None
) -> tuple[int, bool]:
    """The position to begin after, and whether a gap is to be told before."""
    hub = streams.hub
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
            raise InvalidInput.field("Last-Event-ID", f"{last_event_id!r} is not a seq of this log")
        position = int(last_event_id)
        if position > hub.head:  # of another log, most likely: one that was replaced
            return hub.head, True
    elif after is not None:
        if after > hub.head:
            raise InvalidInput.field("after", f"{after} is in the future: the newest event is {hub.head}")
        position = after
    elif from_start:
        return hub.complete_from - 1, False
    else:
        return hub.head, False
    if position < hub.complete_from - 1:
        return hub.complete_from - 1, True
    return position, False
