"""A WebSocket as every route has it: who may open one, what the client sends, how it is kept alive and how it ends.

What goes out is written straight to the transport, by the pump or by whoever answers; aiohttp reads the client's frames
and makes the handshake and the close.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from aiohttp import HttpVersion11, WSCloseCode, WSMsgType, hdrs, web

from flockd.errors import Forbidden, InvalidInput, UpgradeRequired
from flockd.streams.connection import Connection, Medium
from flockd.streams.encode import PING_MESSAGE, pong_message, text_message
from flockd.streams.streams import Streams

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 2.0
"""How long a client may take to answer a close."""
_VERSIONS = ("13", "8", "7")
"""Of RFC 6455 and of the drafts that browsers had before it, which differ in nothing that matters here."""


def check_upgrade(request: web.Request) -> None:
    """Raises UpgradeRequired where a client asks for no WebSocket, Forbidden where a page of another site does.

    A browser lets any page open a WebSocket to anywhere, and says only whose page it is: so it is for the server to
    refuse. What is no browser sends no Origin.
    """
    headers = request.headers
    if request.method != hdrs.METH_GET or request.version < HttpVersion11:
        raise UpgradeRequired
    if headers.get(hdrs.UPGRADE, "").strip().lower() != "websocket":
        raise UpgradeRequired
    if headers.get(hdrs.SEC_WEBSOCKET_VERSION) not in _VERSIONS:
        raise UpgradeRequired
    origin = headers.get(hdrs.ORIGIN)
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        raise Forbidden("A page of another site may not open a WebSocket here")


class Socket:
    """An open WebSocket, as the one who converses on it sees it."""

    def __init__(self, response: web.WebSocketResponse, connection: Connection) -> None:
        self.connection = connection
        self._response = response

    def send(self, text: bytes) -> None:
        """One text message. Bounded by `receive`, which gives no further one while the client reads nothing."""
        self.connection.write(text_message(text))

    async def receive(self) -> str | bytes | None:
        """What the client sends next, text or binary; None when it has closed. Pings are answered here, those of the
        protocol and the text `ping`.

        Nothing is read while the client does not take what it is sent: its own system then makes it wait.
        """
        while True:
            await self.connection.drained()
            with self.connection.listening():
                message = await self._response.receive()
            match message.type:
                case WSMsgType.TEXT if message.data == "ping":
                    self.send(b"pong")
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    return cast("str | bytes", message.data)
                case WSMsgType.PING:
                    self.connection.write(pong_message(message.data))
                case WSMsgType.PONG:
                    pass
                case _:  # closed by the client, or by aiohttp for what RFC 6455 forbids
                    return None


async def websocket(
    request: web.Request, streams: Streams, converse: Callable[[Socket], Coroutine[Any, Any, None]]
) -> web.StreamResponse:
    """Open a WebSocket and converse until that returns, the client leaves or is cut, or the daemon says goodbye.

    `converse` is cancelled at that moment. Raises, before the upgrade, what `check_upgrade` raises, Unavailable past
    the limit of open streams, and InvalidInput for a handshake that is none.
    """
    check_upgrade(request)
    with streams.place(request.remote):
        response = web.WebSocketResponse(
            autoping=False,
            compress=False,
            timeout=_CLOSE_SECONDS,
            max_msg_size=streams.limits.message_bytes + 1,  # aiohttp's is the first size that is too large
        )
        if not _can_prepare(response, request):
            raise InvalidInput("The handshake of the WebSocket is not valid")
        writer = await response.prepare(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            return response
        connection = Connection(
            transport,
            writer,
            medium=Medium.websocket,
            chunked=False,
            buffer_bytes=streams.buffer_bytes,
            ping=PING_MESSAGE,
        )
        with streams.connected(connection), suppress(ConnectionError):
            code = WSCloseCode.OK
            if streams.goodbye_reason is None:
                try:
                    await _until_ended(connection, converse(Socket(response, connection)))
                except Exception as error:
                    if isinstance(error, ConnectionError):
                        raise
                    log.exception("a conversation over WebSocket failed")
                    code = WSCloseCode.INTERNAL_ERROR
            if not response.closed and not connection.was_cut:
                connection.end()
                await connection.flushed()
                going = streams.goodbye_reason is not None
                await response.close(code=WSCloseCode.GOING_AWAY if going else code)
    return response


def _can_prepare(response: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(response.can_prepare(request))
    except ValueError:  # a key with letters that base64 does not have
        return False


async def _until_ended(connection: Connection, conversation: Coroutine[Any, Any, None]) -> None:
    """Wait for the conversation, or for the end of its connection, which ends it."""
    try:
        async with asyncio.timeout(None) as scope:

            def stop(_ended: asyncio.Future[None]) -> None:
                with suppress(RuntimeError):  # it has ended by itself in this tick of the loop
                    scope.reschedule(0)

            connection.ended.add_done_callback(stop)
            try:
                await conversation
            finally:
                connection.ended.remove_done_callback(stop)
    except TimeoutError:
        if connection.is_open:
            raise  # the conversation's own
