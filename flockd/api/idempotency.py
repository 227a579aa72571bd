"""Idempotency keys: what a request means by one, and the answer of a request that was made before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import orjson
from aiohttp import hdrs, web

from flockd.api.keys import BOARD
from flockd.board import Idempotency, Published
from flockd.errors import FlockdError, InvalidInput
from flockd.routing import JSON, Call

X_IDEMPOTENCY_KEY = "X-Idempotency-Key"
IDEMPOTENCY_KEY = "Idempotency-Key"
CALLER = "anonymous"
"""Who holds the key, where nobody has to say who they are."""

KEY = "[!-~]([ -~]{0,253}[!-~])?"
"""1 to 255 printable ASCII characters, without a space at either end, which headers lose."""
_HASH_BYTES = 16

Answer = Callable[[Sequence[Published | FlockdError]], bytes]


def idempotency(call: Call[Any, Any], parsed: Any, answer: Answer | None = None) -> Idempotency | None:
    """What the board keeps for this request's key, or None where it has none.

    A key belongs to its caller, method and path, and to the body (as parsed: spaces and order do not count).
    `answer` makes the final answer inside the transaction; without it the answer comes later.
    """
    key = _key(call.request)
    if key is None:
        return None
    scope = "\0".join((CALLER, call.request.method, call.request.path.rstrip("/"), key))
    body = orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    return Idempotency(_hash(scope.encode()), _hash(body), answer)


async def given_before(call: Call[Any, Any]) -> bytes | None:
    """The final answer to this request, where it was made before under its key.

    For one that is refused now, since what it is checked against has changed: a file was moved, an agent is gone.
    """
    try:
        record = idempotency(call, call.parsed)
        return None if record is None else await call.app[BOARD].recall(record)
    except FlockdError:  # another body, or no key at all: what it was refused for says more
        return None


def again(answer: bytes) -> web.Response:
    """The answer of a request that was made before."""
    return web.Response(body=answer, headers={hdrs.CONTENT_TYPE: JSON, "Idempotency-Replayed": "true"})


def _key(request: web.Request) -> str | None:
    headers = request.headers
    first, second = headers.get(X_IDEMPOTENCY_KEY), headers.get(IDEMPOTENCY_KEY)
    if first is not None and second is not None and first != second:
        raise InvalidInput.field(
            IDEMPOTENCY_KEY, f"{X_IDEMPOTENCY_KEY} and {IDEMPOTENCY_KEY} differ", "ambiguous"
        )
    key = first if first is not None else second
    if key is not None and not re.fullmatch(KEY, key):
        raise InvalidInput.field(
            X_IDEMPOTENCY_KEY, "An idempotency key is 1 to 255 printable ASCII characters", "idempotency_key"
        )
    return key


def _hash(value: bytes) -> bytes:
    return blake2b(value, digest_size=_HASH_BYTES).digest()
