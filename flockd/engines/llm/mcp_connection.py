"""A connection to a server of tools (Model Context Protocol).

It is a task of its own: the libraries below want to be left in the task that entered them, and a run that is
cancelled, even twice, shall leave no process behind. This module imports mcp: only agents with servers import it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, Tool
from pydantic_core import to_json

from flockd.engines.base import Context
from flockd.engines.confidential import without
from flockd.engines.llm.mcp_result import value_of
from flockd.engines.llm.mcp_stderr import Stderr
from flockd.engines.llm.thinking import McpServer
from flockd.engines.llm.tool_calls import ToolFailure
from flockd.errors import AgentFailed, nearest

LEAVE_SECONDS = 5.0
"""How long a server may take to be left in good order: to end when its input does, or to close its session."""
_PAGES = 100
"""Pages of tools that are read of one server."""
_CONNECT_SECONDS = 10.0
_FINAL = frozenset({401, 403, 404})
"""With these a server refuses whoever comes with that key, or it is not there."""

_CLOSED = (CONNECTION_CLOSED, "Connection closed")

_QUOTING = ("client", "mcp.client.stdio", "mcp.client.streamable_http")
"""Logs of the library, in which it quotes what of a server's words it could not read: by the exception."""
_LIBRARY = os.path.dirname(mcp.__file__)


def _without_quotes(record: logging.LogRecord) -> bool:
    """A server may say what it was told in confidence, and there nobody takes it out."""
    if record.pathname.startswith(_LIBRARY):  # others may have a log of the name `client`, too
        record.exc_info = None
    return True


for _name in _QUOTING:
    logging.getLogger(_name).addFilter(_without_quotes)

_owners: set[asyncio.Task[None]] = set()
"""The tasks of all connections: one may outlive its run for as long as its server takes to end."""


