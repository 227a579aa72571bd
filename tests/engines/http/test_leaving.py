"""Whoever stops waiting closes the connection: the service sees it within a second."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Agent
from .service import Answering, Service, halves, silence, text


@pytest.mark.parametrize("answer", [silence, halves])
async def test_a_service_sees_that_its_run_was_cancelled(
    agent: Agent, service: Service, answer: Answering
) -> None:
    service.answer(answer)
    run = asyncio.create_task(agent.run())
    await service.reached()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with asyncio.timeout(1):
        await service.left.wait()


async def test_a_pause_is_cancelled_at_once(agent: Agent, service: Service) -> None:
    pausing, never = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        pausing.set()
        await never.wait()

    agent.sleep = sleep
    service.answer(text("", 429, Retry_After="60"))
    run = asyncio.create_task(agent.run())
    async with asyncio.timeout(10):
        await pausing.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(service.requests) == 1


async def test_the_end_of_the_daemon_closes_what_is_open(agent: Agent, service: Service) -> None:
    service.answer(silence)
    run = asyncio.create_task(agent.run())
    await service.reached()
    await agent.outside.client.close()
    with pytest.raises(Exception, match="closed the connection"):
        await run
    async with asyncio.timeout(1):
        await service.left.wait()
