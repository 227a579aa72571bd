"""The examples of docs/http.md work, in their order, and no route is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from flockd.api import ROUTES
from flockd.app import make_app
from flockd.config import Config
from flockd.demo import flock

from .conftest import Api

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
HOST = "localhost:8344"


class Example(NamedTuple):
    """One call of curl."""

    method: str
    path: str
    headers: dict[str, str]
    data: bytes | None


def examples() -> Iterator[Example]:
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        for command in re.split(r"^(?=curl )", block, flags=re.MULTILINE):
            if command:
                yield example(shlex.split(command))


def example(words: list[str]) -> Example:
    """Understands what the page uses of curl."""
    method, path, headers, data = "GET", "", {}, None
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            method, data = "POST", next(rest).encode()
        elif word.startswith(HOST):
            path = word.removeprefix(HOST)
        else:
            assert word == "-s", f"the test does not know {word}"
    return Example(method, path, headers, data)


def learned(answer: Any) -> Iterator[tuple[str, str]]:
    """What later examples refer to."""
    if isinstance(answer, dict):
        for name in ("artifact_id", "correlation_id", "run_id"):
            if isinstance(answer.get(name), str):
                yield f"${name.upper()}", answer[name]


async def test_the_examples_work(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    config = Config.model_validate({"store": {"data_dir": tmp_path}})
    api = Api(await aiohttp_client(make_app(config, flock)))
    known: dict[str, str] = {}
    tried = 0
    for one in examples():
        path = one.path
        for name, value in known.items():
            path = path.replace(name, value)
        assert "$" not in path
        answer = await api.request(one.method, path, data=one.data, headers=one.headers)
        assert answer.status == 200, (path, answer.body)
        if answer.headers["Content-Type"] == "application/json":
            known.update(learned(answer.json()))
        tried += 1
    assert tried > 15


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES if "{path" not in route.path}))
def test_no_route_is_left_out(path: str) -> None:
    pattern = (
        re.escape(path).replace(re.escape("{artifact_id}"), r"\S+").replace(re.escape("{run_id}"), r"\S+")
    )
    pattern = pattern.replace(re.escape("{correlation_id}"), r"\S+").replace(re.escape("{name}"), r"\w+")
    assert re.search(rf"{pattern}(?![\w/{{])", TEXT), f"docs/http.md does not tell of {path}"
