"""What a model is asked, and what is made of its answer: types, modes, one more try, and clear failures."""

from typing import Any

import pytest
from pydantic import BaseModel, RootModel
from pydantic_ai.models.test import TestModel
from typing_extensions import TypedDict

from flockd import Flock
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.fields import model_of
from flockd.domain.gathering import BatchSpec
from flockd.engines.base import Output
from flockd.engines.llm.answers import labels_of
from flockd.engines.outside import LlmDefaults, Outside
from flockd.errors import AgentFailed
from flockd.flock.llm_agents import LlmOptions

from .attempts import Attempt, artifact
from .fake_openai import Calls, FakeOpenAI, Says
from .verdicts import GOOD, TEXT, VERDICT, Verdict, attempt_of, reader, verdict_of, work

FIELDS = ArtifactType(
    "AnalyzerOutput", model_of("AnalyzerOutput", "sentiment: str | how it sounds, keywords: list[str]")
)


class Text(BaseModel):
    text: str


SCHEMA = ArtifactType(
    "Count",
    schema={
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/Whole"}},
        "required": ["n"],
        "$defs": {"Whole": {"type": "integer", "minimum": 1}},
    },
)


def sent_format(provider: FakeOpenAI, number: int = 0) -> dict[str, Any]:
    (described,) = [provider.asked[number].body["response_format"]["json_schema"]]
    assert isinstance(described, dict)
    return described


# -- what is asked ------------------------------------------------------------------------------------------


async def test_the_instructions_are_the_system_and_the_inputs_the_users_words(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(GOOD)
    attempt = Attempt(
        outside,
        artifact("Text", TEXT, 1),
        artifact("Score", {"n": 1}, 2),
        artifact("Score", {"n": 2}, 3),
    )
    verdict = await verdict_of(reader(instructions="Say what you think."), attempt)
    assert verdict == Verdict(sentiment="good", keywords=["agents"])
    (asked,) = provider.asked
    assert asked.body["messages"] == [
        {"role": "system", "content": "Say what you think."},
        {
            "role": "user",
            "content": 'Text:\n{"text":"Flock makes building agents easy and fun!"}\n\n'
            'Score:\n[\n{"n":1},\n{"n":2}\n]',
        },
    ]
    assert (asked.body["model"], asked.body["max_tokens"]) == ("tiny", 1024)
    assert asked.headers["Authorization"] == "Bearer api-key-not-set"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch": BatchSpec(size=5, timeout="1s")}, 'Text:\n[\n{"text":"one"}\n]'),
        ({}, 'Text:\n{"text":"one"}'),
    ],
    ids=["batch", "single"],
)
async def test_what_comes_in_batches_is_a_list_though_one_came_alone(
    provider: FakeOpenAI, outside: Outside, options: LlmOptions, told: str
) -> None:
    flock = Flock()
    flock.llm_agent("reader", consumes=Text, publishes=Verdict, **options)
    (engine,) = flock.llm_engines()
    provider.script(GOOD)
    await work(engine, attempt_of(outside, "one"))
    assert provider.asked[0].prompt == told


