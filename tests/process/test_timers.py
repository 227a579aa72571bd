"""Timers over SIGKILL at each step of a firing: every moment fires once, with all that it sets off."""

import signal
from collections import Counter

import pytest

from .client import Client
from .daemon import Daemon
from .tail import Tail

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(
    ("step", "command"),
    [
        ("loaded", "FireTimers"),
        ("applied", "FireTimers"),
        ("committed", "FireTimers"),
        ("told", "FireTimers"),
        ("applied", "SyncTimers"),
        ("committed", "SyncTimers"),
    ],
)
async def test_a_killed_daemon_neither_loses_nor_doubles_a_firing(
    daemon: Daemon, client: Client, tail: Tail, step: str, command: str
) -> None:
    ready = await daemon.launch(program=("-m", "tests.process.timed", step, command))
    assert await daemon.wait() == -signal.SIGKILL
    ready.cancel()
    await daemon.verify()

    await daemon.start(program=("-m", "tests.process.timed", "never", command))
    await tail.counted("timer.fired", 6)
    await tail.quiet()
    listed = (await client.get("/api/v1/timers"))["timers"]
    assert [(one["name"], one["fired"], one["next_due_at"]) for one in listed] == [
        ("chain", 3, None),
        ("word", 3, None),
    ]
    due = [(event["data"]["timer"], event["data"]["due_at"]) for event in tail.of("timer.fired")]
    assert len(due) == len(set(due)) == 6
    types = Counter(artifact["type"] for artifact in await client.artifacts())
    assert types == {"A": 3, "B": 3, "C": 3, "D": 3, "Word": 3, "Digest": 3}
    assert {run["state"] for run in await client.runs()} == {"completed"}
    await daemon.verify()
