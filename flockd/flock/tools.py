"""Tools of an agent that thinks with a language model, while it is declared: functions, and servers of others."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flockd.engines.llm.thinking import McpServer
from flockd.engines.llm.tool_function import read_tool
from flockd.flock.declaration import DeclarationError
from flockd.flock.given import made, seconds, url, variable
from flockd.flock.options import Check

_TOOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What providers take as the name of a tool."""
_SERVER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_MCP = 'McpServer("files", command=("mcp-files", "."), allow=("read",))'


def read_tools(owner: str, given: object) -> tuple[Callable[..., Any], ...]:
    """The option `tools`: functions. Raises DeclarationError."""
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise DeclarationError(f"{owner}: tools is {given!r}: give it a list of functions")
    tools: dict[str, Callable[..., Any]] = {}
    for tool in given:
        name = getattr(tool, "__name__", None)
        is_function = inspect.isfunction(tool) or inspect.ismethod(tool)
        if not is_function or not isinstance(name, str) or not _TOOL.fullmatch(name):
            raise DeclarationError(
                f"{owner}: tools has {tool!r}: give it functions, whose names and docstrings the model is told"
            )
        if inspect.isgeneratorfunction(tool) or inspect.isasyncgenfunction(tool):
            raise DeclarationError(f"{owner}: tools has {name}, which yields: return one value from it")
        if name in tools:
            raise DeclarationError(f"{owner}: tools has two functions called {name}: rename one of them")
        tools[name] = tool
    return tuple(tools.values())


def tool_problems(tools: Iterable[Callable[..., Any]]) -> list[str]:
    """What keeps a model from calling functions, once all that their annotations name is there."""
    problems = []
    for tool in tools:
        try:
            read_tool(tool)
        except ValueError as error:
            problems.append(str(error))
    return problems


def server_warnings(servers: Iterable[McpServer]) -> list[str]:
    """What the environment lacks, so that a server could not be used now."""
    return [
        f"the environment variable {variable}, which the MCP server {server.name} gets, is not set"
        for server in servers
        for variable in (*server.env, *server.headers.values())
        if variable not in os.environ
    ]


def read_servers(owner: str, given: object) -> tuple[McpServer, ...]:
    """The option `mcp`: servers, each one or a table of what it takes. Raises DeclarationError."""
    if isinstance(given, (McpServer, str, Mapping)) or not isinstance(given, Iterable):
        raise DeclarationError(f"{owner}: mcp is {given!r}: give it a list, as mcp=[{_MCP}]")
    servers: dict[str, McpServer] = {}
    for each in given:
        server = _server(owner, each)
        if server.name in servers:
            raise DeclarationError(f"{owner}: mcp has two servers called {server.name}: rename one of them")
        servers[server.name] = server
    return tuple(servers.values())


def _server(owner: str, given: object) -> McpServer:
    if isinstance(given, Mapping):
        server = made(owner, "mcp", McpServer, given, _MCP)
    elif isinstance(given, McpServer):
        server = given
    else:
        raise DeclarationError(f"{owner}: mcp has {given!r}: write {_MCP}")
    name: object = server.name
    if not isinstance(name, str) or not _SERVER.fullmatch(name):
        raise DeclarationError(
            f"{owner}: mcp has a server called {name!r}: a name begins with a letter and has up to 32 "
            "letters, digits, _ and -"
        )
    whose = f"mcp {server.name}"
    check = Check(owner)
    command = check.words(f"{whose}: command", server.command)
    if bool(command) == (server.url is not None):
        raise DeclarationError(f"{owner}: {whose} needs either command= or url=, and not both: write {_MCP}")
    address = url(owner, f"{whose}: url", server.url)
    allow = check.words(f"{whose}: allow", server.allow)
    if not allow:
        raise DeclarationError(
            f"{owner}: {whose}: allow= is empty: name the tools of it that the model may call"
        )
    env = check.words(f"{whose}: env", server.env)
    headers: object = server.headers
    if not isinstance(headers, Mapping) or not all(isinstance(header, str) for header in headers):
        raise DeclarationError(
            f'{owner}: {whose}: headers has what is no header: write {{"Authorization": "NAME_OF_A_VARIABLE"}}'
        )
    if address is not None and env:
        raise DeclarationError(
            f"{owner}: {whose}: env= is for a program: what a server at an url= gets is headers="
        )
    if command and headers:
        raise DeclarationError(
            f"{owner}: {whose}: headers= is for a server at an url=: what a program gets is env="
        )
    for each in env:
        variable(owner, f"{whose}: env", each)
    for header, named in headers.items():
        variable(owner, f"{whose}: headers: {header}", named)
    timeout_seconds = seconds(owner, f"{whose}: timeout_seconds", server.timeout_seconds)
    return McpServer(
        name,
        command,
        address,
        env,
        dict(headers),
        allow,
        McpServer(name).timeout_seconds if timeout_seconds is None else timeout_seconds,
    )
