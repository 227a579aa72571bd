"""Administration: is the board what its rows say, a copy of it, and emptying it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson
from aiohttp import hdrs, web

from flockd.api.bodies import ResetBody
from flockd.api.keys import BOARD, DAEMON, SETTINGS
from flockd.domain.moment import iso, now_ms
from flockd.routing import Call

SQLITE = "application/vnd.sqlite3"


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

    Consistent, made while the daemon works, and gone from its disk when it is sent.
    """
    with tempfile.TemporaryDirectory(prefix="backup-", dir=call.app[SETTINGS].scratch_dir) as folder:
        copy = Path(folder, "flockd.db")
        await call.app[DAEMON].backup(copy)
        name = f"flockd-{iso(now_ms())[:19].replace(':', '')}Z.db"
        response = web.FileResponse(
            copy,
            headers={
                hdrs.CONTENT_TYPE: SQLITE,
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
                hdrs.CACHE_CONTROL: "no-store",
            },
        )
        await response.prepare(call.request)  # sends all of it
        return response
