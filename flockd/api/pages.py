"""The page, the shells of the API documentation and their files. Nothing in them comes from another host."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiohttp import hdrs, web

from flockd import __version__
from flockd.api.keys import DAEMON, SETTINGS
from flockd.errors import NotFound
from flockd.routing import Call

PAGE_POLICY = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Swagger UI and Redoc write styles. `{scripts}` names the inline scripts of a page by their hashes."""

_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_MEDIA = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
"""What browsers insist on, and systems disagree about."""
_REVALIDATE = "no-cache"
_VENDORED = "public, max-age=86400"
"""What others made changes only with a release."""


def static_root() -> Path:
    """The folder of the page: inside the package where it was installed from a wheel, else beside it."""
    package = Path(__file__).parents[1]
    inside = package / "static"
    return inside if inside.is_dir() else package.parent / "static"


class _Page(NamedTuple):
    """An HTML file as it is served."""

    body: bytes
    policy: str
    etag: str


@cache
def _page(name: str) -> _Page | None:
    path = static_root() / name
    if not path.is_file():
        return None
    body = path.read_bytes()
    digests = [hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(body)]
    scripts = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return _Page(body, PAGE_POLICY.format(scripts=scripts), hashlib.sha256(body).hexdigest()[:32])


@cache
def _files() -> dict[str, Path]:
    """Every file that may be served, by its path below /static: no other name leads anywhere."""
    root = static_root()
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".html"  # a page has its own route, and its policy with it
    }


async def index(call: Call[None, None]) -> bytes | web.StreamResponse:
    """Show the page, or tell programs what runs here.

    The page where Accept names text/html.
    """
    page = _page("index.html") if call.app[SETTINGS].page else None
    if page is not None and "text/html" in call.request.headers.get(hdrs.ACCEPT, ""):
        response = _html(call, page)
    else:
        response = web.Response(body=_index(call), content_type="application/json")
    response.headers[hdrs.VARY] = hdrs.ACCEPT
    return response


def _index(call: Call[Any, Any]) -> bytes:
    return orjson.dumps(
        {
            "name": call.app[DAEMON].name,
            "version": __version__,
            "docs": "/docs",
            "redoc": "/redoc",
            "openapi": "/openapi.json",
            "health": "/health",
        }
    )


async def docs(call: Call[None, None]) -> web.StreamResponse:
    """Swagger UI."""
    return _shell(call, "docs.html")


async def redoc(call: Call[None, None]) -> web.StreamResponse:
    """Redoc."""
    return _shell(call, "redoc.html")


def _shell(call: Call[Any, Any], name: str) -> web.Response:
    page = _page(name)
    if page is None:
        raise NotFound(f"This installation lacks its page {name}")
    return _html(call, page)


def _html(call: Call[Any, Any], page: _Page) -> web.Response:
    unchanged = any(tag.value == page.etag for tag in call.request.if_none_match or ())
    response = web.Response(status=304) if unchanged else web.Response(body=page.body)
    if not unchanged:
        response.headers[hdrs.CONTENT_TYPE] = "text/html; charset=utf-8"
    response.etag = page.etag
    response.headers[hdrs.CACHE_CONTROL] = _REVALIDATE
    response.headers["Content-Security-Policy"] = page.policy
    return response


async def static_file(call: Call[None, None]) -> web.StreamResponse:
    """One of the files that the pages load."""
    name = call.part("path")
    path = _files().get(name)
    if path is None:
        raise NotFound(f"There is nothing at {call.request.path}")
    headers = {hdrs.CACHE_CONTROL: _VENDORED if name.startswith("vendor/") else _REVALIDATE}
    if path.suffix in _MEDIA:
        headers[hdrs.CONTENT_TYPE] = _MEDIA[path.suffix]
    return web.FileResponse(path, headers=headers)
