"""Servers of tools (Model Context Protocol), each connected for one attempt of one run.

This module imports mcp: only agents with servers import it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from mcp_types import Tool

from flockd.engines.base import Context
from flockd.engines.llm.mcp_connection import Connection
from flockd.engines.llm.thinking import McpServer
from flockd.engines.llm.tool_calls import ToolFailure
from flockd.errors import AgentFailed


class Servers:
    """The servers of one agent, in one attempt of a run."""

    def __init__(self, servers: Iterable[McpServer], context: Context) -> None:
        self.connected = tuple(Server(server, context) for server in servers if server.allow)

    async def open(self) -> None:
        """Connect to all of them at once. Raises AgentFailed where one cannot be; then none is left connected."""
        try:
            await asyncio.gather(*(one.open() for one in self.connected))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Leave all of them. When this returns their processes have ended; if it is cancelled they end all the same."""
        for server in self.connected:
            server.leave()
        owners = [owner for server in self.connected for owner in server.owners]
        if owners:
            await asyncio.wait(owners)


class Server:
    """One server, in one attempt. `open`, then `call`; and `leave`, whatever happened.

    A program that has ended is started again by the next call. The call that it ended in is not repeated: nobody knows
    what it did, so its failure is told.
    """

    def __init__(self, server: McpServer, context: Context) -> None:
        self.name = server.name
        self._server = server
        self._context = context
        self._connections = [Connection(server, context)]
        """The last one is that which is used."""
        self._connecting = asyncio.Lock()
        self._is_left = False

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Those that the agent may use, in the order of its list; known when it is open."""
        return self._connections[0].tools

    @property
    def owners(self) -> list[asyncio.Task[None]]:
        """The tasks that hold its connections: each ends by itself after `leave`."""
        return [one.owner for one in self._connections if one.owner is not None]

    async def open(self) -> None:
        """Connect. Raises AgentFailed with a sentence."""
        await self._connections[0].open()

    def leave(self) -> None:
        """Begin to leave the server."""
        self._is_left = True
        for connection in self._connections:
            connection.leave()

    async def call(self, tool: str, arguments: dict[str, Any]) -> bytes:
        """What a tool gives back, as JSON. Raises ToolFailure with what the model is told."""
        is_being_tried = self._connecting.locked()
        async with self._connecting:
            if self._connections[-1].has_ended:
                if is_being_tried:  # in vain, while this call waited
                    raise ToolFailure(f"the MCP server {self.name} could not be started again")
                await self._connect_again()
        return await self._connections[-1].call(tool, arguments)

    async def _connect_again(self) -> None:
        """The new connection is known before it is there, so that whoever leaves leaves it, too."""
        if self._is_left:
            raise ToolFailure(f"the MCP server {self.name} has been left")
        self._connections[-1].leave()
        self._context.log.info("the MCP server %s ended: it is started again", self.name)
        connection = Connection(self._server, self._context)
        self._connections.append(connection)
        try:
            await connection.open()
        except AgentFailed as failed:
            raise ToolFailure(failed.message) from failed