async def test_without_instructions_the_names_say_what_is_wanted(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(GOOD)
    await verdict_of(reader(), attempt_of(outside))
    assert provider.asked[0].body["messages"][0]["content"] == (
        "You are reader. From what you are given, make Verdict."
    )


async def test_the_key_comes_from_the_environment_at_its_use(
    provider: FakeOpenAI, defaults: LlmDefaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-of-the-environment")
    provider.script(GOOD)
    async with Outside(defaults._replace(api_key_env="TINY_KEY")) as outside:
        await verdict_of(reader(), attempt_of(outside))
    assert provider.asked[0].headers["Authorization"] == "Bearer sk-of-the-environment"


async def test_the_options_of_the_agent_hold_before_those_of_the_section(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(GOOD, GOOD)
    await verdict_of(reader(max_tokens=17, model="Other/Model-1"), attempt_of(outside))
    assert (provider.asked[0].body["model"], provider.asked[0].body["max_tokens"]) == ("Other/Model-1", 17)


async def test_a_model_of_openai_that_knows_only_the_newer_name_of_the_limit_gets_it(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(GOOD)
    await verdict_of(reader(model="openai:o3", max_tokens=17), attempt_of(outside))
    assert provider.asked[0].body["max_completion_tokens"] == 17
    assert "max_tokens" not in provider.asked[0].body


# -- how it is held to its type -----------------------------------------------------------------------------


async def test_a_type_of_fields_is_told_with_its_descriptions_and_validated(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script('{"sentiment":"fine","keywords":[]}')
    (output,) = await work(reader(FIELDS), attempt_of(outside))
    assert output.type == "AnalyzerOutput"
    assert output.value.model_dump() == {"sentiment": "fine", "keywords": []}
    described = sent_format(provider)
    assert described["name"] == "AnalyzerOutput"
    assert described["schema"]["properties"]["sentiment"] == {
        "type": "string",
        "description": "how it sounds",
    }


@pytest.mark.parametrize(
    "model", ["Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B", "gemma3:4b"]
)
async def test_a_server_holds_any_family_of_models_to_a_schema(
    provider: FakeOpenAI, outside: Outside, model: str
) -> None:
    provider.script(GOOD)
    await verdict_of(reader(model=model), attempt_of(outside))
    assert sent_format(provider)["name"] == "Verdict"


@pytest.mark.parametrize("mode", ["native", "prompted"])
async def test_a_type_of_a_json_schema_is_held_to_it(
    provider: FakeOpenAI, outside: Outside, mode: str
) -> None:
    provider.script('{"n": 0}', '{"n": 3}')
    outputs = await work(reader(SCHEMA, output_mode=mode), attempt_of(outside))
    assert outputs == [Output("Count", {"n": 3})]
    assert "payload.n: 0 is less than the minimum of 1" in provider.asked[1].prompt


async def test_a_json_schema_that_refers_to_itself_cannot_be_asked_for(outside: Outside) -> None:
    tree = ArtifactType(
        "Tree",
        schema={
            "type": "object",
            "properties": {"leaves": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
            "$defs": {"Tree": {"type": "object", "properties": {"below": {"$ref": "#/$defs/Tree"}}}},
        },
    )
    with pytest.raises(AgentFailed, match=r"^agent reader: a model cannot be asked for Tree: .*recursive"):
        await work(reader(tree), attempt_of(outside))


@pytest.mark.parametrize("reference", ["#", "#/properties/other"])
async def test_nor_can_one_that_refers_to_what_is_not_in_its_defs(outside: Outside, reference: str) -> None:
    properties = {"below": {"anyOf": [{"$ref": reference}]}, "other": {"type": "string"}}
    tree = ArtifactType("Tree", schema={"type": "object", "properties": properties})
    with pytest.raises(AgentFailed) as failed:
        await work(reader(tree), attempt_of(outside))
    assert failed.value.message == (
        f"agent reader: a model cannot be asked for Tree: its schema refers to '{reference}', and what it refers to "
        "must be in its $defs"
    )


async def test_as_the_call_of_a_tool(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Calls([("Verdict", GOOD)]))
    attempt = attempt_of(outside)
    verdict = await verdict_of(reader(output_mode="tool"), attempt)
    assert verdict.sentiment == "good"
    (tool,) = provider.asked[0].body["tools"]
    assert tool["function"]["name"] == "Verdict"
    assert "response_format" not in provider.asked[0].body
    assert attempt.text == GOOD, "the arguments are what it says"


async def test_by_words(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(f"```json\n{GOOD}\n```")
    assert (await verdict_of(reader(output_mode="prompted"), attempt_of(outside))).sentiment == "good"
    system = "\n".join(
        one["content"] for one in provider.asked[0].body["messages"] if one["role"] == "system"
    )
    assert '"sentiment"' in system, "the words contain the schema"


@pytest.mark.parametrize("mode", ["native", "prompted"])
async def test_of_several_types_the_model_gives_one(
    provider: FakeOpenAI, outside: Outside, mode: str
) -> None:
    engine = reader(VERDICT, SCHEMA, output_mode=mode)
    provider.script('{"result":{"kind":"Count","data":{"n":2}}}')
    assert await work(engine, attempt_of(outside)) == [Output("Count", {"n": 2})]
    provider.script(f'{{"result":{{"kind":"Verdict","data":{GOOD}}}}}')
    assert await work(engine, attempt_of(outside)) == [
        Output("Verdict", Verdict(sentiment="good", keywords=["agents"]))
    ]


async def test_of_several_types_as_tools_the_model_calls_one(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Calls([("Count", '{"n":2}')]))
    outputs = await work(reader(VERDICT, SCHEMA, output_mode="tool"), attempt_of(outside))
    assert outputs == [Output("Count", {"n": 2})]


async def test_several_types_may_be_of_any_shape(provider: FakeOpenAI, outside: Outside) -> None:
    class Pair(TypedDict):
        left: int

    engine = reader(
        ArtifactType("Words", list[str]), ArtifactType("Pair", Pair), ArtifactType("Many", dict[str, int])
    )
    for kind, data, value in (
        ("Words", '{"value":["a"]}', ["a"]),
        ("Pair", '{"left":1}', {"left": 1}),
        ("Many", '{"value":{"a":1}}', {"a": 1}),
    ):
        provider.script(f'{{"result":{{"kind":"{kind}","data":{data}}}}}')
        assert await work(engine, attempt_of(outside)) == [Output(kind, value)]


class Point(BaseModel):
    """A place."""

    x: int
    beyond: "Point | None" = None


@pytest.mark.parametrize("mode", ["native", "prompted"])
async def test_several_types_of_one_model_are_told_apart_by_their_names(
    provider: FakeOpenAI, outside: Outside, mode: str
) -> None:
    engine = reader(ArtifactType("map.Home", Point), ArtifactType("Goal", Point), output_mode=mode)
    for kind, name in (("Goal", "Goal"), ("map_Home", "map.Home")):
        provider.script(f'{{"result":{{"kind":"{kind}","data":{{"x":1,"beyond":{{"x":2}}}}}}}}')
        assert await work(engine, attempt_of(outside)) == [Output(name, Point(x=1, beyond=Point(x=2)))]


async def test_names_are_what_providers_allow(provider: FakeOpenAI, outside: Outside) -> None:
    names = ["map.Home", "map_Home", "map-Home", "N" * 128, "N" * 127]
    types = [ArtifactType(name, Point) for name in names]
    assert labels_of(types) == ["map_Home", "map_Home_2", "map-Home", "N" * 60, "N" * 60 + "_2"]
    for one in types:
        provider.script('{"x":1}')
        assert await work(reader(one), attempt_of(outside)) == [Output(one.name, Point(x=1))]
        told = provider.asked[-1].body["response_format"]["json_schema"]
        assert told["name"] == labels_of([one])[0]
        assert told["schema"]["properties"]["x"] == {"type": "integer"}
    schema = ArtifactType("map.Count", schema=SCHEMA.schema)
    provider.script('{"n":1}')
    assert await work(reader(schema), attempt_of(outside)) == [Output("map.Count", {"n": 1})]
    assert provider.asked[-1].body["response_format"]["json_schema"]["name"] == "map_Count"
    provider.script(Calls([("map_Home_2", '{"x":1}')]))
    outputs = await work(reader(*types, output_mode="tool"), attempt_of(outside))
    assert outputs == [Output("map_Home", Point(x=1))]


async def test_a_type_that_is_no_object_is_asked_for_within_one(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script('{"value":["a","b"]}')
    outputs = await work(reader(ArtifactType("Words", list[str])), attempt_of(outside))
    assert outputs == [Output("Words", ["a", "b"])]


async def test_a_model_of_one_value_is_asked_for_within_an_object(
    provider: FakeOpenAI, outside: Outside
) -> None:
    class Words(RootModel[list[str]]):
        """Some words."""

    provider.script('{"value":["a","b"]}')
    outputs = await work(reader(ArtifactType("Words", Words)), attempt_of(outside))
    assert outputs == [Output("Words", Words(["a", "b"]))]


async def test_a_validator_of_the_authors_is_told_to_the_model(
    provider: FakeOpenAI, outside: Outside
) -> None:
    class Even(BaseModel):
        n: int

        def model_post_init(self, _context: Any) -> None:
            if self.n % 2:
                raise ValueError(f"{self.n} is odd")

    provider.script('{"n":3}', '{"n":4}')
    outputs = await work(reader(ArtifactType("Even", Even)), attempt_of(outside))
    assert outputs == [Output("Even", Even(n=4))]
    assert "3 is odd" in provider.asked[1].prompt


# -- answers that are no use --------------------------------------------------------------------------------


async def test_an_answer_that_does_not_fit_is_asked_for_once_more(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script('{"sentiment":"good"}', GOOD)
    attempt = attempt_of(outside)
    assert (await verdict_of(reader(), attempt)).keywords == ["agents"]
    assert len(provider.asked) == 2
    assert "keywords" in provider.asked[1].prompt
    assert attempt.text == '{"sentiment":"good"}' + GOOD, "the text goes on"


async def test_one_that_does_not_fit_again_fails_with_what_was_wrong_and_what_was_said(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script('{"sentiment":"good"}', '{"sentiment":1,"keywords":"all"}')
    with pytest.raises(AgentFailed) as failed:
        await work(reader(), attempt_of(outside))
    assert failed.value.message == (
        "agent reader: the answer of openai:tiny is no Verdict, asked twice: sentiment: Input should be a valid "
        'string; keywords: Input should be a valid array. It said: {"sentiment":1,"keywords":"all"}'
    )
    assert len(provider.asked) == 2


async def test_what_was_said_is_cut_and_on_one_line(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script("no\nJSON " * 100, "no\nJSON " * 100)
    with pytest.raises(AgentFailed) as failed:
        await work(reader(), attempt_of(outside))
    said = failed.value.message.partition("It said: ")[2]
    assert said == f"{('no JSON ' * 100)[:200]}…"


async def test_a_tool_call_that_does_not_fit_again_fails_alike(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Calls([("Verdict", '{"sentiment":"good"}')]), Calls([("Verdict", '{"keywords":[]}')]))
    with pytest.raises(AgentFailed) as failed:
        await work(reader(output_mode="tool"), attempt_of(outside))
    assert failed.value.message == (
        "agent reader: the answer of openai:tiny is no Verdict, asked twice: sentiment: Field required. "
        'It said: {"keywords":[]}'
    )


async def test_text_where_a_tool_call_is_wanted_fails(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script("I would say good.", "Still good.")
    with pytest.raises(AgentFailed, match=r"is no Verdict, asked twice: .*\w\. It said: Still good\."):
        await work(reader(output_mode="tool"), attempt_of(outside))


@pytest.mark.parametrize("mode", ["native", "prompted"])
async def test_an_answer_that_max_tokens_cuts_says_so_and_is_not_asked_for_again(
    provider: FakeOpenAI, outside: Outside, mode: str
) -> None:
    provider.script(Says('{"sentiment":"good","keywords":["a","a","a"', finish="length"))
    with pytest.raises(AgentFailed) as failed:
        await work(reader(output_mode=mode, max_tokens=12), attempt_of(outside))
    assert failed.value.message == (
        "agent reader: openai:tiny reached max_tokens (12) before its answer was complete: raise max_tokens "
        '(of the agent, or llm.max_tokens), or have it say less. It said: {"sentiment":"good","keywords":'
        '["a","a","a"'
    )
    assert len(provider.asked) == 1


async def test_a_tool_call_that_max_tokens_cuts_is_not_asked_for_again(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Calls([("Verdict", '{"sentiment":"go')], finish="length"))
    with pytest.raises(AgentFailed, match=r"reached max_tokens \(1024\) .* It said: \{\"sentiment\":\"go$"):
        await work(reader(output_mode="tool"), attempt_of(outside))
    assert len(provider.asked) == 1


async def test_an_answer_of_nothing_but_thoughts_that_max_tokens_cuts_says_so(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Says("", reasons="Let me see.", finish="length"))
    attempt = attempt_of(outside)
    with pytest.raises(AgentFailed, match="reached max_tokens"):
        await work(reader(), attempt)
    assert attempt.text == "", "thoughts are no output"


async def test_an_answer_that_fits_though_max_tokens_was_reached_is_taken(
    provider: FakeOpenAI, outside: Outside
) -> None:
    provider.script(Says(GOOD, finish="length"))
    assert (await verdict_of(reader(), attempt_of(outside))).sentiment == "good"


async def test_a_filter_of_the_provider_fails_the_run(provider: FakeOpenAI, outside: Outside) -> None:
    provider.script(Says("", finish="content_filter"))
    with pytest.raises(AgentFailed, match=r"agent reader: .*openai:tiny.*[Cc]ontent filter"):
        await work(reader(), attempt_of(outside))


async def test_a_mode_that_the_model_has_not_is_told(outside: Outside) -> None:
    outside.models.give("openai:old", TestModel(profile={"supports_json_schema_output": False}))
    with pytest.raises(AgentFailed, match=r"openai:old cannot be asked this way \(output_mode native\)"):
        await work(reader(model="openai:old"), attempt_of(outside))


async def test_tool_calls_have_an_end(provider: FakeOpenAI, outside: Outside) -> None:
    def count() -> int:
        """Counts."""
        return 1

    engine = reader(tools=(count,), tool_rounds=2)
    provider.script(*[Calls([("count", "{}")])] * 3)
    with pytest.raises(AgentFailed, match=r"openai:tiny called tools more than 2 times \(tool_rounds\)"):
        await work(engine, attempt_of(outside))
    assert len(provider.asked) == 3
    provider.script(*[Calls([("count", "{}")])] * 2, GOOD)
    attempt = attempt_of(outside)
    assert (await verdict_of(engine, attempt)).sentiment == "good"
    assert attempt.text == GOOD, "arguments of tools are no output"


async def test_what_a_model_was_given_under_a_name_is_asked_without_any_server(outside: Outside) -> None:
    outside.models.give(
        "openai/scripted", TestModel(custom_output_text=GOOD, profile={"supports_json_schema_output": True})
    )
    verdict = await verdict_of(reader(model="openai:scripted"), attempt_of(outside))
    assert verdict.sentiment == "good"
