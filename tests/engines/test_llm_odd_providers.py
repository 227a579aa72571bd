"""Providers that answer what no provider should: what is charged then, what is told, and what is kept to ourselves."""

import asyncio

import orjson
import pytest

from flockd.domain.usage import Usage
from flockd.engines.outside import LlmDefaults, Outside
from flockd.errors import AgentFailed

from .attempts import Kept
from .fake_openai import LIMIT_SECONDS, Calls, FakeOpenAI, Line, Page, Refuses, Says, Sends
from .verdicts import GOOD, attempt_of, reader, verdict_of, work

PASSWORD = "open-sesame-42"


def chunk(delta: object, finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return orjson.dumps({"id": "c", "object": "chat.completion.chunk", "choices": choices})


async def failure(outside: Outside, kept: Kept | None = None) -> str:
    with pytest.raises(AgentFailed) as failed:
        await work(reader(), attempt_of(outside, kept=kept))
    return failed.value.message


# -- what it took -------------------------------------------------------------------------------------------


def told(usage: object) -> Line:
    """A good answer with this usage."""
    last = b'{"id":"c","choices":[],"usage":%s}' % (
        usage if isinstance(usage, bytes) else orjson.dumps(usage)
    )
    return Sends([chunk({"content": GOOD}), chunk({}, "stop"), last])


@pytest.mark.filterwarnings("ignore")  # pydantic and pydantic-ai wonder, too
@pytest.mark.parametrize(
    "usage",
    [
        b'{"prompt_tokens":1%s,"completion_tokens":7}' % (b"0" * 30),
        {"prompt_tokens": 11, "completion_tokens": 10**18},
        {"prompt_tokens": -11, "completion_tokens": -7},
        {"prompt_tokens": "11", "completion_tokens": "7"},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 1.5, "completion_tokens": 7.5},
        {},
    ],
)
async def test_what_cannot_be_is_charged_as_reserved(
    provider: FakeOpenAI, outside: Outside, usage: object
) -> None:
    provider.script(told(usage))
    kept = Kept()
    assert (await verdict_of(reader(), attempt_of(outside, kept=kept))).sentiment == "good"
    assert kept.settled == [None]


async def test_what_can_be_is_charged(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(told({"prompt_tokens": 11, "completion_tokens": 7}))
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    (settled,) = kept.settled
    assert settled is not None
    assert settled == Usage(1, 11, 7, 0, settled.ms)


# -- what it said -------------------------------------------------------------------------------------------


async def test_an_answer_that_cannot_be_kept_is_charged_and_fails(
    provider: FakeOpenAI, outside: Outside
) -> None:
    """Half of a pair of surrogates: JSON may name it, and no text can be made of it."""
    broken = chunk({"content": "?"}).replace(b"?", b"\\ud83d")
    provider.script(Sends([broken, chunk({}, "stop")]), GOOD)
    kept = Kept()
    message = await failure(outside, kept)
    assert message.startswith("agent reader: the answer of openai:tiny cannot be kept: ")
    assert kept.settled == [None]
    assert (await verdict_of(reader(), attempt_of(outside, kept=kept))).sentiment == "good"


async def test_an_answer_without_end_is_left(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    """A server that ignores `max_tokens` fills no memory: it is left, not read to its end."""
    provider.script(Says(tokens=["x" * 1000] * 100, hold_after=50))
    kept = Kept()
    async with Outside(defaults, answer_bytes=20_000) as outside:
        message = await failure(outside, kept)
    assert message == (
        "agent reader: openai:tiny said more than 20000 bytes, and was left: limits.output_bytes is 20000"
    )
    assert kept.settled == [None]
    async with asyncio.timeout(LIMIT_SECONDS):
        await provider.asked[0].closed.wait()


async def test_a_call_of_a_tool_without_end_is_left(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    provider.script(Calls([("other", '{"word":"%s"}' % ("x" * 30_000))]))
    async with Outside(defaults, answer_bytes=20_000) as outside:
        assert "said more than 20000 bytes" in await failure(outside)


async def test_a_refusal_is_told(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Sends([chunk({"refusal": "I will not say."}), chunk({}, "stop")]))
    assert await failure(outside) == (
        "agent reader: openai:tiny gave no answer: a content filter of its provider kept it. "
        "It said: I will not say."
    )
    assert len(provider.asked) == 1


async def test_a_filter_is_told_without_the_answers_innards(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says("", finish="content_filter"))
    assert await failure(outside) == (
        "agent reader: openai:tiny gave no answer: a content filter of its provider kept it"
    )


@pytest.mark.parametrize("line", [Sends([]), Sends([b'{"id":"c","choices":[]}']), Page()])
async def test_no_answer_is_told_as_that(provider: FakeOpenAI, outside: Outside, line: Line) -> None:
    provider.script(line)
    kept = Kept()
    assert (await failure(outside, kept)).startswith("agent reader: openai:tiny gave no answer: ")
    assert kept.settled == [None]


async def test_tools_that_an_agent_has_not_are_called_twice_at_most(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(*[Calls([("other", "{}")])] * 5)
    assert await failure(outside) == (
        "agent reader: openai:tiny called tools more than once, and it was given none"
    )
    assert len(provider.asked) == 2


# -- what it asks for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["0", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "nan"])
async def test_one_that_asks_for_no_rest_is_given_one(
    provider: FakeOpenAI, outside: Outside, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[int] = []

    def delay(failures: int, base: float, most: float) -> float:
        rests.append(failures)
        return 0.0

    monkeypatch.setattr("flockd.engines.llm.model.delay_seconds", delay)
    provider.script(*[Refuses(429, headers={"Retry-After": after})] * 2, GOOD)
    await work(reader(), attempt_of(outside))
    assert rests == [1, 2]


# -- secrets ------------------------------------------------------------------------------------------------


async def test_a_key_is_not_told_whatever_its_variable_is_called(
    provider: FakeOpenAI, defaults: LlmDefaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_CREDENTIAL", PASSWORD)
    provider.script(Refuses(401, f"Who is Bearer {PASSWORD}?"))
    async with Outside(defaults._replace(api_key_env="TINY_CREDENTIAL")) as outside:
        assert await failure(outside) == (
            "agent reader: openai:tiny refused the request (401): Who is Bearer ***?"
        )


async def test_what_stands_in_an_address_is_neither_told_nor_kept(
    provider: FakeOpenAI, defaults: LlmDefaults
) -> None:
    base_url = provider.url.replace("http://", f"http://ann:{PASSWORD}@")
    kept = Kept()
    async with Outside(defaults._replace(base_url=base_url)) as outside:
        provider.script(Page(status=307, headers={"Location": "/elsewhere"}))
        message = await failure(outside, kept)
        assert "307" in message
        assert PASSWORD not in message
        provider.script(GOOD)
        await work(reader(), attempt_of(outside, kept=kept))
    assert kept.steps
    assert not [name for name, value in kept.steps.items() if PASSWORD.encode() in value]
