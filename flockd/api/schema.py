"""The OpenAPI documents as they are served."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import orjson
from aiohttp import hdrs, web

from flockd import __version__
from flockd.api import convert, openapi
from flockd.api.keys import ApiSettings
from flockd.routing import JSON, Call, Route


class Documents:
    """Each is written when it is asked for the first time: that takes longer than all else that an application is put
    together of, and most daemons are never asked."""

    def __init__(self, routes: Sequence[Route], settings: ApiSettings) -> None:
        self._routes = routes
        self._settings = settings

    @cached_property
    def openapi_31(self) -> bytes:
        return orjson.dumps(openapi.document(self._routes, __version__, self._settings))

    @cached_property
    def openapi_30(self) -> bytes:
        return orjson.dumps(convert.to_openapi_30(orjson.loads(self.openapi_31)))


DOCUMENTS = web.AppKey("DOCUMENTS", Documents)


async def openapi_31(call: Call[None, None]) -> web.StreamResponse:
    """The OpenAPI 3.1 document."""
    return _document(call.app[DOCUMENTS].openapi_31)


async def openapi_30(call: Call[None, None]) -> web.StreamResponse:
    """The same as OpenAPI 3.0."""
    return _document(call.app[DOCUMENTS].openapi_30)


def _document(document: bytes) -> web.Response:
    return web.Response(body=document, headers={hdrs.CONTENT_TYPE: JSON, hdrs.CACHE_CONTROL: "no-cache"})
