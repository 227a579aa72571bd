"""What the handlers that read have in common: ids in paths, and the frame of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from flockd.api.keys import SETTINGS
from flockd.api.queries import Page
from flockd.domain.identity import parse_id
from flockd.errors import InvalidInput, NotFound
from flockd.routing import Call
from flockd.store.reads import Total


def identity(call: Call[Any, Any], part: str, noun: str) -> str:
    """The id in the path. One that is malformed names nothing: raises NotFound."""
    given = call.part(part)
    found = parse_id(given)
    if found is None:
        raise NotFound(f"{noun} not found: {given}")
    return found


def check_offset(app: web.Application, wanted: Page, instead: str = "the filters") -> None:
    """Raises InvalidInput past `limits.offset_max`; `instead` is what a client should use to get there."""
    most = app[SETTINGS].offset_max
    if wanted.offset > most:
        raise InvalidInput.field(
            "offset", f"At most {most} (limits.offset_max); use {instead} instead", "too_large"
        )


def page(wanted: Page, total: Total) -> dict[str, object]:
    """Where a page is in its list."""
    return {
        "limit": wanted.limit,
        "offset": wanted.offset,
        "total": total.count,
        "total_exact": total.exact,
    }


def error_entries(errors: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"agent": agent, "error": message} for agent, message in errors]
