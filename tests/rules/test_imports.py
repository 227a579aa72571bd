"""Who imports whom, read from the sources of flockd: a sentence for each import that crosses a wall.

An import inside a function or below `TYPE_CHECKING` counts, too: it couples two rooms just the same.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from . import ROOT

AUTHORS = "flockd"
"""The package itself, as agent authors import it: `from flockd import Flock`."""

ANYTHING = "anything"

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    AUTHORS: ("flock", "domain"),
    "demo": (AUTHORS,),
    "__main__": ("cli",),
    "cli": ("process", "app", "config", "flock", "loading", "domain", "store"),
    "process": ("app", "api", "store", "config", "flock", "logs"),
    "app": (ANYTHING,),
    "api": ("board", "store", "streams", "security", "domain", "routing"),
    "dialects": ("board", "store", "streams", "security", "domain", "routing", "api"),
    "supervisor": ("board", "engines.base", "engines.memory", "engines.outside", "domain", "store"),
    "board": ("store", "streams.hub", "domain"),
    "streams": ("store", "domain"),
    "webhooks": ("streams.follow", "board"),
    "security": ("store", "domain", "routing"),
    "loading": ("config", "flock", "domain", "engines"),
    "works": ("board", "supervisor", "store", "engines", "flock", "config", "domain"),
    "testing": ("works", "board", "supervisor", "store", "engines", "flock", "loading", "config", "domain"),
    "flock": ("domain", "engines"),
    "routing": (),
    "logs": ("domain",),
    "engines": ("domain",),
    "store": ("domain",),
    "domain": (),
    "config": (),
    "errors": (),
}
"""What each room may import of ours, besides itself and `errors` (`store`: its reads, but for `board`)."""

ONLY_WHEN_CALLED = {"flock": ("process", "config", "loading", "testing")}
"""What a room may import in a function or for annotations: `Flock.serve` needs a daemon, a flock does not."""


class Owner(NamedTuple):
    """Packages of others that only some rooms may import."""

    packages: tuple[str, ...]
    rooms: tuple[str, ...]
    what: str


OWNERS = (
    Owner(
        ("aiohttp.web", "aiohttp_sse"),
        ("process", "app", "api", "dialects", "streams", "routing"),
        "the server side of aiohttp",
    ),
    Owner(("sqlite3", "aiosqlite", "asyncpg", "psycopg"), ("store",), "a SQL driver"),
    Owner(
        ("openai", "anthropic", "pydantic_ai", "litellm", "crewai", "mcp"), ("engines", "testing"), "an SDK"
    ),
)


class Import(NamedTuple):
    """One imported name, dotted: `from a import b` is `a.b`. Deferred: in a function, for typing."""

    target: str
    line: int
    is_deferred: bool


def imports_of(source: str, package: str) -> Iterator[Import]:
    """What `source` imports, the text of a module in `package`."""
    yield from _visit(ast.parse(source), package.split("."), is_deferred=False)


def _visit(node: ast.AST, package: list[str], *, is_deferred: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            yield from (Import(name.name, node.lineno, is_deferred) for name in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            origin = package[: len(package) - level + 1] if level else []
            origin = [*origin, module] if module else origin
            yield from (Import(".".join([*origin, name.name]), node.lineno, is_deferred) for name in names)
        case ast.Attribute(value=ast.Name(id="aiohttp"), attr="web"):
            yield Import("aiohttp.web", node.lineno, is_deferred)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            is_deferred = True
    for child in ast.iter_child_nodes(node):
        yield from _visit(child, package, is_deferred=is_deferred)


def complaint(file: str, imported: Import) -> str | None:
    """The sentence for an import that `file` (flockd/…) may not make; None for one that it may."""
    target = imported.target
    room = _room(file.removesuffix(".py").replace("/__init__", "").split("/"))
    sentence = f"{file} imports {target} (line {imported.line})"
    for owner in OWNERS:
        if room not in owner.rooms and any(_is_within(target, package) for package in owner.packages):
            return f"{sentence}: {owner.what} may only be imported in {', '.join(owner.rooms)}"
    if not _is_within(target, "flockd") or target == "flockd.__version__":
        return None
    allowed = (*MAY_IMPORT[room], room, "errors")
    if imported.is_deferred:
        allowed += ONLY_WHEN_CALLED.get(room, ())
    if any(_permits(name, target) for name in allowed):
        return None
    return (
        f"{sentence}: room {room} may import {', '.join(MAY_IMPORT[room]) or 'nothing of ours'} (and errors)"
    )


def _permits(allowed: str, target: str) -> bool:
    if allowed in (ANYTHING, _room(target.split("."))):
        return True
    return allowed != AUTHORS and _is_within(target, f"flockd.{allowed}")


def _is_within(target: str, module: str) -> bool:
    return target == module or target.startswith(f"{module}.")


def _room(path: list[str]) -> str:
    """The room of a module, or of a name in one. What is no room is a name of the package."""
    name = path[1] if len(path) > 1 else AUTHORS
    return name if name in MAY_IMPORT else AUTHORS


FILES = sorted((ROOT / "flockd").rglob("*.py"))


def test_every_file_is_in_a_room() -> None:
    names = {file.relative_to(ROOT / "flockd").parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert names - MAY_IMPORT.keys() == set(), "say in MAY_IMPORT what the new room may import"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_import_is_allowed(file: Path) -> None:
    path = file.relative_to(ROOT)
    found = imports_of(file.read_text("utf-8"), ".".join(path.parent.parts))
    assert [sentence for each in found if (sentence := complaint(path.as_posix(), each))] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("flockd/api/artifacts.py", "from flockd.board import Board\nfrom flockd.errors import NotFound"),
        ("flockd/api/artifacts.py", "from aiohttp import web\nimport aiohttp.web"),
        ("flockd/api/openapi.py", "from flockd import __version__"),
        ("flockd/board/publish.py", "from flockd.streams.hub import Hub\nfrom .finish import Finish"),
        ("flockd/cli.py", "import aiohttp\nfrom flockd.app import serve"),
        (
            "flockd/demo/agents.py",
            "from flockd import Context, Flock\nfrom flockd.demo.bugs import find_bugs",
        ),
        ("flockd/flock.py", "def serve():\n    from flockd.process import serve"),
        ("flockd/options.py", "from flockd.flock.signature import read_signature"),
        ("flockd/supervisor/runner.py", "from flockd.engines import base"),
    ],
)
def test_allowed(file: str, source: str) -> None:
    package = file.rpartition("/")[0].replace("/", ".")
    assert [complaint(file, each) for each in imports_of(source, package) if complaint(file, each)] == []


@pytest.mark.parametrize(
    ("file", "source", "sentence"),
    [
        (
            "flockd/board/publish.py",
            "from flockd.streams.follow import Follow",
            "flockd/board/publish.py imports flockd.streams.follow.Follow (line 1): "
            "room board may import store, streams.hub, domain (and errors)",
        ),
        (
            "flockd/domain/run.py",
            "from .. import board",
            "room domain may import nothing of ours (and errors)",
        ),
        ("flockd/domain/run.py", "import flockd", "room domain may import nothing of ours (and errors)"),
        ("flockd/demo/agents.py", "from flockd.flock import Flock", "room demo may import flockd"),
        ("flockd/demo/agents.py", "import flockd.store.sqlite", "room demo may import flockd"),
        ("flockd/flock.py", "from flockd.process import serve", "room flock may import domain"),
        (
            "flockd/store/sqlite.py",
            "def load():\n    from flockd.config import Config",
            "room store may import domain",
        ),
        (
            "flockd/supervisor/runner.py",
            "if TYPE_CHECKING:\n    from flockd.engines.llm import LLM",
            "room supervisor may import",
        ),
        ("flockd/supervisor/timers.py", "import sqlite3", "a SQL driver may only be imported in store"),
        ("flockd/flock.py", "def ask():\n    import openai", "an SDK may only be imported in engines"),
        (
            "flockd/cli.py",
            "import aiohttp\naiohttp.web.run_app(app)",
            "the server side of aiohttp may only be imported in",
        ),
        (
            "flockd/config/load.py",
            "from flockd.domain import duration",
            "room config may import nothing of ours",
        ),
    ],
)
def test_refused(file: str, source: str, sentence: str) -> None:
    package = file.rpartition("/")[0].replace("/", ".")
    complaints = [complaint(file, each) for each in imports_of(source, package)]
    assert sentence in "\n".join(filter(None, complaints))
