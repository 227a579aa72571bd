"""The OpenAPI documents as they are served: written once, when the application is put together."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from aiohttp import hdrs, web

from flockd import __version__
from flockd.api import convert, openapi
from flockd.api.keys import ApiSettings
from flockd.routing import JSON, Call, Route

OPENAPI_31 = web.AppKey("OPENAPI_31", bytes)
OPENAPI_30 = web.AppKey("OPENAPI_30", bytes)


def write_documents(app: web.Application, routes: Sequence[Route], settings: ApiSettings) -> None:
    document = openapi.document(routes, __version__, settings)
    app[OPENAPI_31] = orjson.dumps(document)
    app[OPENAPI_30] = orjson.dumps(convert.to_openapi_30(document))


async def openapi_31(call: Call[None, None]) -> web.StreamResponse:
    """The OpenAPI 3.1 document."""
    return _document(call.app[OPENAPI_31])


async def openapi_30(call: Call[None, None]) -> web.StreamResponse:
    """The same as OpenAPI 3.0."""
    return _document(call.app[OPENAPI_30])


def _document(document: bytes) -> web.Response:
    return web.Response(body=document, headers={hdrs.CONTENT_TYPE: JSON, hdrs.CACHE_CONTROL: "no-cache"})
