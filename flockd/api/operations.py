"""What those who operate the daemon ask: does it live, does it take work, how much is there."""

from __future__ import annotations

from collections import Counter

from aiohttp import hdrs, web

from flockd.api import metrics as prometheus
from flockd.api.keys import BOARD, DAEMON, METRICS, READS, STREAMS
from flockd.domain.moment import now_ms
from flockd.domain.run import OPEN
from flockd.domain.usage import Usage
from flockd.errors import Unavailable
from flockd.routing import Call
from flockd.store.reads import UsageFilter


async def health(call: Call[None, None]) -> bytes:
    """Tell whether the process lives."""
    return b'{"status":"ok"}'


async def ready(call: Call[None, None]) -> bytes:
    """Tell whether the daemon takes work."""
    daemon = call.app[DAEMON]
    if daemon.state != "ready":
        raise Unavailable(f"The daemon is {daemon.state}")
    problem = daemon.writable()
    if problem is not None:
        raise Unavailable(problem)
    return b'{"status":"ready"}'


async def metrics(call: Call[None, None]) -> web.StreamResponse:
    """Read the metrics as Prometheus text.

    The totals are the stored ones: a restart does not set them back.
    """
    app = call.app
    reads, daemon, streams = app[READS], app[DAEMON], app[STREAMS]
    totals, position = await reads.totals(), await reads.log_position()
    oldest_ready_at = await reads.oldest_ready_at()
    open_runs = Counter({state.value: 0 for state in sorted(OPEN)})
    for by_state in (await reads.run_counts()).values():
        open_runs.update({state: count for state, count in by_state.items() if state in open_runs})
    usage: dict[str, Usage] = {}
    for one in await reads.usage(UsageFilter()):
        usage[one.model] = usage.get(one.model, Usage()).plus(one.usage)
    text = app[METRICS].render(
        prometheus.BoardFigures(
            artifacts=totals["artifacts"],
            agents=len(app[BOARD].agents),
            executions=totals["executions"],
            runs_by_state=open_runs,
            oldest_ready_seconds=0.0
            if oldest_ready_at is None
            else max(0.0, (now_ms() - oldest_ready_at) / 1000),
            head=position.head,
            streams=streams.figures(),
            ready=daemon.state == "ready",
            usage=usage,
            refused=await reads.refused(),
        )
    )
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: prometheus.CONTENT_TYPE})
