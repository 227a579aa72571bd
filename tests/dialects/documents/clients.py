"""Three clients that send a request as it is written: requests, httpx and curl."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import requests

from .daemon import END_SECONDS, Daemon

_HOSTS = re.compile(r"(?:127\.0\.0\.1|localhost):(?:8344|8000)\b")
"""As the documents write it."""
_CURL = re.compile(r"^curl ", re.MULTILINE)


class Request(NamedTuple):
    """A request as a program would send it."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None


class Reply(NamedTuple):
    """Its answer; the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """The value of JSON, else the text."""


def here(text: str, daemon: Daemon) -> str:
    """A text of a document with the host of this daemon."""
    return _HOSTS.sub(daemon.host, text)


def read(text: str) -> Request:
    """Understand a request, written as HTTP or for curl."""
    if _CURL.search(text):
        return _read_curl(text)
    head, _, body = text.partition("\n\n")
    first, *lines = head.strip().splitlines()
    method, path = first.split(" ")
    return Request(method, path, dict(line.split(": ") for line in lines), body or None)


def _read_curl(text: str) -> Request:
    """Understands what the documents use of curl."""
    method, path, headers, body = "GET", "", {}, None
    words = iter(shlex.split(text.replace("\\\n", ""), comments=True)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, value = next(words).split(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        else:
            path = word.removeprefix("http://")
            path = path[path.index("/") :]
    return Request(method, path, headers, body)


def by_requests(daemon: Daemon, text: str) -> Reply:
    method, path, headers, body = read(text)
    answer = requests.request(method, daemon.url + path, headers=headers, data=body, timeout=END_SECONDS)
    return _reply(answer.status_code, answer.headers, answer.content)


def by_httpx(daemon: Daemon, text: str) -> Reply:
    method, path, headers, body = read(text)
    answer = httpx.request(method, daemon.url + path, headers=headers, content=body, timeout=END_SECONDS)
    return _reply(answer.status_code, answer.headers, answer.content)


def by_curl(daemon: Daemon, text: str) -> Reply:
    """A command that is written for curl goes to bash as it is."""
    if _CURL.search(text):
        code, printed, errors = daemon.run("bash", "-c", here(text, daemon))
    else:
        method, path, headers, body = read(text)
        given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        given += [] if body is None else ["--data-binary", body]
        code, printed, errors = daemon.run("curl", "--globoff", "-X", method, daemon.url + path, *given)
    assert code == 0, errors
    head, _, answer = printed.partition("\n\n")  # text=True has made \n of \r\n
    status, *lines = head.splitlines()
    return _reply(int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines), answer.encode())


def _reply(status: int, headers: Mapping[str, str], content: bytes) -> Reply:
    named = {name.lower(): value for name, value in headers.items()}
    is_json = "json" in named.get("content-type", "")
    return Reply(status, named, json.loads(content) if is_json else content.decode())


CLIENTS: tuple[Callable[[Daemon, str], Reply], ...] = (by_requests, by_httpx, by_curl)
