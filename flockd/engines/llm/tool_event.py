"""The event `tool.called`: which tool, with what, how long it took and how it ended; never what it gave back."""

from __future__ import annotations

import json
from typing import Any

import orjson

ARGUMENT_BYTES = 4096
"""What an event keeps of the arguments of a call."""

_CUTS = ((1000, 100, 8), (200, 20, 5), (40, 8, 3))
"""How arguments are shortened, until they fit: (characters of a text, members of a list or object, depth)."""


def tool_called(tool: str, arguments: str, duration_ms: int, error: str | None) -> bytes:
    """The data of the event, as JSON. `arguments` is JSON, too; `error` None: the call went well."""
    return orjson.dumps(
        {
            "tool": tool,
            "arguments": bounded(json.loads(arguments)),
            "duration_ms": duration_ms,
            "outcome": "ok" if error is None else "error",
            "error": error,
        }
    )


def bounded(arguments: Any) -> Any:
    """Arguments that can be stored and are at most so many bytes as JSON; what is cut ends in `…`."""
    for characters, members, depth in ((ARGUMENT_BYTES, ARGUMENT_BYTES, 50), *_CUTS):
        shortened = _shortened(arguments, characters, members, depth)
        if len(orjson.dumps(shortened)) <= ARGUMENT_BYTES:
            return shortened
    return "…"


def _shortened(value: Any, characters: int, members: int, depth: int) -> Any:
    match value:
        case str():
            return _text(value, characters)
        case dict() | list() if value and not depth:
            return "…"
        case dict():
            kept = {
                _text(key, characters): _shortened(one, characters, members, depth - 1)
                for key, one in list(value.items())[:members]
            }
            return kept if len(value) <= members else {**kept, "…": len(value) - members}
        case list():
            listed = [_shortened(one, characters, members, depth - 1) for one in value[:members]]
            return listed if len(value) <= members else [*listed, "…"]
        case int() if not -(2**63) <= value < 2**63:  # orjson writes no larger ones
            return _text(str(value), characters)
    return value


def _text(text: str, characters: int) -> str:
    cut = text if len(text) <= characters else f"{text[:characters]}…"
    return cut.encode(errors="replace").decode()
