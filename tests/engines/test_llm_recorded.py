"""Recorded answers: an attempt that goes on where another ended asks nothing twice, and no bad answer is kept."""

import pytest

from flockd.domain.usage import Most, Usage
from flockd.engines.outside import LlmDefaults, ModelLimits, Outside
from flockd.errors import AgentFailed

from .attempts import Kept
from .fake_openai import Breaks, Calls, FakeOpenAI, Says
from .verdicts import GOOD, VERDICT, attempt_of, reader, verdict_of, work


def answers(kept: Kept) -> list[str]:
    """The generations of the recorded answers."""
    return [name.split("/")[1] for name in kept.steps if name.startswith("model/") and "redo" not in name]


async def test_an_answer_is_recorded_with_what_it_took(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says(GOOD, usage=(120, 34)))
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    (call,) = kept.calls
    assert call.model == "openai:tiny"
    (settled,) = kept.settled
    assert settled is not None
    assert settled == Usage(1, 120, 34, 0, settled.ms)
    assert answers(kept) == ["0"]


async def test_after_a_crash_no_answer_is_asked_for_again(provider: FakeOpenAI, outside: Outside) -> None:
    """Two requests were answered, and the process ended before their run did."""
    calls = 0

    def lookup(word: str) -> int:
        """Looks a word up."""
        nonlocal calls
        calls += 1
        return len(word)

    provider.script(Calls([("lookup", '{"word":"fun"}')]), GOOD)
    kept, engine = Kept(), reader(tools=(lookup,))
    await work(engine, attempt_of(outside, kept=kept))
    another_process = reader(tools=(lookup,))
    again = attempt_of(outside, kept=kept)
    assert (await verdict_of(another_process, again)).sentiment == "good"
    assert (len(provider.asked), len(kept.calls), calls) == (2, 2, 1)


async def test_an_attempt_that_broke_off_keeps_what_was_answered_before(
    provider: FakeOpenAI, outside: Outside
) -> None:
    def lookup(word: str) -> int:
        """Looks a word up."""
        return len(word)

    provider.script(Calls([("lookup", '{"word":"fun"}')]), Breaks(["{"]), GOOD)
    kept, engine = Kept(), reader(tools=(lookup,))
    with pytest.raises(AgentFailed, match="broke off"):
        await work(engine, attempt_of(outside, kept=kept))
    assert (await verdict_of(engine, attempt_of(outside, kept=kept))).sentiment == "good"
    assert len(provider.asked) == 3, "the first answer was not asked for again"
    assert answers(kept) == ["0", "0"]


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["{}", "{}"], {}),
        ([Says("{", finish="length")], {}),
        ([Calls([("lookup", '{"word":"fun"}')])] * 2, {"tool_rounds": 1}),
    ],
    ids=["invalid", "too long", "too many rounds"],
)
async def test_after_answers_that_were_no_use_the_next_attempt_asks_anew(
    provider: FakeOpenAI, outside: Outside, lines: list[Says | Calls | str], options: dict[str, int]
) -> None:
    def lookup(word: str) -> int:
        """Looks a word up."""
        return len(word)

    provider.script(*lines, GOOD)
    kept, engine = Kept(), reader(tools=(lookup,), **options)
    with pytest.raises(AgentFailed):
        await work(engine, attempt_of(outside, kept=kept))
    assert kept.steps["model/redo/0"] == b"true"
    again = attempt_of(outside, kept=kept)
    assert (await verdict_of(engine, again)).sentiment == "good"
    assert again.text == GOOD
    assert answers(kept) == ["0"] * len(lines) + ["1"]
    third = attempt_of(outside, kept=kept)
    await work(engine, third)
    assert len(provider.asked) == len(lines) + 1


@pytest.mark.parametrize(
    "change", [{"instructions": "Be brief."}, {"max_tokens": 5}, {"output_mode": "prompted"}]
)
async def test_an_agent_that_was_changed_asks_anew(
    provider: FakeOpenAI, outside: Outside, change: dict[str, object]
) -> None:
    provider.script(GOOD, GOOD)
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    await work(reader(VERDICT, **change), attempt_of(outside, kept=kept))
    assert len(provider.asked) == 2


async def test_what_is_reserved_bounds_what_is_taken(provider: FakeOpenAI, defaults: LlmDefaults) -> None:
    provider.script(GOOD)
    kept = Kept()
    limits = ModelLimits("openai/tiny", input_usd=1.0, output_usd=2.0)
    async with Outside(defaults, [limits]) as outside:
        await work(reader(max_tokens=50), attempt_of(outside, "x" * 1000, kept=kept))
    (call,) = kept.calls
    (settled,) = kept.settled
    assert settled is not None
    sent = sum(len(one["content"]) for one in provider.asked[0].body["messages"])
    assert call.most == Most(call.most.input_tokens, 50, call.most.input_tokens * 1000 + 50 * 2000)
    assert sent < call.most.input_tokens < sent + 4000
    assert settled.cost == 11 * 1000 + 7 * 2000


async def test_without_a_price_the_most_has_none(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(GOOD)
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    assert kept.calls[0].most.cost is None


async def test_a_server_that_does_not_say_what_it_took_is_charged_what_was_reserved(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Says(GOOD, usage=None))
    kept = Kept()
    await work(reader(), attempt_of(outside, kept=kept))
    assert kept.settled == [None]
    assert answers(kept) == ["0"], "it is recorded all the same"
