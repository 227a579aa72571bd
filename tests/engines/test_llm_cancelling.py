"""A cancelled attempt leaves its model at once, wherever it is, and leaves nothing reserved."""

import asyncio

import pytest

from flockd.engines.llm.choice import Choice
from flockd.engines.outside import LlmDefaults, Outside

from .attempts import Kept
from .fake_openai import LIMIT_SECONDS, FakeOpenAI, Hangs, Says
from .verdicts import GOOD, attempt_of, reader, verdict_of, work

CLOSED_SECONDS = 1.0
"""Within so long the provider sees that nobody listens any more."""


async def cancelled(working: asyncio.Task[object]) -> None:
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


@pytest.mark.parametrize("line", [Hangs(), Says(GOOD, hold_after=2)], ids=["before", "during"])
async def test_the_connection_is_closed_at_once(
    provider: FakeOpenAI, outside: Outside, line: Hangs | Says
) -> None:
    provider.script(line)
    kept = Kept()
    attempt = attempt_of(outside, kept=kept)
    working = asyncio.create_task(work(reader(), attempt))
    asked = await provider.request(1)
    if isinstance(line, Says):
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(attempt.text) < 10:
                attempt.wrote.clear()
                await attempt.wrote.wait()
    await cancelled(working)
    async with asyncio.timeout(CLOSED_SECONDS):
        await asked.closed.wait()
    assert GOOD.startswith(attempt.text)
    assert kept.settled == [None], "charged what was reserved: nobody knows what was taken"
    assert kept.steps == {}


async def test_one_that_waits_at_the_gate_was_never_sent(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    provider.script(Says(GOOD, hold_after=1), GOOD)
    async with Outside(defaults._replace(max_concurrency=1)) as outside:
        engine = reader()
        first = asyncio.create_task(work(engine, attempt_of(outside)))
        asked = await provider.request(1)
        kept = Kept()
        waiting = asyncio.create_task(work(engine, attempt_of(outside, kept=kept)))
        gate = (await outside.models.served(Choice("openai:tiny", provider.url))).gate
        async with asyncio.timeout(LIMIT_SECONDS):
            while not gate._waiting:  # noqa: ASYNC110  # nothing rings when one begins to wait
                await asyncio.sleep(0)
        await cancelled(waiting)
        assert kept.calls == []
        asked.go_on()
        await first
        assert (await verdict_of(reader(), attempt_of(outside))).sentiment == "good"


async def test_the_next_attempt_uses_the_same_client(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Hangs(), GOOD)
    engine = reader()
    working = asyncio.create_task(work(engine, attempt_of(outside)))
    await provider.request(1)
    await cancelled(working)
    assert (await verdict_of(engine, attempt_of(outside))).sentiment == "good"
