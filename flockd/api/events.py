"""The log, live: all of it, or one workflow."""

from __future__ import annotations

from aiohttp import hdrs, web

from flockd.api.event_filters import event_filter
from flockd.api.keys import BOARD, READS, STREAMS
from flockd.api.listing import identity
from flockd.api.queries import EventsWanted, WorkflowEventsWanted
from flockd.domain.correlation import CorrelationState
from flockd.errors import NotFound
from flockd.routing import Call
from flockd.streams import http
from flockd.streams.cursor import LAST_EVENT_ID, start
from flockd.streams.follow import End

MEDIA = (http.EVENT_STREAM, http.X_NDJSON)


async def stream_events(call: Call[EventsWanted, None]) -> web.StreamResponse:
    """Follow the log.

    From `Last-Event-ID` (it wins), `after` or the start on, and then for as long as the client stays. Server-Sent
    Events, or NDJSON where `Accept` asks for it.
    """
    query, request, streams = call.query, call.request, call.app[STREAMS]
    wanted = event_filter(query, query.correlation_id, call.app[BOARD].agents, streams.limits)
    with streams.place(request.remote):
        begin = start(
            streams.hub,
            after=query.after,
            from_start=query.from_ == "start",
            last_event_id=request.headers.get(LAST_EVENT_ID),
        )
        if request.method == hdrs.METH_HEAD:
            return _head(request)
        del call, query  # they are not needed for as long as the stream lasts
        return await http.stream(request, streams, wanted, begin)


async def stream_workflow(call: Call[WorkflowEventsWanted, None]) -> web.StreamResponse:
    """Follow one workflow.

    From its beginning, or after `Last-Event-ID` or `after`, to the end of the round that is open now; 204 where the
    cursor is past that already. With `wait` an unknown one is waited for.
    """
    query, request, streams, reads = call.query, call.request, call.app[STREAMS], call.app[READS]
    correlation_id = identity(call, "correlation_id", "Correlation")
    wanted = event_filter(query, (correlation_id,), call.app[BOARD].agents, streams.limits)
    with streams.place(request.remote):
        emptied = streams.hub.emptied_times
        begin = start(
            streams.hub, after=query.after, from_start=True, last_event_id=request.headers.get(LAST_EVENT_ID)
        )
        correlation = await reads.correlation(correlation_id)
        if correlation is None and not query.wait:
            raise NotFound(f"Correlation not found: {correlation_id}")
        if begin.gap:  # the cursor says nothing of this workflow
            begin = begin._replace(position=streams.hub.complete_from - 1)
        if correlation is not None and correlation.state is not CorrelationState.active:
            rest = await reads.correlation_events(correlation_id, begin.position, limit=1, max_bytes=1)
            if not rest:
                return web.Response(status=204)
        if request.method == hdrs.METH_HEAD:
            return _head(request)
        del call, query
        end = End(correlation_id, 1 if correlation is None else correlation.round, emptied)
        return await http.stream(request, streams, wanted, begin, end=end)


def _head(request: web.Request) -> web.Response:
    return web.Response(content_type=http.content_type(http.medium(request)))
