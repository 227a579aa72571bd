"""A service that says "not now" is asked again, within the time of the attempt; retries of the run are for failures."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from flockd.engines.http.engine import SENDINGS
from flockd.errors import AgentFailed

from .conftest import Agent
from .service import Answering, Service, says, text


@pytest.mark.parametrize("status", [429, 503])
async def test_it_is_asked_again_no_sooner_than_it_says(agent: Agent, service: Service, status: int) -> None:
    service.answer(text("", status, Retry_After="3"), text("", status, Retry_After="0"), says({"n": 1}))
    assert len(await agent.run()) == 1
    first, second = agent.pauses
    assert 3 <= first <= 4
    assert 0.5 <= second <= 1
    assert [each.headers["Idempotency-Key"] for each in service.requests] == [
        service.requests[0].headers["Idempotency-Key"]
    ] * 3


async def test_it_may_name_a_moment(agent: Agent, service: Service) -> None:
    service.answer(
        text("", 503, Retry_After=formatdate(agent.now + 60, usegmt=True)),
        text("", 503, Retry_After=formatdate(agent.now - 60, usegmt=True)),
        says({"n": 1}),
    )
    await agent.run()
    first, second = agent.pauses
    assert 59 <= first <= 75
    assert second < 1


async def test_a_429_that_names_no_time_is_waited_for_longer_and_longer(
    agent: Agent, service: Service
) -> None:
    service.answer(*[text("", 429)] * 4, says({"n": 1}))
    await agent.run()
    assert len(agent.pauses) == 4
    assert 0.5 <= agent.pauses[0] <= 1.25
    assert 4 <= agent.pauses[3] <= 10


@pytest.mark.parametrize(
    "answer", [text("", 503), text("", 503, Retry_After="soon"), text("", 500, Retry_After="1")]
)
async def test_what_is_no_pause_is_a_failure(agent: Agent, service: Service, answer: Answering) -> None:
    service.answer(answer)
    with pytest.raises(AgentFailed, match="answered 50"):
        await agent.run()
    assert agent.pauses == []


async def test_no_pause_is_begun_that_the_timeout_does_not_leave(agent: Agent, service: Service) -> None:
    agent.timeout_seconds = 30
    service.answer(says({"detail": "Closed for today."}, 503, Retry_After="3600"))
    with pytest.raises(AgentFailed) as failed:
        await agent.run()
    assert (
        "answered 503 Service Unavailable: Closed for today. (the timeout does not leave"
        in failed.value.message
    )
    assert agent.pauses == []


async def test_it_is_not_asked_for_ever(agent: Agent, service: Service) -> None:
    service.answer(text("", 429, Retry_After="1"))
    with pytest.raises(AgentFailed, match=rf"answered 429 Too Many Requests \(asked {SENDINGS} times\)"):
        await agent.run()
    assert len(service.requests) == SENDINGS


async def test_each_sending_is_signed_anew(
    agent: Agent, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICES_SECRET", "a secret")
    agent.options["secret_env"] = "PRICES_SECRET"
    service.answer(text("", 429, Retry_After="400"), says({"n": 1}))
    began = int(agent.now)
    await agent.run()
    first, second = (int(each.headers["webhook-timestamp"]) for each in service.requests)
    assert first == began
    assert second >= began + 400
    one, other = (each.headers["webhook-signature"] for each in service.requests)
    assert one != other
