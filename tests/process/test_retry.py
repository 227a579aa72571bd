"""Dead letters of a real daemon: one key is one retry, over a kill, too; and the command takes up all the rest."""

import asyncio

import pytest

from .client import Client
from .daemon import Daemon
from .tail import Tail

pytestmark = pytest.mark.timeout(120)
KEY = "8d9a2c1e-redrive"


async def attempts(client: Client) -> list[int]:
    """Of all dead runs, the oldest first."""
    return [run["attempt"] for run in reversed(await client.runs(state="dead"))]


async def test_one_key_is_one_retry_over_a_kill_and_the_command_retries_the_rest(
    daemon: Daemon, client: Client, tail: Tail
) -> None:
    await daemon.start()
    for n in range(5):
        (await client.publish_sync("Doomed", {"n": n})).accepted()
    body = {"limit": 2}
    answers = await asyncio.gather(
        *(client.request("POST", "/api/v1/runs/retry", body, key=KEY) for _ in range(10))
    )
    assert [answer.body for answer in answers] == [answers[0].body] * 10
    assert (answers[0].body["retried"], answers[0].body["remaining"]) == (2, 3)
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    await tail.counted("run.failed", 7)

    await daemon.kill()
    await daemon.start()
    later = await client.request("POST", "/api/v1/runs/retry", body, key=KEY)
    assert (later.status, later.body, later.replayed) == (200, answers[0].body, True)
    assert await attempts(client) == [2, 2, 1, 1, 1]

    code, printed = await daemon.command("retry", "--agent", "loser", "--url", daemon.url)
    assert (code, printed.splitlines()[-1]) == (0, "5 runs start again.")
    await tail.counted("run.failed", 12)
    assert await attempts(client) == [3, 3, 2, 2, 2]
    await daemon.verify()
