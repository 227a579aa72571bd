"""Options that can have no effect: `flockd check` warns of them."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import After, Every, Flock, Labelled, Private, Tenant


class Order(BaseModel):
    customer: dict[str, str] = {}
    total: float = 0


class Note(BaseModel):
    text: str


async def order(order: Order) -> Note: ...
async def either(what: Order | Note) -> None: ...
async def note(note: Note) -> None: ...
async def anything(what: dict[str, Any]) -> None: ...


def warned(function: Callable[..., Any], **options: Any) -> list[str]:
    """What is said of an agent, in a flock that has another one, `reader`, of the tenant acme."""
    flock = Flock()
    flock.agent(name="reader", labels=["eu", "law"], tenant="acme")(note)
    flock.agent(name="x", **options)(function)
    flock.validate()
    return flock.warnings()


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (
            order,
            {"where": "totl > `3` && customer.id == '7'"},
            "where= looks at totl, but Order has no field totl: did you mean total?",
        ),
        (
            order,
            {"where": "!(zzz)"},
            "where= looks at zzz, but Order has no field zzz: there are customer, total",
        ),
        (
            either,
            {"where": "length(zzz.a) > `3`"},
            "where= looks at zzz.a, but Order and Note have no field zzz: there are customer, text, total",
        ),
        (order, {"backoff": "5s"}, "backoff= is the pause before a retry, and it has none: say retries="),
        (
            order,
            {"visibility": Private(agents=("Reader", "raeder"))},
            "visibility= names raeder, which is no agent: did you mean reader?",
        ),
        (
            order,
            {"visibility": After(ttl=60, then=Private(agents=("qqq",)))},
            "visibility= names qqq, which is no agent",
        ),
        (
            order,
            {"visibility": Labelled(required_labels=("eu", "tax"))},
            "visibility= is for agents that carry eu and tax, and there is none: give one labels=",
        ),
        (
            order,
            {"visibility": Tenant(tenant_id="acm")},
            "visibility= is for agents of the tenant acm, and there is none: give one tenant=",
        ),
    ],
)
def test_what_can_have_no_effect_is_warned_of(
    function: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    assert warned(function, **options) == [f"agent x: {sentence}"]


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (order, {"where": "total > `3` && customer.id == '7'"}),
        (either, {"where": "text == 'a' || total > `3`"}),
        (order, {"where": lambda value: value.zzz}),
        (order, {"where": "@ && `true`"}),
        (order, {"backoff": "5s", "retries": 1}),
        (order, {"visibility": Private(agents=("READER",))}),
        (order, {"visibility": After(ttl=60)}),
        (order, {"visibility": Labelled(required_labels=("law",))}),
        (order, {"visibility": Tenant(tenant_id="acme")}),
    ],
)
def test_what_may_have_one_is_not(function: Callable[..., Any], options: dict[str, Any]) -> None:
    assert warned(function, **options) == []


def test_what_is_about_artifacts_is_nothing_to_an_agent_that_takes_none() -> None:
    flock = Flock()

    @flock.agent(
        schedule=Every("5m"), where="n", from_agents="external", tags="a", concurrency_key="n", retries=1
    )
    async def sweep() -> None: ...

    assert flock.warnings() == [
        f"agent sweep: {option}= is about the artifacts that it takes, and it takes none"
        for option in ("where", "from_agents", "tags", "concurrency_key")
    ]


def test_a_type_that_lets_any_field_through_may_have_it() -> None:
    flock = Flock()
    ticket = flock.type("Ticket", schema={"type": "object", "properties": {"id": {"type": "integer"}}})
    flock.agent(name="x", consumes=ticket, publishes=[], where="zzz == `1`")(anything)
    assert flock.warnings() == []
