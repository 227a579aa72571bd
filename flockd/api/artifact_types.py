"""Artifact types, with their schemas."""

from __future__ import annotations

import orjson

from flockd.api.keys import BOARD
from flockd.api.listing import check_offset
from flockd.api.queries import Page
from flockd.routing import Call


async def list_types(call: Call[Page, None]) -> bytes:
    """List artifact types with their schemas."""
    query = call.query
    check_offset(call.app, query)
    types = sorted(call.app[BOARD].types.values(), key=lambda artifact_type: artifact_type.name)
    shown = [
        {
            "name": artifact_type.name,
            "description": artifact_type.description,
            "version": artifact_type.version,
            "schema": artifact_type.schema,
        }
        for artifact_type in types[query.offset : query.offset + query.limit]
    ]
    return orjson.dumps({"types": shown, "total": len(types), "limit": query.limit, "offset": query.offset})
