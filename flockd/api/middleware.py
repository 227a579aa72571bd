"""The one middleware: a request id for each request, every error in one shape, the headers of responses."""

from __future__ import annotations

import logging
import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from flockd.api import problem
from flockd.api.keys import METRICS, REQUEST_ID
from flockd.domain.identity import new_id
from flockd.errors import FlockdError
from flockd.routing import JSON

logger = logging.getLogger(__name__)

X_REQUEST_ID = "X-Request-ID"
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@,~-]{1,128}")
"""What may be written to logs and headers as it came."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": "no-referrer",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of what is not a page; a page brings its own."""


JSON_HEADERS = CIMultiDict(
    {
        hdrs.CONTENT_TYPE: JSON,
        **SECURITY_HEADERS,
        "Content-Security-Policy": DATA_POLICY,
        hdrs.CACHE_CONTROL: "no-store",
    }
)
"""All headers of an answer that is JSON, but for its request id."""


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what is raised as problem+json. What nobody foresaw is logged, and its answer tells nothing."""
    given = request.headers.get(X_REQUEST_ID)
    request_id = given if given is not None and _SAFE_ID.fullmatch(given) else new_id()
    request[REQUEST_ID] = request_id
    try:
        return await handler(request)
    except FlockdError as raised:
        error = raised
    except web.HTTPException as raised:
        if raised.status < 400:
            raise
        error = problem.of_framework(raised, request)
    except Exception as raised:
        if isinstance(raised, ConnectionError) and (
            request.transport is None or request.transport.is_closing()
        ):
            logger.debug("the client of request %s has gone", request_id)
            return web.Response()  # nobody reads it
        if request.writer.output_size > 0:
            raise  # a part of the answer is out: the framework logs this and closes the connection
        logger.exception("request %s: %s %s failed", request_id, request.method, request.path)
        error = FlockdError(f"An internal error; the log has it under request {request_id}")
    request.app[METRICS].rejected(error.code)
    return problem.response(error, request_id)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of the application, so that streams and files get them too."""
    headers = response.headers
    headers[X_REQUEST_ID] = request.get(REQUEST_ID) or new_id()
    if "X-Frame-Options" in headers:
        return  # it was made with JSON_HEADERS
    headers.update(SECURITY_HEADERS)
    headers.setdefault("Content-Security-Policy", DATA_POLICY)
    if headers.get(hdrs.CONTENT_TYPE) in _NEVER_STORED:
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


_NEVER_STORED = frozenset({JSON, problem.PROBLEM_JSON})
"""The board changes all the time; a cache in between must not answer for it."""
