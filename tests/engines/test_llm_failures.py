"""Providers that refuse, rest, break and hang: what is sent again, what fails the run, and what it is told."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from flockd.domain.rate import Rate
from flockd.domain.usage import Most, Usage
from flockd.engines.outside import LlmDefaults, ModelLimits, Outside
from flockd.errors import AgentFailed, BudgetExceeded

from .attempts import Kept
from .fake_openai import LIMIT_SECONDS, Breaks, FakeOpenAI, Hangs, Line, Refuses, Says, Sends
from .verdicts import GOOD, attempt_of, reader, verdict_of, work


async def failing(outside: Outside, kept: Kept | None = None, **thinking: Any) -> AgentFailed:
    with pytest.raises(AgentFailed) as failed:
        await work(reader(**thinking), attempt_of(outside, kept=kept))
    return failed.value


async def failure(outside: Outside, kept: Kept | None = None) -> str:
    return (await failing(outside, kept)).message


@pytest.mark.parametrize("line", [Refuses(429), Refuses(408), Refuses(500), Refuses(503), Breaks()])
async def test_what_is_refused_for_now_is_sent_again(
    provider: FakeOpenAI, outside: Outside, soon: None, line: Line
) -> None:
    provider.script(line, line, GOOD)
    kept = Kept()
    assert (await verdict_of(reader(), attempt_of(outside, kept=kept))).sentiment == "good"
    assert len(provider.asked) == 3
    assert len(kept.settled) == 3, "each sending is a call of its own"
    assert kept.settled[2] is not None
    assert kept.settled[2][:3] == (1, 11, 7)


async def test_a_refusal_took_nothing_and_of_a_broken_connection_nobody_knows(
    provider: FakeOpenAI, outside: Outside, soon: None
) -> None:
    provider.script(Refuses(500), Breaks(), GOOD)
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    refused, broken, _ = kept.settled
    assert refused is not None
    assert refused[:4] == (1, 0, 0, 0)
    assert broken is None


async def test_it_is_sent_again_so_often_and_no_more(
    provider: FakeOpenAI, defaults: LlmDefaults, soon: None
) -> None:
    provider.script(*[Refuses(503, "the model is\noverloaded")] * 9)
    async with Outside(defaults._replace(retries=2)) as outside:
        message = await failure(outside)
    assert message == (
        "agent reader: openai:tiny refused the request (503): the model is overloaded (asked 3 times)"
    )
    assert len(provider.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_is_refused_for_good_is_told_in_the_providers_words(
    provider: FakeOpenAI, outside: Outside, status: int
) -> None:
    provider.script(Refuses(status, "there is no such thing"))
    kept = Kept()
    failed = await failing(outside, kept)
    assert failed.message == (
        f"agent reader: openai:tiny refused the request ({status}): there is no such thing"
    )
    assert (failed.is_final, failed.kind) == (True, f"http_{status}")
    assert len(provider.asked) == 1
    (settled,) = kept.settled
    assert settled is not None
    assert settled[:4] == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        *(Refuses(status) for status in (402, 408, 409, 429, 500, 503)),
        Refuses(429, "no credit", code="insufficient_quota"),
        Refuses(403, headers={"Retry-After": "1"}),
        Refuses(400, headers={"x-should-retry": "true"}),
        Breaks(),
        Breaks(["{"]),
        Says(GOOD, finish=None),
        Says("{", finish="length"),
        Sends([b'{"error": {"message": "no such model", "code": 404}}']),
        Hangs(),
    ],
    ids=lambda line: f"{type(line).__name__} {getattr(line, 'status', '')}",
)
async def test_what_is_about_now_is_not_final(
    provider: FakeOpenAI, defaults: LlmDefaults, line: Line
) -> None:
    provider.script(line)
    async with Outside(defaults._replace(retries=0)) as outside:
        assert not (await failing(outside, timeout_seconds=1)).is_final


async def test_a_declaration_that_cannot_work_is_final(
    defaults: LlmDefaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINY_KEY", raising=False)
    async with Outside(defaults._replace(api_key_env="TINY_KEY")) as outside:
        failed = await failing(outside)
    assert "TINY_KEY" in failed.message
    assert failed.is_final
    async with Outside(LlmDefaults()) as outside:
        assert (await failing(outside)).is_final


async def test_an_account_without_credit_is_not_waited_for(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Refuses(429, "You exceeded your current quota", code="insufficient_quota"))
    assert "You exceeded your current quota" in await failure(outside)
    assert len(provider.asked) == 1


async def test_no_secret_of_the_environment_is_told(
    provider: FakeOpenAI, defaults: LlmDefaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-very-secret")
    monkeypatch.setenv("SIGNING_KEY", "of several\nlines")
    provider.script(Refuses(401, "Incorrect API key provided: sk-very-secret.\nNor is it of several\nlines."))
    async with Outside(defaults._replace(api_key_env="TINY_KEY")) as outside:
        message = await failure(outside)
    assert message == (
        "agent reader: openai:tiny refused the request (401): Incorrect API key provided: ***. Nor is it ***."
    )


async def test_a_server_that_is_not_there_is_told(
    unused_tcp_port_factory: Callable[[], int], soon: None
) -> None:
    base_url = f"http://127.0.0.1:{unused_tcp_port_factory()}/v1"
    kept = Kept()
    async with Outside(LlmDefaults(model="tiny", base_url=base_url, retries=1)) as outside:
        message = await failure(outside, kept)
    assert message.startswith("agent reader: tiny could not be reached: ")
    assert message.endswith(" (asked 2 times)")
    assert [settled and settled[:3] for settled in kept.settled] == [(1, 0, 0), (1, 0, 0)]


# -- answers that break off ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [Breaks(['{"senti', 'ment":']), Says(tokens=['{"senti', 'ment":'], finish=None)],
    ids=["cut", "ended"],
)
async def test_an_answer_that_breaks_off_fails_the_attempt_and_is_charged_as_reserved(
    provider: FakeOpenAI, outside: Outside, line: Line
) -> None:
    provider.script(line)
    kept = Kept()
    attempt = attempt_of(outside, kept=kept)
    with pytest.raises(
        AgentFailed, match=r"^agent reader: openai:tiny broke off in the middle of its answer: "
    ):
        await work(reader(), attempt)
    assert attempt.text == '{"sentiment":'
    assert kept.settled == [None]
    assert kept.steps == {}, "the next attempt asks anew"
    assert len(provider.asked) == 1


async def test_one_that_does_not_come_in_time_fails_and_is_closed(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Hangs())
    kept = Kept()
    with pytest.raises(AgentFailed) as failed:
        await work(reader(timeout_seconds=0.2), attempt_of(outside, kept=kept))
    assert failed.value.message == ("agent reader: openai:tiny did not answer within 0.2 s (timeout_seconds)")
    assert kept.settled == [None]
    async with asyncio.timeout(1):
        await provider.asked[0].closed.wait()


async def test_the_time_is_for_the_whole_answer(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says(GOOD, hold_after=2))
    with pytest.raises(AgentFailed, match=r"did not answer within 0\.3 s"):
        await work(reader(timeout_seconds=0.3), attempt_of(outside))


# -- rests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["seconds", "date", "milliseconds"])
async def test_a_rest_that_the_provider_asks_for_is_taken(
    provider: FakeOpenAI, outside: Outside, form: str
) -> None:
    headers = {
        "seconds": {"Retry-After": "1"},
        "date": {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)},
        "milliseconds": {"retry-after-ms": "700"},
    }[form]
    provider.script(Refuses(429, headers=headers), GOOD)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await work(reader(), attempt_of(outside))
    assert loop.time() - began >= 0.65, "the backoff alone would be over after half a second"


async def test_everybody_who_asks_that_model_takes_the_rest(
    provider: FakeOpenAI, defaults: LlmDefaults
) -> None:
    provider.script(Refuses(429, headers={"retry-after-ms": "400"}), GOOD, GOOD)
    async with Outside(defaults._replace(max_concurrency=1)) as outside:
        engines = [reader(), reader(model="openai/tiny")]
        await asyncio.gather(*(work(engine, attempt_of(outside, str(n))) for n, engine in enumerate(engines)))
    refused, again, other = provider.asked
    assert refused.prompt == again.prompt != other.prompt
    assert again.at - refused.at >= 0.4
    assert other.at >= again.at


async def test_a_rest_of_a_day_ends_with_the_run(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Refuses(429, headers={"Retry-After": "86400"}))
    working = asyncio.create_task(work(reader(), attempt_of(outside)))
    asked = await provider.request(1)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asked.ended.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert len(provider.asked) == 1


# -- limits -------------------------------------------------------------------------------------------------


async def test_so_many_requests_are_at_one_model_at_once(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    provider.script(*[Says(GOOD, hold_after=1)] * 5)
    async with Outside(defaults, [ModelLimits("openai/tiny", max_concurrency=2)]) as outside:
        engines = [reader(), reader(model="openai/tiny")]
        working = [asyncio.create_task(work(engines[n % 2], attempt_of(outside, str(n)))) for n in range(5)]
        for number in range(1, 6):
            await provider.request(min(number + 1, 5))  # the next one is there before this one is answered
            (await provider.request(number)).go_on()
        await asyncio.gather(*working)
    assert provider.at_once == 2
    assert len({asked.prompt for asked in provider.asked}) == 5


async def test_a_model_is_asked_no_more_often_than_its_rate(
    provider: FakeOpenAI, defaults: LlmDefaults
) -> None:
    async with Outside(defaults, [ModelLimits("openai/tiny", rate=Rate(1, 300))]) as outside:
        provider.script(GOOD, GOOD)
        await asyncio.gather(*(work(reader(), attempt_of(outside, str(n))) for n in range(2)))
    first, second = provider.asked
    # The gate counts from when it lets one in; how long the first one took to arrive is not known here.
    assert second.at - first.at > 0.1


async def test_the_section_bounds_models_without_a_table(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    provider.script(*[Says(GOOD, hold_after=1)] * 3)
    async with Outside(defaults._replace(max_concurrency=1)) as outside:
        working = [asyncio.create_task(work(reader(), attempt_of(outside, str(n)))) for n in range(3)]
        for number in range(1, 4):
            (await provider.request(number)).go_on()
        await asyncio.gather(*working)
    assert provider.at_once == 1


async def test_a_budget_that_is_spent_ends_the_attempt_before_anything_is_sent(
    provider: FakeOpenAI, outside: Outside
) -> None:
    kept = Kept()
    kept.requests_left = 0
    with pytest.raises(BudgetExceeded):
        await work(reader(), attempt_of(outside, kept=kept))
    assert provider.asked == []


@pytest.mark.parametrize("ends", ["refused", "cancelled"])
async def test_a_call_that_is_not_sent_uses_no_start_of_the_models_rate(
    provider: FakeOpenAI, defaults: LlmDefaults, ends: str
) -> None:
    """One request an hour: it is for the call that its budget lets through."""

    class Slow(Kept):
        asked = asyncio.Event()

        async def begin_call(self, model: str, most: Most) -> str:
            self.asked.set()
            return await asyncio.Future()

    provider.script(GOOD)
    async with Outside(defaults, [ModelLimits("openai/tiny", rate=Rate(1, 3_600_000))]) as outside:
        if ends == "refused":
            refused = Kept()
            refused.requests_left = 0
            with pytest.raises(BudgetExceeded):
                await work(reader(), attempt_of(outside, kept=refused))
        else:
            slow = Slow()
            reserving = asyncio.create_task(work(reader(), attempt_of(outside, kept=slow)))
            await slow.asked.wait()
            reserving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reserving
        async with asyncio.timeout(LIMIT_SECONDS):
            await work(reader(), attempt_of(outside))
    assert len(provider.asked) == 1


async def test_sending_again_counts_for_budgets(provider: FakeOpenAI, outside: Outside, soon: None) -> None:
    provider.script(*[Refuses(500)] * 3)
    kept = Kept()
    kept.requests_left = 2
    with pytest.raises(BudgetExceeded):
        await work(reader(), attempt_of(outside, kept=kept))
    assert len(provider.asked) == 2
    assert all(settled == Usage(1, ms=settled.ms) for settled in kept.settled if settled is not None)
