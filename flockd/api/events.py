"""The log, live."""

from __future__ import annotations

from aiohttp import hdrs, web

from flockd.api.keys import STREAMS
from flockd.api.queries import EventsWanted
from flockd.routing import Call
from flockd.streams import sse
from flockd.streams.cursor import LAST_EVENT_ID


async def stream_events(call: Call[EventsWanted, None]) -> web.StreamResponse:
    """Follow the log.

    From `Last-Event-ID` (it wins), `after` or the start on, and then for as long as the client stays.
    """
    query, request = call.query, call.request
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type="text/event-stream")
    return await sse.stream(
        request,
        call.app[STREAMS],
        query.filter(),
        after=query.after,
        from_start=query.from_ == "start",
        last_event_id=request.headers.get(LAST_EVENT_ID),
    )
