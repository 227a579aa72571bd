"""A client of a WebSocket, which reads by itself: `got` is what it got, and `until` waits for more."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import aiohttp
import orjson

from .world import LIMIT_SECONDS


class Talker:
    """Sends what the test says. `close_code` is there when the socket is closed."""

    def __init__(self, url: str, **options: Any) -> None:
        self.got: list[Any] = []
        self.close_code: int | None = None
        self._url = url
        self._options = options
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(self._url, **self._options)
        except BaseException:
            await self._session.close()
            raise
        self._task = asyncio.create_task(self._read(), name="talker")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._socket.close()
        await self._session.close()

    async def say(self, message: Any) -> None:
        """A message as JSON; text and bytes go as they are."""
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        elif isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_str(orjson.dumps(message).decode())

    async def ask(self, message: Any) -> Any:
        """What comes next that is no event and no position."""
        before = len(self.answers)
        await self.say(message)
        await self.until(lambda: len(self.answers) > before)
        return self.answers[before]

    async def leave(self) -> None:
        """Close in peace."""
        await self._socket.close()

    @property
    def answers(self) -> list[Any]:
        return [one for one in self.got if one == "pong" or one["type"] in ("ack", "error", "pong")]

    def events(self, subscription: str) -> list[Any]:
        return [
            one["event"]
            for one in self.got
            if one != "pong" and one["type"] == "event" and one["subscription"] == subscription
        ]

    def seqs(self, subscription: str) -> list[int]:
        """The events of the log that it got."""
        return [event["seq"] for event in self.events(subscription) if event.get("seq")]

    def positions(self, subscription: str) -> list[int]:
        return [
            one["seq"]
            for one in self.got
            if one != "pong" and one["type"] == "position" and one["subscription"] == subscription
        ]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def at(self, subscription: str, seq: int) -> None:
        await self.until(lambda: self.seqs(subscription)[-1:] >= [seq])

    async def closed(self) -> int:
        """The code that it was closed with."""
        await self.until(lambda: self._task.done() or self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    async def _read(self) -> None:
        async for message in self._socket:
            async with self._changed:
                self.got.append(message.data if message.data == "pong" else orjson.loads(message.data))
                self._changed.notify_all()
        async with self._changed:
            self.close_code = self._socket.close_code
            self._changed.notify_all()
