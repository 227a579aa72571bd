"""The index, the shells of the documentation, and their files."""

from __future__ import annotations

import re

import pytest
from pytest_aiohttp.plugin import AiohttpClient

import flockd
from flockd.api.pages import static_root
from flockd.app import make_app
from flockd.config import Config

from .conftest import Api
from .flocks import Gate, make_flock

INDEX = {
    "name": "api-tests",
    "version": flockd.__version__,
    "docs": "/docs",
    "redoc": "/redoc",
    "openapi": "/openapi.json",
    "health": "/health",
}


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
async def test_programs_are_told_what_runs_here(api: Api, accept: str) -> None:
    answer = await api.get("/", Accept=accept)
    assert answer.ok() == INDEX
    assert answer.headers["Vary"] == "Accept"


async def test_browsers_get_the_page(api: Api) -> None:
    answer = await api.get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert answer.body == (static_root() / "index.html").read_bytes()


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
async def test_a_page_loads_what_is_here_and_only_that(api: Api, path: str) -> None:
    page = await api.get(path, Accept="text/html")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    named = re.findall(rb'(?:src|href)="(/[^"#]*)"', page.body)
    assert named
    for address in named:
        assert (await api.get(address.decode())).status == 200, address
    assert re.findall(rb'(?:src|href)="(?:https?:)?//', page.body) == []
    again = await api.get(path, Accept="text/html", **{"If-None-Match": page.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_an_inline_script_is_named_by_its_hash(api: Api) -> None:
    page = await api.get("/", Accept="text/html")
    inline = re.findall(rb"<script(?![^>]*\ssrc=)[^>]*>", page.body)
    hashes = re.findall(r"'sha256-[A-Za-z0-9+/]+='", page.headers["Content-Security-Policy"])
    assert len(hashes) == len(inline)


async def test_files_are_told_apart_by_their_tags(api: Api) -> None:
    own, vendored = (
        await api.get("/static/docs.js"),
        await api.get("/static/vendor/swagger-ui/swagger-ui.css"),
    )
    assert own.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert vendored.headers["Content-Type"] == "text/css; charset=utf-8"
    assert own.headers["Cache-Control"] == "no-cache"
    assert "max-age" in vendored.headers["Cache-Control"]
    again = await api.get("/static/docs.js", **{"If-None-Match": own.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "..%2fpyproject.toml",
        "%2e%2e/pyproject.toml",
        "vendor/..%2f..%2fpyproject.toml",
        "..%5cpyproject.toml",
        "%2fetc%2fpasswd",
        "docs.js%00",
        "vendor",
    ],
)
async def test_no_path_leads_out(api: Api, path: str) -> None:
    (await api.get(f"/static/{path}")).problem(404, "NOT_FOUND")


async def test_the_page_can_be_switched_off(
    aiohttp_client: AiohttpClient, config: Config, gate: Gate
) -> None:
    without = config.model_copy(update={"server": config.server.model_copy(update={"page": False})})
    api = Api(await aiohttp_client(make_app(without, make_flock(gate))))
    answer = await api.get("/", Accept="text/html")
    assert answer.ok() == INDEX
