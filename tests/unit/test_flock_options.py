"""The options of `@flock.agent`: what an author says of an agent beside its function."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Flock, Labelled, Private
from flockd.domain.agent import Agent
from flockd.domain.priority import Priority
from flockd.domain.rate import Rate
from flockd.domain.retry import NEVER
from flockd.domain.subscription import Candidate
from flockd.domain.visibility import PUBLIC
from flockd.flock import DeclarationError


class Idea(BaseModel):
    text: str


class Note(BaseModel):
    text: str


async def note(idea: Idea) -> Note:
    return Note(text=idea.text)


def declared(function: Callable[..., Any], flock: Flock | None = None, **options: Any) -> Agent:
    flock = flock or Flock()
    flock.agent(**options)(function)
    return flock.agents()[options.get("name", function.__name__)]


def refused(function: Callable[..., Any], flock: Flock | None = None, **options: Any) -> str:
    with pytest.raises(DeclarationError) as wrong:
        declared(function, flock, **options)
    return str(wrong.value)


def test_the_decorator_with_parentheses_takes_every_option() -> None:
    agent = declared(
        note,
        name="note-taker",
        description="Takes notes.",
        from_agents=["thinker", "external"],
        tags="urgent",
        labels=["secret"],
        tenant="acme",
        visibility=Private(agents=("reader",)),
        prevent_self_trigger=False,
        max_concurrency=2,
        retries=3,
        timeout="30s",
        priority="high",
        output_tags=["noted", "short"],
        concurrency_key="text",
        rate="10/1m",
        backoff="5s",
    )
    assert agent.name == "note-taker"
    assert agent.description == "Takes notes."
    assert agent.subscription.from_agents == {"thinker", "external"}
    assert agent.subscription.tags == {"urgent"}
    assert not agent.subscription.prevent_self_trigger
    assert agent.viewer == ("note-taker", frozenset({"secret"}), "acme")
    assert agent.visibility == Private(agents=("reader",))
    assert (agent.max_concurrency, agent.retries, agent.timeout_seconds) == (2, 3, 30.0)
    assert agent.priority is Priority.high
    assert agent.tags == ("noted", "short")
    assert agent.concurrency_key is not None
    assert agent.concurrency_key({"text": "x"}) == "x"
    assert agent.rate == Rate(10, 60_000)
    assert agent.backoff == {"*": 5.0}


def test_other_ways_to_write_an_option() -> None:
    agent = declared(
        note,
        timeout=timedelta(minutes=1),
        priority=Priority.low,
        visibility={"kind": "Labelled", "required_labels": ["x"]},
        rate=Rate(1, 1000),
        backoff={"ConnectionError": "1m", "timeout": timedelta(seconds=2), "http_404": "never", "*": 0.5},
    )
    assert agent.rate == Rate(1, 1000)
    assert agent.backoff == {"ConnectionError": 60.0, "timeout": 2.0, "http_404": NEVER, "*": 0.5}
    assert declared(note, backoff="never").backoff == {"*": NEVER}
    assert agent.timeout_seconds == 60.0
    assert agent.priority is Priority.low
    assert agent.visibility == Labelled(required_labels=("x",))


def candidate(value: Idea) -> Candidate:
    return Candidate("Idea", value.model_dump_json().encode(), value, "external", (), PUBLIC)


def test_where_is_an_expression_over_the_payload_or_a_function_of_the_value() -> None:
    for where in ("text == 'yes'", lambda idea, said="yes": idea.text == said):
        holds = declared(note, where=where).subscription.where
        assert holds is not None
        assert holds(candidate(Idea(text="yes"))) is True
        assert holds(candidate(Idea(text="no"))) is False


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"where": "text ="}, "where 'text =' is not a JMESPath expression: "),
        ({"where": "items[*].x"}, "where 'items[*].x' uses a projection"),
        ({"where": 5}, "where is 5: give it a JMESPath condition or a plain function of the value"),
        ({"where": note}, "give it a JMESPath condition or a plain function of the value"),
        ({"where": lambda: True}, "where is a function that does not take one value: ()"),
        (
            {"where": lambda idea, tags: True},
            "where is a function that does not take one value: (idea, tags)",
        ),
        ({"timeout": "soon"}, "timeout: 'soon' is not a duration: write \"30s\""),
        ({"timeout": 0}, "timeout: a duration must be longer than zero"),
        ({"retries": -1}, "retries is -1: give it a whole number, 0 or more"),
        ({"retries": True}, "retries is True: give it a whole number, 0 or more"),
        ({"max_concurrency": 0}, "max_concurrency is 0: give it a whole number, 1 or more"),
        ({"priority": "urgent"}, "priority is 'urgent': give it one of low, normal, high, critical"),
        ({"visibility": {"kind": "Secret"}}, "visibility {'kind': 'Secret'} is none ("),
        ({"visibility": "public"}, "visibility 'public' is none ("),
        ({"tenant": 5}, "tenant is 5: give it a word"),
        ({"tenant": ""}, "tenant is '': give it a word"),
        ({"output_tags": [""]}, "output_tags has '': give it a word or a list of words"),
        ({"rate": "often"}, "rate: 'often' is not a rate: write \"10/1m\""),
        ({"rate": 10}, 'rate is 10: write "10/1m", ten starts a minute'),
        ({"rate": "0/s"}, "rate: a rate has 1 to 10000 starts per period, not '0/s'"),
        ({"backoff": "soon"}, "backoff of *: 'soon' is not a duration"),
        (
            {"backoff": float("nan")},
            "backoff of *: a duration must be longer than zero and have an end, not nan",
        ),
        ({"backoff": {"TimeoutError": 0}}, "backoff of TimeoutError: a duration must be longer than zero"),
        ({"backoff": {"a b": 1}}, "backoff has 'a b': name the class of an exception, timeout, http_404"),
        (
            {"concurrency_key": "txt"},
            "concurrency_key= goes by txt, but Idea has no field txt: did you mean text?",
        ),
        (
            {"concurrency_key": "text ="},
            "concurrency_key: the field path 'text =' is not a JMESPath expression",
        ),
        ({"concurrency_key": 3}, 'concurrency_key is 3: give it a field path, such as "customer.id"'),
        ({"tags": ["a", 1]}, "tags has 1: give it a word or a list of words"),
        ({"prevent_self_trigger": "no"}, "prevent_self_trigger is 'no': give it True or False"),
        ({"retry": 3}, "there is no option retry: did you mean retries?"),
        ({"zzz": 3}, "there is no option zzz (there are "),
        ({"consumes": []}, "consumes= is empty: name what wakes it, or leave it out"),
        ({"consumes": "Idee"}, "there is no artifact type Idee: declare it first with @flock.type"),
        ({"consumes": int}, "consumes= has <class 'int'>, which is no artifact type: name a pydantic model"),
        ({"publishes": [Note, 3]}, "publishes= has 3, which is no artifact type"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], sentence: str) -> None:
    assert refused(note, **options).startswith("agent note: ")
    assert sentence in refused(note, **options)


def test_an_unknown_type_name_gets_the_nearest_one() -> None:
    flock = Flock()
    flock.type(Idea)
    assert (
        refused(note, flock, consumes="Idee")
        == "agent note: there is no artifact type Idee: did you mean Idea?"
    )


def test_one_of_several_inputs_has_the_key() -> None:
    class Plan(BaseModel):
        owner: str

    async def follow(plan: Plan, idea: Idea) -> None: ...

    assert declared(follow, concurrency_key="owner").concurrency_key is not None
    assert refused(follow, concurrency_key="ownr") == (
        "agent follow: concurrency_key= goes by ownr, but Plan has no field ownr: did you mean owner?"
    )
