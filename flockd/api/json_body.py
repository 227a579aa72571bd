"""Reading the body of a request: its size, its media type, its JSON and how deep that nests."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import hdrs, web

from flockd.errors import FieldProblem, InvalidInput, TooLarge, UnsupportedMediaType
from flockd.routing import JSON


def media_type(request: web.Request, accepted: tuple[str, ...]) -> str:
    """Which of the accepted media the body is; `application/*+json` is JSON. Raises UnsupportedMediaType."""
    if request.headers.get(hdrs.CONTENT_TYPE) == JSON:
        return JSON
    given = request.content_type.lower()
    if given in accepted:
        return given
    if given.startswith("application/") and given.endswith("+json"):
        return JSON
    raise UnsupportedMediaType(f"Send the header Content-Type: {' or '.join(accepted)}")


async def read(request: web.Request, limit: int, setting: str) -> bytes:
    """The whole body. Raises TooLarge, as early as it is known, with the setting that bounds it."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit, setting)
    body = await request.content.readany()
    while not request.content.at_eof():
        if len(body) > limit:
            break
        body += await request.content.readany()
    if len(body) > limit:
        raise _too_large(limit, setting)
    return body


def _too_large(limit: int, setting: str) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes (limits.{setting})", details={"limit": limit})


def parse(body: bytes, depth_max: int) -> Any:
    """The JSON as plain data. Raises InvalidInput with line and column, or where it nests too deep."""
    if not body:
        raise InvalidInput.field("", "The request needs a JSON body", "missing")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as malformed:
        problem = FieldProblem("", f"Malformed JSON: {malformed}", "json_invalid")
        error = InvalidInput.of([problem])
        assert error.details is not None
        error.details |= {"line": malformed.lineno, "column": malformed.colno}
        raise error from None
    if body.count(b"[") + body.count(b"{") > depth_max and _is_deeper(value, depth_max):
        issue = f"The JSON nests deeper than {depth_max} levels (limits.json_depth)"
        raise InvalidInput.field("", issue, "json_too_deep")
    return value


def _is_deeper(value: Any, depth_max: int) -> bool:
    """Level by level, without recursion: the input decides how deep it goes."""
    level = [value]
    for _ in range(depth_max):
        level = [
            child
            for nested in level
            for child in (nested.values() if isinstance(nested, dict) else nested)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
