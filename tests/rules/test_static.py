"""What is served to browsers: vendored files are what they claim to be, ours need no other host."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from . import ROOT

STATIC = ROOT / "static"
VENDOR = STATIC / "vendor"
FILES = tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))["files"]
OURS = sorted(
    path
    for path in STATIC.rglob("*")
    if path.suffix in {".html", ".js", ".mjs", ".css", ".svg"} and not path.is_relative_to(VENDOR)
)
PAGES = [path for path in OURS if path.suffix == ".html"]
API_DOCUMENTS = [STATIC / "docs.html", STATIC / "redoc.html"]

NAMESPACE = "http://www.w3.org/"
"""XML namespaces look like addresses and are never asked for."""

ADDRESS = re.compile(r"""(?:https?|wss?)://[^\s"'`<>)]+|(?<=["'`(])//\w[^\s"'`<>)]+""")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_the_one_that_was_published(entry: dict[str, str]) -> None:
    assert set(entry) == {"name", "version", "file", "source", "sha256", "licence"}
    assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]


def test_every_vendored_file_is_listed_with_its_licence() -> None:
    there = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()} - {
        "VENDOR.toml"
    }
    assert there == {entry["file"] for entry in FILES}
    folders = {file.partition("/")[0] for file in there}
    assert {folder for folder in folders if f"{folder}/LICENSE" not in there} == set()


@pytest.mark.parametrize("path", OURS, ids=_name)
def test_nothing_of_ours_names_another_host(path: Path) -> None:
    addresses = ADDRESS.findall(path.read_text("utf-8"))
    assert [address for address in addresses if not address.startswith(NAMESPACE)] == []


def test_addresses_are_recognised() -> None:
    text = """<img src="https://a.example/x"> url(//b.example/y) // a comment, "/static/z" ws://c.example"""
    assert ADDRESS.findall(text) == ["https://a.example/x", "//b.example/y", "ws://c.example"]


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_says_its_encoding_first(path: Path) -> None:
    assert re.search(r'<head>\s*<meta charset="utf-8">', path.read_text("utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_what_a_page_loads_is_there(path: Path) -> None:
    loaded = re.findall(r'(?:src|href)="/static/([^"]+)"', path.read_text("utf-8"))
    assert loaded
    assert [file for file in loaded if not (STATIC / file).is_file()] == []


@pytest.mark.parametrize("path", API_DOCUMENTS, ids=_name)
def test_the_api_documents_run_under_a_strict_content_security_policy(path: Path) -> None:
    page = path.read_text("utf-8")
    assert re.findall(r"<script(?![^>]* src=)", page) == [], "inline script"
    assert re.findall(r'\son\w+\s*=\s*"', page) == [], "inline handler"
    script = path.with_suffix(".js")
    assert f'src="/static/{script.name}"' in page
    assert '"/openapi.json"' in script.read_text("utf-8")


def test_redoc_may_not_fetch_its_logo() -> None:
    """Its footer asks a CDN for one; the page's own policy refuses, whatever the server sends."""
    assert "cdn.redoc.ly" in (VENDOR / "redoc" / "redoc.standalone.js").read_text("utf-8")
    page = (STATIC / "redoc.html").read_text("utf-8")
    assert """<meta http-equiv="Content-Security-Policy" content="img-src 'self' data:">""" in page
