"""Everyone who watches gets the log after its cursor, filtered: each event, once, in order, as it is, through kills.

`FLOCKD_CROWD_SEED` repeats an earlier play's choices. `python -m bench.soak` plays the same with more of everything.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.process.client import Client
from tests.process.daemon import Daemon

from .crowd import SETTINGS, Crowd, Size

SIZE = Size(
    publications=1200, publishers=4, sse=70, ndjson=50, sockets=20, subscriptions=4, followers=10, filters=60
)
"""200 watchers, besides the followers of one workflow each and those that hardly read."""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A daemon as people run it: with the interpreter's own checks the play would take several times as long."""
    daemon = Daemon(tmp_path, interpreter=(sys.executable,))
    yield daemon
    await daemon.close()
    print(daemon.output)


@pytest.mark.timeout(400)
async def test_everyone_gets_the_log_after_its_cursor_through_kills(daemon: Daemon, client: Client) -> None:
    seed = int(os.environ.get("FLOCKD_CROWD_SEED", random.randrange(2**32)))
    print(f"FLOCKD_CROWD_SEED={seed}")
    crowd = Crowd(daemon, client, seed, SIZE, lambda: daemon.start(settings=SETTINGS))
    report = await crowd.play()
    print(report)
    assert not report.differences, "\n".join([f"FLOCKD_CROWD_SEED={seed}", *report.differences])
    assert (report.kills, report.watchers) == (2, 217)
    assert report.fed > 100
    assert report.cut_readers >= 1
    await daemon.verify()
