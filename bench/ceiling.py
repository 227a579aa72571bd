"""The ceiling: the least HTTP server that keeps the same promise, `python -m bench.ceiling`.

aiohttp on uvloop, the body parsed by orjson and not validated, one row a commit, written by one thread that
gathers everybody who waits into one transaction (WAL, `synchronous=FULL`). No types, no matching, no events,
no counters: what flockd does beyond this is what its ratio pays for.

    POST /commits/{n}      answers after n commits in sequence, one row each
    POST /burn             answers after computing in a thread for the body's `seconds`
    GET  /prepared/{size}  an answer of that many bytes, made beforehand
"""

import argparse
import asyncio
import queue
import sqlite3
import sys
import threading
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from bench.compute import compute_for

GROUP_ROWS = 512

Waiter = tuple[bytes, asyncio.Future[int]]


class Writer:
    """One thread, one connection; rows that wait while a transaction is being synced share the next one."""

    def __init__(self, path: Path, page_cache_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._page_cache_bytes = page_cache_bytes
        self._loop = loop
        self._waiting: queue.SimpleQueue[Waiter] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    def commit(self, row: bytes) -> asyncio.Future[int]:
        """Resolves to the row's number once it is on disk."""
        done: asyncio.Future[int] = self._loop.create_future()
        self._waiting.put((row, done))
        return done

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{self._page_cache_bytes // 1024}")
        connection.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        seq = 0
        while True:
            group = self._next_group()
            numbered = list(enumerate(group, start=seq + 1))
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", [(n, row) for n, (row, _) in numbered])
            connection.execute("COMMIT")
            seq += len(group)
            self._loop.call_soon_threadsafe(_resolve, [(n, done) for n, (_, done) in numbered])

    def _next_group(self) -> list[Waiter]:
        group = [self._waiting.get()]
        while len(group) < GROUP_ROWS:
            try:
                group.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return group


def _resolve(numbered: list[tuple[int, asyncio.Future[int]]]) -> None:
    for seq, done in numbered:
        if not done.done():
            done.set_result(seq)


def application(writer: Writer) -> web.Application:
    """The three routes."""
    prepared: dict[int, bytes] = {}

    async def commits(request: web.Request) -> web.Response:
        body = await request.read()
        orjson.loads(body)
        seq = 0
        for _ in range(int(request.match_info["count"])):
            seq = await writer.commit(body)
        return web.Response(
            body=orjson.dumps({"status": "accepted", "seq": seq}), content_type="application/json"
        )

    async def burn(request: web.Request) -> web.Response:
        seconds = orjson.loads(await request.read())["seconds"]
        rounds = await asyncio.to_thread(compute_for, seconds)
        return web.Response(body=orjson.dumps({"rounds": rounds}), content_type="application/json")

    async def answer(request: web.Request) -> web.Response:
        size = int(request.match_info["size"])
        body = prepared.setdefault(size, b'"' + b"x" * (size - 2) + b'"')
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/commits/{count}", commits)
    app.router.add_post("/burn", burn)
    app.router.add_get("/prepared/{size}", answer)
    return app


async def serve(path: Path, page_cache_bytes: int) -> None:
    """Serves on a free port until the process is ended."""
    runner = web.AppRunner(
        application(Writer(path, page_cache_bytes, asyncio.get_running_loop())), access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"ceiling ready on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(description="The bare server that flockd is measured against.")
    parser.add_argument("--store", type=Path, required=True, help="a database file that does not exist yet")
    parser.add_argument("--page-cache-bytes", type=int, required=True, help="of SQLite, as flockd has it")
    arguments = parser.parse_args()
    # As flockd does: at the default of 5 ms, each statement waits that long beside a CPU-bound thread.
    sys.setswitchinterval(0.001)
    uvloop.run(serve(arguments.store, arguments.page_cache_bytes))


if __name__ == "__main__":
    main()
