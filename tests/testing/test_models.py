"""Models in tests: scripted ones, and ones whose answers were recorded."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from pydantic import BaseModel

from flockd import Budget, Context, Flock, Seen
from flockd.config import Config
from flockd.errors import AgentFailed
from flockd.testing import Asked, RecordedModel, ScriptedModel, ToolCall, flock_test

pytest.importorskip("pydantic_ai")

from ..engines.fake_openai import FakeOpenAI, Says

Mode = Literal["native", "tool", "prompted"]
MODES: tuple[Mode, ...] = ("native", "tool", "prompted")


class Text(BaseModel):
    text: str


class Summary(BaseModel):
    summary: str


class Refusal(BaseModel):
    reason: str


def summing(publishes: Any = Summary, **options: Any) -> Flock:
    flock = Flock()
    flock.llm_agent("summer", consumes=Text, publishes=publishes, instructions="Summarise.", **options)
    return flock


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", [Summary(summary="short"), {"summary": "short"}])
async def test_a_scripted_answer(mode: Mode, answer: Any) -> None:
    model = ScriptedModel([answer])
    async with flock_test(summing(output_mode=mode), model=model) as board:
        (made,) = await board.run(Text(text="a long text"))
        assert made.value == Summary(summary="short")
        assert board.text("summer") == '{"summary":"short"}'
    (asked,) = model.asked
    assert "a long text" in asked.prompt
    assert "Summarise." in asked.instructions
    assert (asked.outputs, asked.tools, asked.returned) == (("Summary",), (), {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("answer", "made"),
    [
        (Refusal(reason="no"), Refusal(reason="no")),
        ({"reason": "no"}, Refusal(reason="no")),
        ({"summary": "x"}, Summary(summary="x")),
    ],
)
async def test_one_of_several_types(mode: Mode, answer: Any, made: Any) -> None:
    flock = summing(publishes=[Summary, Refusal], output_mode=mode)
    (one,) = await flock.test_run(Text(text=""), model=ScriptedModel([answer]))
    assert one.value == made


async def test_a_function_answers_each_request() -> None:
    async def answer(asked: Asked) -> dict[str, str]:
        return {"summary": asked.prompt[-6:]}

    for script in (answer, lambda asked: Summary(summary=asked.prompt[-6:])):
        async with flock_test(summing(), model=ScriptedModel(script)) as board:
            (one,) = await board.run(Text(text="abc"))
            (two,) = await board.run(Text(text="xyz"))
        assert (one.value.summary, two.value.summary) == ('"abc"}', '"xyz"}')


async def test_text_is_sent_as_it_is_and_asked_for_again() -> None:
    model = ScriptedModel(["I do not know.", '{"summary": "known"}'])
    (one,) = await summing().test_run(Text(text=""), model=model)
    assert one.value == Summary(summary="known")
    assert len(model.asked) == 2
    assert "Invalid JSON" in model.asked[1].prompt


async def test_a_script_that_is_at_its_end_says_so() -> None:
    with pytest.raises(AgentFailed, match="the scripted model has 1 answers and was asked once more: "):
        await summing().test_run(Text(text=""), model=ScriptedModel(["no"]))


async def test_a_request_that_fails() -> None:
    with pytest.raises(AgentFailed, match="ConnectionResetError: gone"):
        await summing().test_run(Text(text=""), model=ScriptedModel([ConnectionResetError("gone")]))


async def test_tools_are_called_and_what_they_give_is_seen() -> None:
    told: list[str] = []

    async def lookup(word: str, ctx: Context) -> str:
        """What a word means."""
        told.append(word)
        return word.upper()

    def answer(asked: Asked) -> Any:
        if not asked.returned:
            return [ToolCall("lookup", {"word": "a"}), ToolCall("lookup", {"word": "b"})]
        return Summary(summary=str(asked.returned["lookup"]))

    model = ScriptedModel(answer)
    async with flock_test(summing(tools=[lookup]), model=model) as board:
        (one,) = await board.run(Text(text=""))
        assert [event["data"]["tool"] for event in board.events("tool.called")] == ["lookup", "lookup"]
    assert sorted(told) == ["a", "b"]
    assert one.value.summary == "B"
    assert model.asked[0].tools == ("lookup",)


async def test_what_it_may_see_is_in_the_prompt() -> None:
    flock = summing(context=Seen(type="Text", scope="board"))
    model = ScriptedModel(lambda asked: Summary(summary=""))
    async with flock_test(flock, model=model) as board:
        await board.run(Text(text="the first"))
        await board.run(Text(text="the second"))
    assert "the first" in model.asked[1].prompt


async def test_models_by_the_name_of_the_agents_own() -> None:
    flock = Flock("openai:default")
    for name, model in (("one", None), ("two", "anthropic/other")):
        flock.llm_agent(name, consumes=Text, publishes=Summary, model=model)
    default, other = (ScriptedModel([Summary(summary=word)]) for word in ("default", "other"))
    made = await flock.test_run(Text(text=""), models={"openai/default": default, "anthropic:other": other})
    assert {one.produced_by: one.value.summary for one in made} == {"one": "default", "two": "other"}
    with pytest.raises(
        ValueError, match="no agent thinks with openai:x: they think with anthropic:other and openai:"
    ):
        await flock.test_run(Text(text=""), models={"openai:x": default})


async def test_without_a_model_no_network_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(AgentFailed, match=r"the test gave it no model: say model=ScriptedModel"):
        await summing(model="openai:gpt-4.1").test_run(Text(text=""))


@pytest.mark.parametrize("given", ["openai:gpt-4.1", [Summary(summary="")], ScriptedModel])
async def test_what_is_no_model_is_refused_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match=r"is no model: give it a ScriptedModel\("):
        await summing().test_run(Text(text=""), model=given)
    with pytest.raises(TypeError, match="is no model"):
        await summing().test_run(Text(text=""), models={"openai:default": given})


async def test_a_model_of_pydantic_ai_itself() -> None:
    from pydantic_ai.models.test import TestModel

    (one,) = await summing(output_mode="tool").test_run(Text(text=""), model=TestModel())
    assert isinstance(one.value, Summary)


async def test_a_retry_asks_again_after_an_answer_that_was_no_use() -> None:
    model = ScriptedModel(["no", "no", Summary(summary="third")])
    (one,) = await summing(retries=1).test_run(Text(text=""), model=model)
    assert one.value.summary == "third"


async def test_a_budget_holds_and_is_whole_again_the_next_day() -> None:
    flock = summing(budget=Budget(requests=2, per="day"))
    model = ScriptedModel(lambda asked: Summary(summary=""))
    async with flock_test(flock, model=model) as board:
        for _ in range(2):
            await board.run(Text(text=""))
        with pytest.raises(AgentFailed) as failed:
            await board.run(Text(text=""))
        assert failed.value.details is not None
        assert failed.value.details["code"] == "BUDGET_EXCEEDED"
        assert len(model.asked) == 2
        await board.advance("24h")
        await board.run(Text(text=""))
    assert len(model.asked) == 3


async def test_budgets_of_the_configuration_hold() -> None:
    config = Config.model_validate({"budgets": [{"scope": "run", "requests": 1}]})
    model = ScriptedModel(["no", "no"])
    with pytest.raises(AgentFailed, match="summer failed: "):
        await summing().test_run(Text(text=""), model=model, config=config)
    assert len(model.asked) == 1


# -- recorded -----------------------------------------------------------------------------------------------


def echo() -> ScriptedModel:
    return ScriptedModel(lambda asked: Summary(summary=asked.prompt[-6:]))


async def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "answers" / "summer.json"
    real = echo()
    async with flock_test(summing(), model=RecordedModel(path, record=real)) as board:
        await board.run(Text(text="abc"))
        await board.run(Text(text="xyz"))
        await board.run(Text(text="abc"))
    assert len(real.asked) == 2, "what is known is not asked again"
    async with flock_test(summing(), model=RecordedModel(path)) as board:
        (two,) = await board.run(Text(text="xyz"))
        (one,) = await board.run(Text(text="abc"))
        assert (one.value.summary, two.value.summary) == ('"abc"}', '"xyz"}')
        with pytest.raises(AgentFailed, match=r"summer\.json has no answer to this: .*new.*record it with"):
            await board.run(Text(text="new"))
    readable = orjson.loads(path.read_bytes())["answers"][0]["asked"]
    assert any("abc" in str(part) for part in readable)


@pytest.mark.parametrize(
    "half",
    [Says('{"summary": "h', finish=None), Says('{"summary": "h', finish="length")],
    ids=["cut", "limit"],
)
async def test_half_of_an_answer_is_not_kept(tmp_path: Path, half: Says) -> None:
    path = tmp_path / "summer.json"
    async with FakeOpenAI() as provider:
        provider.script(half, '{"summary": "whole"}')
        real = RecordedModel(path, record="openai:tiny", base_url=provider.url)
        with pytest.raises(AgentFailed, match=r"has no end|max_tokens"):
            await summing().test_run(Text(text=""), model=real)
        await summing().test_run(Text(text=""), model=real)
    (one,) = await summing().test_run(Text(text=""), model=RecordedModel(path))
    assert one.value == Summary(summary="whole")


async def test_a_recorded_answer_comes_with_what_it_took_and_why_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "summer.json"
    async with FakeOpenAI() as provider:
        provider.script(Says("", finish="content_filter"), Says('{"summary": "s"}', usage=(30, 4)))
        real = RecordedModel(path, record="openai:tiny", base_url=provider.url)
        with pytest.raises(AgentFailed, match="a content filter of its provider kept it"):
            await summing().test_run(Text(text="bad"), model=real)
        await summing().test_run(Text(text="good"), model=real)
    with pytest.raises(AgentFailed, match="a content filter of its provider kept it"):
        await summing().test_run(Text(text="bad"), model=RecordedModel(path))
    async with flock_test(summing(), model=RecordedModel(path)) as board:
        await board.run(Text(text="good"))
        (run,) = await board.runs()
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (30, 4)


async def test_recording_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "summer.json"
    for text in ("abc", "abc", "xyz"):
        await summing().test_run(Text(text=text), model=RecordedModel(path, record=echo()))
    assert len(orjson.loads(path.read_bytes())["answers"]) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_calls_of_tools_are_replayed(tmp_path: Path, mode: Mode) -> None:
    called: list[str] = []

    def lookup(word: str) -> str:
        called.append(word)
        return word.upper()

    def answer(asked: Asked) -> Any:
        return (
            Summary(summary=asked.returned["lookup"]) if asked.returned else ToolCall("lookup", {"word": "w"})
        )

    path = tmp_path / "summer.json"
    flock = summing(tools=[lookup], output_mode=mode)
    await flock.test_run(Text(text=""), model=RecordedModel(path, record=ScriptedModel(answer)))
    (one,) = await flock.test_run(Text(text=""), model=RecordedModel(path))
    assert (one.value.summary, called) == ("W", ["w", "w"])


async def test_the_same_question_is_answered_as_it_was_each_time(tmp_path: Path) -> None:
    path = tmp_path / "summer.json"
    real = ScriptedModel([Summary(summary="1"), Summary(summary="2")])
    await summing().test_run(Text(text=""), model=RecordedModel(path, record=real))
    kept = orjson.loads(path.read_bytes())
    other = orjson.loads(orjson.dumps(kept["answers"][0]).replace(b'\\"1\\"', b'\\"2\\"'))
    path.write_bytes(orjson.dumps({"answers": [kept["answers"][0], other]}))
    async with flock_test(summing(), model=RecordedModel(path)) as board:
        said = [(await board.run(Text(text="")))[0].value.summary for _ in range(3)]
    assert said == ["1", "2", "2"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there are no recorded answers at"),
        ("{}", "has no recorded answers: "),
        ("x", "has no recorded"),
    ],
)
async def test_a_file_that_is_none(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "summer.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        await summing().test_run(Text(text=""), model=RecordedModel(path))


async def test_two_runs_at_once_are_recorded_both(tmp_path: Path) -> None:
    path = tmp_path / "summer.json"

    async def slowly(asked: Asked) -> Summary:
        await asyncio.sleep(0)
        return Summary(summary=asked.prompt[-6:])

    model = RecordedModel(path, record=ScriptedModel(slowly))
    async with flock_test(summing(), model=model) as board:
        await asyncio.gather(*(board.run(Text(text=f"n{n}")) for n in range(5)))
    assert len(orjson.loads(path.read_bytes())["answers"]) == 5
    await asyncio.gather(*(summing().test_run(Text(text=f"m{n}"), model=model) for n in range(3)))
    assert len(orjson.loads(path.read_bytes())["answers"]) == 8, "boards of their own lose each other nothing"
