"""A session, live, over WebSocket: what its fold says, from the beginning on, and then as it happens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import orjson
from aiohttp import web

from flockd.api.keys import HUB, READS, STREAMS
from flockd.dialects.workflows.session import Session, SessionStatus
from flockd.dialects.workflows.shapes import SessionFollowed
from flockd.dialects.workflows.status import find_session
from flockd.domain.filter import EventFilter
from flockd.errors import InvalidInput
from flockd.routing import Call
from flockd.store.reads import Reads
from flockd.streams.follow import Page, live
from flockd.streams.hub import Hub
from flockd.streams.websocket import Socket, check_upgrade, websocket

_OVER = frozenset({SessionStatus.completed, SessionStatus.failed})


async def follow_session(call: Call[SessionFollowed, None]) -> web.StreamResponse:
    """Follow a session over WebSocket.

    From its beginning, or from what came after a seq, and then live. It stays open after the end, unless `close`
    is asked for; the text `ping` is answered by `pong`. Pages of other sites are refused.
    """
    request, app, query = call.request, call.app, call.query
    check_upgrade(request)
    hub = app[HUB]
    if query.after > hub.head:
        raise InvalidInput.field("after", f"{query.after} is in the future: the newest event is {hub.head}")
    emptied_times = hub.emptied_times
    session = await find_session(call)

    async def converse(socket: Socket) -> None:
        telling = _Telling(hub, app[READS], session, socket, after=query.after, close=query.close)
        await telling.run(emptied_times)

    return await websocket(request, app[STREAMS], converse)


class _Telling:
    """One client that is told of a session."""

    def __init__(
        self, hub: Hub, reads: Reads, session: Session, socket: Socket, *, after: int, close: bool
    ) -> None:
        self._hub = hub
        self._reads = reads
        self._session = session
        self._socket = socket
        self._after = after
        self._close = close

    async def run(self, emptied_times: int) -> None:
        """Until the client closes the socket, the board is emptied or, if that was asked for, the session is over.

        `emptied_times` is the hub's, from before the session was found.
        """
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(self._tell(), name="session: tell"),
            loop.create_task(self._listen(), name="session: listen"),
            loop.create_task(self._gone(emptied_times), name="session: gone"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _listen(self) -> None:
        """Nothing that a client sends means anything but `ping`, which is answered where it is received."""
        while await self._socket.receive() is not None:
            pass

    async def _gone(self, emptied_times: int) -> None:
        """Returns when there is no such session any more, which its follower is told."""
        while self._hub.emptied_times == emptied_times:
            await self._hub.news()
        error = {"type": "error", "error": "The session is no longer on the board: it was emptied."}
        self._socket.send(orjson.dumps(error | {"seq": self._hub.head, "session_id": self._session.id}))

    async def _tell(self) -> None:
        wanted = EventFilter(correlation_ids=frozenset({self._session.id}))
        async with aclosing(live(self._hub, self._reads, wanted, after=0)) as pages:
            async for page in pages:
                is_newest = page.position >= self._hub.head
                await self._tell_page(page)
                if self._close and is_newest and self._session.status in _OVER:
                    return
                if self._session.is_final:
                    break
        if not self._close:
            await asyncio.shield(self._socket.connection.ended)

    async def _tell_page(self, page: Page) -> None:
        """Each message waits for room: a client that takes nothing holds a page here and delays nobody."""
        for event in page.events:
            for update in self._session.take(event):
                if update.seq > self._after:
                    await self._socket.connection.drained()
                    self._socket.send(orjson.dumps(update.message))
