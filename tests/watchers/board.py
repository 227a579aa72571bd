"""What the tests of other people's clients need of a board: something to watch, and what they ought to have seen."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.process.client import Client
from tests.process.daemon import Daemon

from .filters import Json, Wanted, admits
from .truth import read_log

_INLINE_BYTES = 64 << 10
"""The default of `streams.inline_bytes`."""


async def work(client: Client, workflows: int, *, last: str | None = None) -> int:
    """Publish so many workflows, each of them done when the next one begins. The head of the log after that.

    `last` is the correlation id of the last one, for who wants to know it before.
    """
    for n in range(workflows):
        fields = {"correlation_id": last} if last and n == workflows - 1 else {}
        done = (await client.publish_sync("A", {"n": n}, **fields)).accepted()
        assert done["completed"] is True
    return int(log(client.daemon)[-1]["seq"])


def log(daemon: Daemon, after: int = 0, wanted: Wanted = ()) -> list[Json]:
    """What a watcher with this filter is owed of the log after this seq, as it is on disk."""
    return [
        logged.event
        for logged in read_log(daemon.file, _INLINE_BYTES)
        if logged.seq > after and admits(wanted, logged.event, logged.payload)
    ]


async def restart(daemon: Daemon, *, killed: bool = False, same_port: bool = False) -> None:
    """End the daemon, in peace or by SIGKILL, and start it again."""
    port = str(urlsplit(daemon.url).port) if same_port else "0"
    await end(daemon, killed=killed)
    await daemon.start("--port", port)


async def end(daemon: Daemon, *, killed: bool = False) -> None:
    """End the daemon, in peace or by SIGKILL."""
    if killed:
        await daemon.kill()
    else:
        daemon.terminate()
        assert await daemon.wait() == 0
