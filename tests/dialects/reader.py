"""Somebody who reads a page of docs/ and does what it says: commands by bash, clients by Python, against one daemon.

A `json` or `text` block is what the block before it prints. Ids and times may be others; a … stands for anything: as
a value for that value, as a key for other keys, in a list for what else is in it, in whatever order.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .conftest import Served

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "localhost:8344"
ANY = "…"
LIMIT_SECONDS = 60.0
_VARIES = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "TIME"),
)
_BLOCK = re.compile(r"^```(sh|python|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """What is to be done, and what comes of it."""

    language: str
    text: str
    shown: str | None


def examples(page: str) -> Iterator[Example]:
    blocks = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    for (language, text), (following, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language in ("sh", "python"):
            yield Example(language, text, output if following in ("json", "text") else None)


async def follow_page(page: str, api: Served, folder: Path, *ids: str) -> int:
    """Do all that a page says, in this folder. `ids` are the fields of answers that later commands refer to, as
    `$SESSION_ID`; each work that is started is waited for. Answers how many examples there were."""
    known: dict[str, str] = {}
    done = 0
    for example in examples(page):
        for command in _commands(example):
            printed = await _run(api, folder, example.language, command, known)
            if example.language == "sh":
                await _learn(api, printed, ids, known)
        if example.shown is not None:
            _check(example, printed)
        done += 1
    return done


def _commands(example: Example) -> list[str]:
    if example.language == "python":
        return [example.text]
    return [one for one in re.split(r"^(?=curl |flockd )", example.text, flags=re.MULTILINE) if one.strip()]


async def _run(api: Served, folder: Path, language: str, text: str, known: dict[str, str]) -> str:
    """What it prints; it must end well."""
    url = api.client.make_url("")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FLOCKD_SERVER__HOST": str(url.host),
        "FLOCKD_SERVER__PORT": str(url.port),
    }
    program = ["bash", "-euo", "pipefail"] if language == "sh" else [sys.executable, "-X", "dev"]
    process = await asyncio.create_subprocess_exec(
        *program,
        "-c",
        text.replace(ADDRESS, f"{url.host}:{url.port}"),
        cwd=folder,
        env=os.environ | environment | known,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode == 0, (text, err.decode())
    assert out or not text.startswith("curl "), text
    return out.decode()


async def _learn(api: Served, printed: str, ids: tuple[str, ...], known: dict[str, str]) -> None:
    try:
        answer = json.loads(printed)
    except json.JSONDecodeError:
        return  # a stream
    for name in ids:
        if name in answer:
            known[name.upper()] = answer[name]
            await api.ended(answer[name])


def _check(example: Example, printed: str) -> None:
    assert example.shown is not None
    if example.language == "python":
        assert printed == example.shown
    else:
        shown, got = json.loads(example.shown), json.loads(printed)
        assert like(shown, got), (example.text, printed)


def like(shown: Any, got: Any) -> bool:
    """Whether a value is as it is shown; a `seq` may be another one."""
    if shown == ANY:
        return True
    if isinstance(shown, dict) and isinstance(got, dict):
        same = shown.keys() - {ANY} <= got.keys() if ANY in shown else list(shown) == list(got)
        return same and all(key == "seq" or like(one, got[key]) for key, one in shown.items() if key != ANY)
    if isinstance(shown, list) and isinstance(got, list):
        if ANY in shown:
            return all(any(like(one, other) for other in got) for one in shown if one != ANY)
        return len(shown) == len(got) and all(map(like, shown, got))
    if isinstance(shown, str) and isinstance(got, str):
        return _plain(shown) == _plain(got)
    return bool(shown == got)


def _plain(text: str) -> str:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text
