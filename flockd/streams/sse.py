"""Server-Sent Events: the log, live, over HTTP."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import HttpVersion11, hdrs, web
from aiohttp_sse import EventSourceResponse

from flockd.domain.filter import EventFilter
from flockd.streams.cursor import start
from flockd.streams.encode import SSE
from flockd.streams.streams import Streams
from flockd.streams.subscriber import Subscriber

_NEVER_SECONDS = 1e8
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

    Raises InvalidInput for a cursor that cannot be (`flockd.streams.cursor`), Unavailable past the limit of open
    streams; both before anything is sent.
    """
    with streams.place():
        begin = start(streams.hub, after=after, from_start=from_start, last_event_id=last_event_id)
        chunked = request.version >= HttpVersion11
        # The library's line ends are CRLF by default, which breaks real clients; its timeout cuts slow readers.
        response = EventSourceResponse(sep="\n", send_timeout=None, ping_interval=_NEVER_SECONDS)
        response.force_close()
        if not chunked:
            response.headers[hdrs.CONNECTION] = "close"  # where nothing else marks the end of the body
        writer = await response.prepare(request)
        transport = request.transport
        async with response:
            if writer is not None and transport is not None and not transport.is_closing():
                subscriber = Subscriber(
                    transport,
                    writer,
                    wanted,
                    SSE,
                    position=begin.position,
                    chunked=chunked,
                    buffer_bytes=streams.buffer_bytes,
                )
                with suppress(ConnectionError):
                    await streams.serve(subscriber, gap=begin.gap)
        return response
