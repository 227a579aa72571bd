"""Fan-out: how many artifacts a result that is a list has."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from flockd import Context, DeclarationError, FanOut, Flock
from flockd.errors import AgentFailed


class Idea(BaseModel):
    count: int = 0
    others: int = 0


class Note(BaseModel):
    text: str = ""


class Plan(BaseModel):
    text: str = ""


class Bare(Context):
    """A Context that only has a name."""

    def __init__(self) -> None:
        self.agent = "thinker"


async def notes(idea: Idea) -> list[Note]:
    return [Note()] * idea.count


async def notes_or_none(idea: Idea) -> list[Note] | None:
    return [Note()] * idea.count if idea.count else None


async def mixed(idea: Idea) -> list[Note | Plan]:
    return [Note()] * idea.count + [Plan()] * idea.others


async def both(idea: Idea) -> tuple[list[Note], list[Plan]]:
    return [Note()] * idea.count, [Plan()] * idea.others


async def plan_and_notes(idea: Idea) -> tuple[Plan, list[Note]]:
    return Plan(), [Note()] * idea.count


async def any_length(idea: Idea) -> tuple[Note, ...]:
    return (Note(),) * idea.count


async def yields(idea: Idea) -> AsyncIterator[Note]:
    for _ in range(idea.count):
        yield Note()


async def plain(idea: Idea) -> Any:
    return [{"text": ""}] * idea.count


async def counted(function: Callable[..., Any], idea: Idea, fan_out: Any, **options: Any) -> int:
    """How many artifacts a run publishes."""
    flock = Flock()
    flock.agent(fan_out=fan_out, **options)(function)
    return len(await flock.engine(function.__name__).run([idea], Bare(), None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fan_out", [FanOut(min=1, max=3), FanOut(1, 3), (1, 3), [1, 3], {"min": 1, "max": 3}]
)
async def test_it_is_from_min_to_max(fan_out: Any) -> None:
    for count in (1, 3):
        assert await counted(notes, Idea(count=count), fan_out) == count
    for count in (0, 4):
        with pytest.raises(AgentFailed) as failed:
            await counted(notes, Idea(count=count), fan_out)
        assert failed.value.message == f"agent thinker returned {count} of Note, and its fan_out is 1 to 3"


@pytest.mark.parametrize(
    ("function", "idea", "fan_out", "said"),
    [
        (notes, Idea(count=2), 3, "2 of Note, and its fan_out is 3"),
        (notes, Idea(count=1), FanOut(min=2), "1 of Note, and its fan_out is 2 or more"),
        (notes, Idea(count=3), FanOut(max=2), "3 of Note, and its fan_out is 0 to 2"),
        (notes_or_none, Idea(), FanOut(min=1), "0 of Note"),
        (mixed, Idea(count=2, others=2), FanOut(max=3), "4 of Note or Plan, and its fan_out is 0 to 3"),
        (both, Idea(count=2, others=1), FanOut(min=2), "1 of Plan"),
        (plan_and_notes, Idea(count=0), FanOut(min=1), "0 of Note"),
        (any_length, Idea(count=3), FanOut(max=2), "3 of Note"),
        (yields, Idea(count=3), FanOut(max=2), "3 of Note"),
    ],
)
async def test_outside_of_it_the_run_fails(
    function: Callable[..., Any], idea: Idea, fan_out: Any, said: str
) -> None:
    with pytest.raises(AgentFailed) as failed:
        await counted(function, idea, fan_out)
    assert failed.value.message.startswith(f"agent thinker returned {said}")


@pytest.mark.parametrize(
    ("function", "idea", "count"),
    [
        (mixed, Idea(count=2, others=1), 3),
        (both, Idea(count=3, others=3), 6),
        (plan_and_notes, Idea(count=3), 4),
        (yields, Idea(count=3), 3),
    ],
)
async def test_each_list_is_counted_alone_and_nothing_else(
    function: Callable[..., Any], idea: Idea, count: int
) -> None:
    assert await counted(function, idea, 3) == count


async def test_what_publishes_names_is_counted_by_type() -> None:
    assert await counted(plain, Idea(count=2), 2, publishes=Note) == 2
    with pytest.raises(AgentFailed, match="returned 3 of Note, and its fan_out is 2"):
        await counted(plain, Idea(count=3), 2, publishes=Note)


async def one(idea: Idea) -> Note: ...
async def pair(idea: Idea) -> tuple[Note, Plan]: ...
async def none(idea: Idea) -> None: ...
def many(idea: Idea) -> Iterator[Note]:
    yield Note()


@pytest.mark.parametrize(
    ("function", "fan_out", "sentence"),
    [
        (
            one,
            3,
            "fan_out= is for a result that is a list: annotate it as list[Model], or take fan_out= away",
        ),
        (pair, 3, "fan_out= is for a result that is a list"),
        (none, 3, "fan_out= is for a result that is a list"),
        (
            many,
            0,
            "fan_out: max is 0: give it a number that is not below min (0), 1 or more: write fan_out=FanOut(",
        ),
        (many, -1, "fan_out: min is -1: give it a whole number, 0 or more"),
        (many, True, "fan_out: min is True: give it a whole number, 0 or more"),
        (many, (3, 1), "fan_out: max is 1: give it a number that is not below min (3)"),
        (many, (1, 2, 3), "fan_out: "),
        (many, "3", "fan_out: min is '3'"),
        (
            many,
            {"least": 3},
            "fan_out: got an unexpected keyword argument 'least': write fan_out=FanOut(min=1, max=10)",
        ),
    ],
)
def test_a_wrong_one_is_refused(function: Callable[..., Any], fan_out: Any, sentence: str) -> None:
    with pytest.raises(DeclarationError) as wrong:
        Flock().agent(fan_out=fan_out)(function)
    assert str(wrong.value).startswith(f"agent {function.__name__}: {sentence}")


def test_its_own_constructor_refuses_too() -> None:
    with pytest.raises(ValueError, match="min is -1"):
        FanOut(min=-1)
    assert [str(FanOut(1, 3)), str(FanOut(2, 2)), str(FanOut(2))] == ["1 to 3", "2", "2 or more"]
