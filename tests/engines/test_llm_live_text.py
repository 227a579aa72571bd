"""What a model says is told as it comes, in order."""

import asyncio

from flockd.engines.outside import Outside

from .attempts import Kept
from .fake_openai import LIMIT_SECONDS, Calls, FakeOpenAI, Refuses, Says
from .verdicts import GOOD, attempt_of, reader, verdict_of, work

TOKENS = ('{"sentiment":', '"go', 'od","key', 'words":[]}')


async def test_each_token_is_told_when_it_comes(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says(tokens=TOKENS, hold_after=2))
    attempt = attempt_of(outside)
    working = asyncio.create_task(work(reader(), attempt))
    asked = await provider.request(1)
    async with asyncio.timeout(LIMIT_SECONDS):
        await asked.holding.wait()
        while attempt.text != "".join(TOKENS[:2]):
            attempt.wrote.clear()
            await attempt.wrote.wait()
    assert not working.done()
    asked.go_on()
    await working
    assert attempt.written == list(TOKENS)


async def test_what_it_thinks_is_no_output(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says(GOOD, reasons="It is fun, so it must be good."))
    attempt = attempt_of(outside)
    await work(reader(), attempt)
    assert attempt.text == GOOD


async def test_what_it_says_before_it_calls_a_tool_is_told_and_the_call_is_not(
    provider: FakeOpenAI, outside: Outside
) -> None:
    def shout(word: str) -> str:
        """Shouts."""
        return word.upper()

    provider.script(Calls([("shout", '{"word":"fun"}')]), GOOD)
    attempt = attempt_of(outside)
    await work(reader(tools=(shout,)), attempt)
    assert attempt.text == GOOD


async def test_of_an_output_tool_among_others_only_its_arguments_are_told(
    provider: FakeOpenAI, outside: Outside
) -> None:
    def shout(word: str) -> str:
        """Shouts."""
        return word.upper()

    provider.script(Calls([("shout", '{"word":"fun"}'), ("Verdict", GOOD)]))
    attempt = attempt_of(outside)
    verdict = await verdict_of(reader(tools=(shout,), output_mode="tool"), attempt)
    assert verdict.sentiment == "good"
    assert attempt.text == GOOD


async def test_a_request_that_was_refused_first_tells_its_text_once(
    provider: FakeOpenAI, outside: Outside, soon: None
) -> None:
    provider.script(Refuses(500), GOOD)
    attempt = attempt_of(outside)
    await work(reader(), attempt)
    assert attempt.text == GOOD


async def test_a_recorded_answer_is_not_told_again(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(GOOD)
    kept, engine = Kept(), reader()
    await work(engine, attempt_of(outside, kept=kept))
    again = attempt_of(outside, kept=kept)
    assert (await verdict_of(engine, again)).sentiment == "good"
    assert again.written == []
    assert len(provider.asked) == 1
