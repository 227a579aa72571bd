"""The ceiling of the streams: the least server that stores an event and then tells it, `python -m bench.bare_streams`.

aiohttp on uvloop; the open transports in a list; one row a commit, as in `bench/ceiling.py`; then the frame, encoded
once, is written to each transport as it is. No filters, no positions, no limits, no heartbeats.

    GET  /events        a stream of server-sent events
    GET  /ws            the same over WebSocket
    GET  /replay        the stored frames, page by page; of /replay-ws too
    POST /frame         what is told: one event as flockd wrote it, the payload of one frame
    POST /tell/{n}      commits a row, then tells n events in one write each
    POST /keep/{n}      stores n frames for the replay
"""

import argparse
import asyncio
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiohttp import WSCloseCode, web

from bench.ceiling import Writer

_PAGE_ROWS = 500
_STAMP = b'"at":"'
_STAMP_BYTES = len("2026-11-21T07:00:00.000Z")
_HELLO = b'{"kind":"hello"}'


class Frame:
    """One event as flockd wrote it, with a new stamp for each telling."""

    def __init__(self, event: bytes) -> None:
        at = event.index(_STAMP) + len(_STAMP)
        self._before, self._after = event[:at], event[at + _STAMP_BYTES :]

    def sse(self, now: bytes, count: int) -> bytes:
        """The event's block so many times, as one chunk."""
        block = b"id: 1\nevent: artifact.published\ndata: " + self.json(now) + b"\n\n"
        return chunk(block * count)

    def websocket(self, now: bytes, count: int) -> bytes:
        """A message for each."""
        return message(b'{"type":"event","subscription":"s","event":' + self.json(now) + b"}") * count

    def json(self, now: bytes) -> bytes:
        return self._before + now + self._after


class Streams:
    """The routes, and who is listening."""

    def __init__(self, writer: Writer, kept: Path) -> None:
        self._writer = writer
        self._frame = Frame(b'{"at":"2026-11-21T07:00:00.000Z"}')
        self._sse: set[asyncio.Transport] = set()
        self._websockets: set[asyncio.Transport] = set()
        self._kept = sqlite3.connect(kept, isolation_level=None, check_same_thread=False)
        self._kept.execute("PRAGMA journal_mode = WAL")
        self._kept.execute("CREATE TABLE kept (seq INTEGER PRIMARY KEY, frame BLOB NOT NULL)")

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/events", self.events)
        app.router.add_get("/ws", self.websocket)
        app.router.add_get("/replay", self.replay)
        app.router.add_post("/frame", self.learn)
        app.router.add_post("/tell/{count}", self.tell)
        app.router.add_post("/keep/{count}", self.keep)
        return app

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = await self._open(request)
        assert request.transport is not None
        await self._stay(self._sse, request.transport)
        return response

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.receive()
        await socket.send_bytes(_HELLO)
        assert request.transport is not None
        self._websockets.add(request.transport)
        try:
            await socket.receive()
        finally:
            self._websockets.discard(request.transport)
        await socket.close(code=WSCloseCode.OK)
        return socket

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """One page is read while the one before is on its way."""
        response = await self._open(request)
        seq = 0
        while rows := await asyncio.to_thread(self._page, seq):
            await response.write(b"".join(frame for _, frame in rows))
            seq = rows[-1][0]
        return response

    async def learn(self, request: web.Request) -> web.Response:
        self._frame = Frame(await request.read())
        return web.Response()

    async def tell(self, request: web.Request) -> web.Response:
        count = int(request.match_info["count"])
        await self._writer.commit(await request.read())
        now = _now()
        if self._sse:
            framed = self._frame.sse(now, count)
            for transport in self._sse:
                transport.write(framed)
        if self._websockets:
            framed = self._frame.websocket(now, count)
            for transport in self._websockets:
                transport.write(framed)
        return web.Response()

    async def keep(self, request: web.Request) -> web.Response:
        block = b"id: 1\nevent: artifact.published\ndata: " + self._frame.json(_now()) + b"\n\n"
        rows = [(block,)] * int(request.match_info["count"])
        self._kept.execute("BEGIN")
        self._kept.executemany("INSERT INTO kept (frame) VALUES (?)", rows)
        self._kept.execute("COMMIT")
        return web.Response()

    async def _open(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"event: hello\ndata: " + _HELLO + b"\n\n")
        return response

    async def _stay(self, others: set[asyncio.Transport], transport: asyncio.Transport) -> None:
        others.add(transport)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            others.discard(transport)

    def _page(self, after: int) -> list[tuple[int, bytes]]:
        statement = "SELECT seq, frame FROM kept WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._kept.execute(statement, (after, _PAGE_ROWS)).fetchall()


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def message(data: bytes) -> bytes:
    """One text message of a WebSocket server."""
    size = len(data)
    if size < 126:
        return b"\x81" + bytes([size]) + data
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


def _now() -> bytes:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


async def serve(store: Path, page_cache_bytes: int) -> None:
    """Serves on a free port until the process is ended."""
    streams = Streams(Writer(store, page_cache_bytes, asyncio.get_running_loop()), store.with_name("kept.db"))
    runner = web.AppRunner(streams.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    host, port = runner.addresses[0][:2]
    print(f"bare streams ready on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(
        description="The bare server that flockd's streams are measured against."
    )
    parser.add_argument("--store", type=Path, required=True, help="a database file that does not exist yet")
    parser.add_argument("--page-cache-bytes", type=int, required=True, help="of SQLite, as flockd has it")
    arguments = parser.parse_args()
    sys.setswitchinterval(0.001)  # as flockd does
    uvloop.run(serve(arguments.store, arguments.page_cache_bytes))


if __name__ == "__main__":
    main()
