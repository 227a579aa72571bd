"""The wire shape of errors: `application/problem+json`, for every route and for the framework's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from flockd.domain.moment import iso, now_ms
from flockd.errors import (
    FlockdError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)

PROBLEM_JSON = "application/problem+json"


def document(error: FlockdError, request_id: str) -> dict[str, Any]:
    """The body of the answer. `detail` and `message` are one sentence, `error` is for programs."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "error": error.code,
        "message": error.message,
        "details": error.details,
        "timestamp": iso(now_ms()),
        "request_id": request_id,
    }


def response(error: FlockdError, request_id: str) -> web.Response:
    return web.Response(
        status=error.status,
        body=orjson.dumps(document(error, request_id)),
        headers={**error.headers, hdrs.CONTENT_TYPE: PROBLEM_JSON},
    )


def of_framework(raised: web.HTTPException, request: web.Request) -> FlockdError:
    """The framework's exception as one of ours."""
    if isinstance(raised, web.HTTPMethodNotAllowed):
        return not_allowed(request.method, raised.allowed_methods)
    if isinstance(raised, web.HTTPNotFound):
        return NotFound(f"There is nothing at {request.path}")
    if isinstance(raised, web.HTTPRequestEntityTooLarge):
        return TooLarge()
    if isinstance(raised, web.HTTPUnsupportedMediaType):
        return UnsupportedMediaType()
    return InvalidInput() if raised.status < 500 else FlockdError()


def not_allowed(method: str, allowed: set[str]) -> MethodNotAllowed:
    allow = ", ".join(sorted(allowed))
    return MethodNotAllowed(f"{method} is not allowed here, but {allow}", headers={hdrs.ALLOW: allow})
