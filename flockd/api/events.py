"""The log, live."""

from __future__ import annotations

from aiohttp import web

from flockd.api.keys import HUB, READS
from flockd.api.queries import EventsWanted
from flockd.routing import Call
from flockd.streams import sse

LAST_EVENT_ID = "Last-Event-ID"


async def stream_events(call: Call[EventsWanted, None]) -> web.StreamResponse:
    """Follow the log.

    From `Last-Event-ID` (it wins), `after` or the start on, and then for as long as the client stays.
    """
    query = call.query
    return await sse.stream(
        call.request,
        call.app[HUB],
        call.app[READS],
        query.filter(),
        query.after,
        query.from_ == "start",
        call.request.headers.get(LAST_EVENT_ID),
    )