class Connection:
    """One connection to a server. `open`, then `call`; and `leave`, whatever happened."""

    def __init__(self, server: McpServer, context: Context) -> None:
        self.name = server.name
        self.tools: tuple[Tool, ...] = ()
        """Those that the agent may use, in the order of its list; known when it is open."""
        self.owner: asyncio.Task[None] | None = None
        """The task that holds the connection: it ends by itself after `leave`."""
        self._is_there = False
        self._server = server
        self._context = context
        self._scope = anyio.CancelScope()
        self._leaving = asyncio.Event()
        self._client: Client | None = None
        self._refused: int | None = None
        """The status of the latest answer over HTTP, where it was an error."""
        self._session_is_over = False
        """The server at the other end of HTTP has forgotten the session that it gave."""
        self._confided: set[str] = set()
        """The values of the environment that it was given."""

    async def open(self) -> None:
        """Connect, and read which tools there are. Raises AgentFailed with a sentence."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        owner = asyncio.create_task(self._own(ready), name=f"mcp {self.name} of run {self._context.run_id}")
        self.owner = owner
        _owners.add(owner)
        owner.add_done_callback(_owners.discard)
        if self._server.url is None:
            programs = self._context.outside.programs
            programs.add(self)
            owner.add_done_callback(lambda _: programs.discard(self))
        done, _ = await asyncio.wait([ready], timeout=self._server.timeout_seconds)
        if not done:
            raise AgentFailed(
                f"the MCP server {self.name} was not ready within {self._server.timeout_seconds:g} s"
            )
        ready.result()
        self._is_there = True

    @property
    def has_ended(self) -> bool:
        """Whether it is of no use, as far as is known: the program has ended, or it never came to be."""
        return not self._is_there or self.owner is None or self.owner.done()

    def leave(self) -> None:
        """Begin to leave the server."""
        self._leaving.set()
        if self._client is None:  # it is still being reached
            self._scope.cancel()
        elif self.owner is not None:
            late = asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._scope.cancel)
            self.owner.add_done_callback(lambda _: late.cancel())

    async def call(self, tool: str, arguments: dict[str, Any]) -> bytes:
        """What a tool gives back, as JSON. Raises ToolFailure with what the model is told."""
        assert self._client is not None, "its tools are known only of an open connection"
        seconds = self._server.timeout_seconds
        try:
            with anyio.fail_after(seconds):
                result = await self._client.call_tool(tool, arguments)
        except TimeoutError as error:
            raise ToolFailure(f"the MCP server {self.name} did not answer within {seconds:g} s") from error
        except Exception as error:
            sentence = self._sentence(error)
            if self._session_is_over:
                self._is_there = False
                sentence = (
                    f"the MCP server {self.name} ended its session: it forgot what it knew, and the next call begins "
                    "another"
                )
            elif self._server.url is None and _is_closed(error):
                self._is_there = False
                sentence += ": it forgot what it knew, and the next call starts it again"
            raise ToolFailure(sentence) from error
        value = value_of(result)
        if result.is_error:
            raise ToolFailure(self._redacted(value if isinstance(value, str) else to_json(value).decode()))
        return to_json(value, inf_nan_mode="strings")

    async def _own(self, ready: asyncio.Future[None]) -> None:
        """Hold the connection until it is left; `ready` is settled when it is there, or never will be."""
        stderr = Stderr(self.name, self._context.log, self._redacted)
        try:
            with self._scope:
                async with self._transport(stderr) as transport, Client(transport) as client:
                    self.tools = self._allowed(await _tools_of(client))
                    self._client = client
                    if not ready.done():
                        ready.set_result(None)
                    await self._leaving.wait()
        except Exception as error:
            sentence = self._sentence(error)
            if words := stderr.last_words:
                self._context.log.warning("%s; its last words:\n%s", sentence, words)
                sentence += " (its last words are in the daemon's log)"
            else:
                self._context.log.warning("%s", sentence)
            if not ready.done():
                ready.set_exception(AgentFailed(sentence, is_final=self._is_final(error)))
                ready.exception()  # looked at, though nobody may wait for it any more
        finally:
            ready.cancel()

    @asynccontextmanager
    async def _transport(self, stderr: Stderr) -> AsyncIterator[Any]:
        server = self._server
        if server.url is None:
            program, *arguments = server.command
            parameters = StdioServerParameters(
                command=program,
                args=arguments,
                env=self._environment(),
                encoding_error_handler="replace",  # else one byte that is no UTF-8 is the last that is read of it
            )
            with stderr:
                yield stdio_client(parameters, errlog=stderr.file)
            return
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=None)  # a call has its own, which costs no connection
        async with httpx2.AsyncClient(
            headers=self._headers(), timeout=timeout, event_hooks={"response": [self._note_status]}
        ) as client:
            yield streamable_http_client(server.url, http_client=client)

    def _environment(self) -> dict[str, str]:
        return {name: self._variable(name) for name in self._server.env}

    def _headers(self) -> dict[str, str]:
        headers = {}
        for header, variable in self._server.headers.items():
            headers[header] = self._variable(variable).strip()
            if not (headers[header].isascii() and headers[header].isprintable()):
                raise AgentFailed(
                    f"the environment variable {variable} holds what no header can, and the MCP server {self.name} "
                    f"gets it as {header}",
                    is_final=True,
                )
        return headers

    def _variable(self, name: str) -> str:
        value = os.environ.get(name)
        if value is None:
            raise AgentFailed(
                f"the environment variable {name}, which the MCP server {self.name} gets, is not set",
                is_final=True,
            )
        self._confided.add(value.strip())
        return value

    def _redacted(self, text: str) -> str:
        """What the server says, without what it was given in confidence."""
        return without(text, self._confided)

    async def _note_status(self, response: httpx2.Response) -> None:
        if response.request.method != "POST":  # a server need not have the others
            return
        self._refused = response.status_code if response.status_code >= 400 else None
        if self._refused == 404 and "mcp-session-id" in response.request.headers:  # so the protocol says it
            self._session_is_over = True

    def _allowed(self, tools: dict[str, Tool]) -> tuple[Tool, ...]:
        for name in self._server.allow:
            if name not in tools:
                near = nearest(name, tools)
                hint = f"did you mean {near}?" if near else f"it has {', '.join(sorted(tools)) or 'none'}"
                raise AgentFailed(f"the MCP server {self.name} has no tool {name}: {hint}", is_final=True)
        return tuple(tools[name] for name in dict.fromkeys(self._server.allow))

    def _sentence(self, error: BaseException) -> str:
        """What went wrong, in words that hold no secret."""
        return self._redacted(self._what_happened(error))

    def _is_final(self, error: BaseException) -> bool:
        """Whether what keeps it from being connected is a matter of its declaration, or of its key."""
        error = _innermost(error)
        if isinstance(error, AgentFailed):
            return error.is_final
        if self._server.url is not None:
            return self._refused in _FINAL
        return isinstance(error, (FileNotFoundError, PermissionError))

    def _what_happened(self, error: BaseException) -> str:
        error = _innermost(error)
        if isinstance(error, AgentFailed):
            return error.message
        what = f"the MCP server {self.name}"
        if self._refused in (401, 403):
            return f"{what} answered HTTP {self._refused} (see its headers)"
        if self._refused is not None:
            return f"{what} answered HTTP {self._refused}: {error}"
        match error:
            case MCPError() if _is_closed(error):
                return f"{what} ended" if self._server.url is None else f"{what} closed the connection"
            case MCPError():
                return f"{what}: {error.message}"
            case FileNotFoundError() if self._server.url is None:
                return f"the program of {what} was not found: {self._server.command[0]}"
            case OSError() if self._server.url is None:
                return f"the program of {what} cannot be run ({error.strerror}): {self._server.command[0]}"
            case httpx2.TransportError():
                return f"{what} cannot be reached: {type(error).__name__}"
        return f"{what}: {type(error).__name__}: {error}"


def _is_closed(error: BaseException) -> bool:
    """The library says so in these words; its code alone is that of any error of a server, too (-32000)."""
    return isinstance(error, MCPError) and (error.code, error.message) == _CLOSED


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _tools_of(client: Client) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools.update((tool.name, tool) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools
