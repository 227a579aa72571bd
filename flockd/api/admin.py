"""Administration: is the board what its rows say, a copy of it, and emptying it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import orjson
from aiohttp import hdrs, web

from flockd.api.bodies import ResetBody
from flockd.api.keys import BOARD, DAEMON, SETTINGS
from flockd.domain.moment import iso, now_ms
from flockd.routing import Call

SQLITE = "application/vnd.sqlite3"
_CHUNK_BYTES = 1 << 18


async def verify_board(call: Call[None, None]) -> bytes:
    """Check the board.

    Recomputes every maintained count and state; each difference is a sentence.
    """
    differences = await call.app[DAEMON].verify()
    return orjson.dumps({"ok": not differences, "differences": differences})


async def reset_board(call: Call[None, ResetBody]) -> bytes:
    """Empty the board.

    Its seqs are not used again.
    """
    await call.app[BOARD].reset()
    return b'{"status":"reset"}'


async def backup_board(call: Call[None, None]) -> web.StreamResponse:
    """Copy the board.

    Consistent, and made while the daemon works.
    """
    name = f"flockd-{iso(now_ms())[:19].replace(':', '')}Z.db"
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: SQLITE,
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CACHE_CONTROL: "no-store",
        }
    )
    if call.request.method == hdrs.METH_HEAD:
        return response
    with tempfile.TemporaryDirectory(prefix="backup-", dir=call.app[SETTINGS].scratch_dir) as folder:
        copy = Path(folder, "flockd.db")
        await call.app[DAEMON].backup(copy)
        file = await asyncio.to_thread(copy.open, "rb")
    with file:  # its name is gone already: whatever happens to this process, nothing stays behind
        response.content_length = os.fstat(file.fileno()).st_size
        await response.prepare(call.request)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            await response.write(chunk)
    return response
