"""Which workflows there are: the same answer for as long as the daemon runs, and said to be so."""

from __future__ import annotations

from hashlib import blake2b

import orjson
from aiohttp import ETag, hdrs, web

from flockd.api.keys import BOARD
from flockd.dialects.keys import WORKFLOWS
from flockd.dialects.workflows.session import Progression
from flockd.routing import JSON, Call

_CACHED = "max-age=300"
"""Seconds for which a client need not ask again, as document 004's cache has it."""


async def workflow_types(call: Call[None, None]) -> web.StreamResponse:
    """List the workflows that can be asked for."""
    app = call.app
    progressions = [Progression(workflow, app[BOARD].agents) for workflow in app[WORKFLOWS].values()]
    body = orjson.dumps(
        {
            "workflow_types": [one.workflow.name for one in progressions],
            "workflows": [
                {
                    "name": one.workflow.name,
                    "description": one.workflow.description,
                    "phases": [phase.name for phase in one.workflow.phases],
                    "engine": one.engine,
                }
                for one in progressions
            ],
        }
    )
    etag = blake2b(body, digest_size=16).hexdigest()
    known = call.request.if_none_match or ()
    if any(one.value in (etag, "*") for one in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: JSON})
    response.etag = ETag(value=etag)
    response.headers[hdrs.CACHE_CONTROL] = _CACHED
    return response
