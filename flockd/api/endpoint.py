"""A route as aiohttp serves it: what the table says is checked here, so that handlers see only good input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import hdrs, web
from pydantic import BaseModel

from flockd.api import json_body, problem
from flockd.api.idempotency import again, given_before
from flockd.api.keys import DAEMON, ApiSettings
from flockd.api.middleware import JSON_HEADERS
from flockd.api.validation import validated, validated_query
from flockd.errors import FlockdError, InvalidInput, Unavailable
from flockd.routing import JSON, Call, Route


class Endpoint:
    """Serves one route."""

    def __init__(self, route: Route, settings: ApiSettings) -> None:
        self._route = route
        self._depth_max = settings.json_depth
        self._body_setting = "bulk_body_bytes" if route.bulk else "body_bytes"
        self._body_max = settings.bulk_body_bytes if route.bulk else settings.body_bytes

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Check the request, call the handler, make the response of a JSON answer."""
        if self._route.publishes or self._route.keyed:
            answer = await self._once(await self._checked(request))
        else:
            answer = await self._route.handler(await self._checked(request))
        return web.Response(body=answer, headers=JSON_HEADERS) if isinstance(answer, bytes) else answer

    async def _once(self, call: Call[Any, Any]) -> bytes | web.StreamResponse:
        """Call a handler that honours keys. What a key was answered stays, though it would be refused by now."""
        try:
            return await self._route.handler(call)
        except FlockdError as error:
            before = await given_before(call) if error.status < 500 else None
            if before is None:
                raise
            return again(before)

    async def _checked(self, request: web.Request) -> Call[Any, Any]:
        """What the handler gets; it alone keeps it, since a stream may last for days."""
        route = self._route
        if route.publishes or route.starts_work:
            _refuse_unless_ready(request)
        query = None
        if not route.any_query and (route.query is not None or request.query_string):
            query = validated_query(route.query, request.query)
        body: BaseModel | bytes | None = None
        parsed: Any = None
        if route.method != "GET":
            body, parsed = await self._body(request)
        return Call(request, query, body, parsed)

    async def _body(self, request: web.Request) -> tuple[BaseModel | bytes | None, Any]:
        """The body as the route's model (or as bytes, where it is none of JSON's), and as plain data."""
        route, raw = self._route, b""
        if request.can_read_body:
            media = json_body.media_type(request, route.body_media)
            raw = await json_body.read(request, self._body_max, self._body_setting)
            if media != JSON:
                return raw, None
        if route.body is not None:
            parsed = json_body.parse(raw, self._depth_max)
            return validated(route.body, parsed), parsed
        if raw and json_body.parse(raw, self._depth_max) != {}:
            raise InvalidInput("This route takes no body")
        return None, None


def _refuse_unless_ready(request: web.Request) -> None:
    state = request.app[DAEMON].state
    if state != "ready":
        raise Unavailable(f"The daemon is {state}; try again")


def add_routes(app: web.Application, routes: Iterable[Route], settings: ApiSettings) -> None:
    """Register a table: each path with and without a slash at its end, HEAD beside GET, and the 405s.

    A path without variable parts answers every other method itself: `GET /api/v1/artifacts/sync` must be a
    405 and not an artifact of the name "sync".
    """
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    for path, here in by_path.items():
        methods = {method: route for route in here for method in _methods(route)}
        for spelling in {path, path.rstrip("/") + "/"}:
            resource = app.router.add_resource(spelling)
            for method, route in methods.items():
                resource.add_route(method, Endpoint(route, settings).serve)
            if "{" not in path:
                resource.add_route(hdrs.METH_ANY, _not_allowed(set(methods)))


def _methods(route: Route) -> tuple[str, ...]:
    return (hdrs.METH_GET, hdrs.METH_HEAD) if route.method == hdrs.METH_GET else (route.method,)


def _not_allowed(allowed: set[str]) -> Any:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise problem.not_allowed(request.method, allowed)

    return refuse
