"""The streams as a client reads them, with nothing of flockd's: whole items of SSE and NDJSON answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import orjson

from tests.process.tail import blocks

from .filters import Json
from .watch import Item

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


async def items(response: aiohttp.ClientResponse) -> AsyncGenerator[Item, None]:
    """What a stream says, by its content type. An item that a cut left unfinished is dropped."""
    if response.content_type == NDJSON:
        async for line in _lines(response):
            yield from_json(line)
    else:
        async for id, event, body in blocks(response):
            yield from_block(id, event, body)


def from_json(said: Json) -> Item:
    """A line of NDJSON."""
    if said.get("type") == "position":
        return Item("position", said["seq"], None)
    return Item(said["kind"], said.get("seq"), said)


def from_block(id: str, event: str, body: Json | None) -> Item:
    """A block of SSE. Its id is its seq; one without data is a heartbeat."""
    if body is None:
        return Item("position", int(id), None)
    return Item(event, int(id) if id else None, body)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[Json, None]:
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield orjson.loads(line)
