"""Matching: which agents an artifact wakes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.agent import Agent
from flockd.domain.rules import check_all
from flockd.domain.subscription import Candidate, Matcher, Subscription
from flockd.domain.visibility import PUBLIC, Private


def agent(name: str = "reader", *types: str, **rules: Any) -> Agent:
    return Agent(name, Subscription(types or ("Idea",), **rules), ())


def refusal(who: Agent, what: Candidate) -> str | None:
    """The first rule that does not let it wake the agent."""
    return next((check.rule for check in check_all(who, what) if not check.passed), None)


def candidate(
    type: str = "Idea",
    payload: Any = None,
    by: str = "external",
    tags: tuple[str, ...] = (),
    visibility: Any = PUBLIC,
) -> Candidate:
    return Candidate(type, orjson.dumps(payload or {}), payload, by, tags, visibility)


@pytest.mark.parametrize(
    ("who", "what", "rule"),
    [
        (agent(), candidate(), None),
        (agent(), candidate("Note"), "type"),
        (agent("reader", "Idea", "Note", mode="any"), candidate("Note"), None),
        (agent(), candidate(by="reader"), "prevent_self_trigger"),
        (agent(prevent_self_trigger=False), candidate(by="reader"), None),
        (agent(from_agents=frozenset({"thinker"})), candidate(), "from_agents"),
        (agent(from_agents=frozenset({"thinker", "external"})), candidate(), None),
        (agent(tags=frozenset({"a", "b"})), candidate(tags=("a",)), "tags"),
        (agent(tags=frozenset({"a", "b"})), candidate(tags=("b", "c", "a")), None),
        (agent(), candidate(visibility=Private(agents=("other",))), "visibility"),
        (agent(), candidate(visibility=Private(agents=("reader",))), None),
        (agent(where=lambda found: found.document["x"] == 1), candidate(payload={"x": 2}), "where"),
        (agent(where=lambda found: found.value["x"] == 1), candidate(payload={"x": 1}), None),
    ],
)
def test_each_rule_can_refuse(who: Agent, what: Candidate, rule: str | None) -> None:
    assert refusal(who, what) == rule
    assert Matcher([who]).match(what) == (() if rule else (who,))


def test_a_predicate_that_raises_is_no_match_and_is_counted() -> None:
    broken, sound = agent("broken", where=lambda found: 1 / 0 > 0), agent("sound")
    matcher = Matcher([broken, sound])
    assert matcher.match(candidate()) == (sound,)
    assert matcher.match(candidate()) == (sound,)
    assert matcher.failed_predicates == 2


def test_predicates_are_asked_last_and_the_payload_is_decoded_once() -> None:
    asked: list[Any] = []

    def where(found: Candidate) -> bool:
        asked.append(found.document)
        return True

    what = candidate(payload={"x": 1}, tags=("a",))
    matcher = Matcher([
        agent("one", where=where),
        agent("two", where=where),
        agent("three", where=where, tags=frozenset({"b"})),
    ])  # fmt: skip
    assert [found.name for found in matcher.match(what)] == ["one", "two"]
    assert asked == [{"x": 1}, {"x": 1}]
    assert asked[0] is asked[1]


def test_a_join_needs_each_type_as_often_as_it_stands_there() -> None:
    subscription = Subscription(("Idea", "Note", "Idea"))
    assert dict(subscription.needed) == {"Idea": 2, "Note": 1}
    assert subscription.joins
    assert not Subscription(("Idea",)).joins
    assert not Subscription(("Idea", "Note"), mode="any").joins


def test_an_agent_that_names_a_type_twice_is_woken_once() -> None:
    who = agent("reader", "Idea", "Idea")
    assert Matcher([who]).match(candidate()) == (who,)


TYPES = ["A", "B", "C", "D"]
AGENTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(TYPES), min_size=1, max_size=3),
        st.frozensets(st.sampled_from(["x", "y"])),
        st.frozensets(st.sampled_from(["external", "agent0"])),
    ),
    max_size=6,
).map(
    lambda drawn: [
        agent(f"agent{n}", *types, tags=tags, from_agents=producers)
        for n, (types, tags, producers) in enumerate(drawn)
    ]
)


@given(
    AGENTS,
    st.sampled_from(TYPES),
    st.sampled_from(["external", "agent0", "agent1"]),
    st.sets(st.sampled_from(["x", "y"])),
)
def test_the_index_finds_whom_the_rules_let_through(
    agents: list[Agent], type: str, by: str, tags: set[str]
) -> None:
    what = candidate(type, by=by, tags=tuple(tags))
    assert Matcher(agents).match(what) == tuple(who for who in agents if refusal(who, what) is None)
