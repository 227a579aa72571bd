"""The log, live, over HTTP: Server-Sent Events or NDJSON, as the client asks for."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from flockd.domain.filter import EventFilter
from flockd.streams.connection import Connection, Medium
from flockd.streams.cursor import Start
from flockd.streams.encode import NDJSON, SSE
from flockd.streams.follow import End
from flockd.streams.streams import Streams
from flockd.streams.subscription import Subscription

EVENT_STREAM = "text/event-stream"
X_NDJSON = "application/x-ndjson"
_MEDIA = {Medium.sse: EVENT_STREAM, Medium.ndjson: X_NDJSON}


def medium(request: web.Request) -> Medium:
    """What the client accepts most, by the q of its `Accept`; without a preference it is SSE."""
    accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
    if not accept:
        return Medium.sse
    best = max(_MEDIA, key=lambda one: _quality(accept, _MEDIA[one]))  # the first of equal ones
    return best if _quality(accept, _MEDIA[best]) > (0, 0) else Medium.sse


def content_type(wanted: Medium) -> str:
    return _MEDIA[wanted]


async def stream(
    request: web.Request, streams: Streams, wanted: EventFilter, begin: Start, *, end: End | None = None
) -> web.StreamResponse:
    """Follow the log until its end, until the client leaves, is cut, or the daemon says goodbye.

    The caller holds a place for it (`Streams.place`).
    """
    as_wanted = medium(request)
    chunked = request.version >= HttpVersion11
    response = _response(as_wanted)
    response.force_close()
    response.headers[hdrs.CONNECTION] = "close"  # it says keep-alive, and a client would ask on it again
    writer = await response.prepare(request)
    response.headers.clear()  # they are sent: a kilobyte for as long as the stream lasts
    transport = request.transport
    if writer is not None and transport is not None and not transport.is_closing():
        connection = Connection(
            transport, writer, medium=as_wanted, chunked=chunked, buffer_bytes=streams.buffer_bytes
        )
        encoder = SSE if as_wanted is Medium.sse else NDJSON
        subscription = Subscription(connection, wanted, encoder, position=begin.position, end=end)
        with suppress(ConnectionError):
            await streams.serve(subscription, gap=begin.gap)
    return response


class _EventSource(EventSourceResponse):
    """The library's headers, without its task for each stream: heartbeats are ours, one sweep for all."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return await web.StreamResponse.prepare(self, request)


def _response(wanted: Medium) -> web.StreamResponse:
    if wanted is Medium.sse:
        return _EventSource()
    return web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: X_NDJSON, hdrs.CACHE_CONTROL: "no-cache", "X-Accel-Buffering": "no"}
    )


def _quality(accept: str, media: str) -> tuple[float, int]:
    """How much a client wants a medium: its q, and then how precisely it was named. (0, 0): not at all."""
    best = (0.0, 0)
    precision = -1
    kind = media.partition("/")[0]
    for one in accept.split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        named = {media: 3, f"{kind}/*": 2, "*/*": 1}.get(name, 0)
        if named and named > precision:
            precision = named
            quality = _q(parameters)
            best = (quality, named) if quality > 0 else (0.0, 0)
    return best


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
