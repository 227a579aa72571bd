"""A server of tools as others write them: the program `mcp_server.py stdio`, or `http [port]`, which prints its port.

It notes what happens to it in the file that MCP_TEST_NOTES names, a line each.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MESSAGES = os.dup(1)
"""Where the client of a program reads; the library leads elsewhere what is written to standard output."""

server = MCPServer("test")


def note(line: str) -> None:
    if path := os.environ.get("MCP_TEST_NOTES"):
        with Path(path).open("a") as file:
            file.write(f"{line}\n")


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    note(f"add {a} {b}")
    return a + b


@server.tool()
def environment() -> list[str]:
    """The names of all environment variables."""
    return sorted(os.environ)


@server.tool()
def pid() -> int:
    return os.getpid()


@server.tool()
async def wait(seconds: float) -> str:
    note("waiting")
    await anyio.sleep(seconds)
    return "waited"


@server.tool()
def fail() -> str:
    raise LookupError("there is nothing")


@server.tool()
def die() -> str:
    print("these are my last words", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
def mumble() -> str:
    """Prints where only messages belong, and in another encoding."""
    os.write(MESSAGES, "größer\n".encode("latin-1"))
    return "mumbled"


@server.tool()
def refuse() -> str:
    """Fails with the code that JSON-RPC has for whatever goes wrong in a server."""
    raise MCPError(-32000, "the database is locked")


@server.tool()
def tell(variable: str) -> str:
    """Tells what it should not, also where only messages belong."""
    os.write(MESSAGES, f"{os.environ[variable]}\n".encode())
    print(f"it is {os.environ[variable]}", file=sys.stderr, flush=True)
    raise ToolError(f"it is {os.environ[variable]}")


@server.tool()
def picture() -> Image:
    return Image(data=b"not shown", format="png")


class Door:
    """Lets in who has the header, and turns away what this server is too old for."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note(scope["method"])
        wanted = os.environ.get("MCP_TEST_TOKEN")
        if wanted is not None and (b"authorization", f"Bearer {wanted}".encode()) not in scope["headers"]:
            await answer(send, 401)
            return
        message = await receive()
        if os.environ.get("MCP_TEST_OLD") and b"server/discover" in message.get("body", b""):
            await answer(send, 400)
            return
        unread = [message]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, again, send)


async def answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def serve_http() -> None:
    listening = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    print(listening.getsockname()[1], flush=True)
    app = Door(server.streamable_http_app())
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


def serve_stdio(how: str) -> None:
    note(f"pid {os.getpid()}")
    if how == "deaf":  # neither a closed input nor a signal ends it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == "mute":
        time.sleep(600)
    server.run()
    if how == "deaf":
        time.sleep(600)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http()
    else:
        serve_stdio(sys.argv[1])
