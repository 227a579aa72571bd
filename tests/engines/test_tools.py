"""Python functions as tools of a model: what it is shown, where they run, and what is kept of each call."""

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from flockd.engines.base import Context
from flockd.engines.blocking import BlockingContext
from flockd.engines.llm.thinking import Thinking
from flockd.engines.llm.tool_function import read_tools
from flockd.engines.llm.tools import toolset
from flockd.engines.outside import Outside
from flockd.errors import AgentFailed
from flockd.supervisor.threads import RunThreads

from .attempts import Attempt, Kept, NoThreads
from .scripted import Script

LIMIT_SECONDS = 10


def attempt(kept: Kept | None = None) -> Attempt:
    return Attempt(Outside(), kept=kept)


class Order(BaseModel):
    id: int
    day: date


class Place(BaseModel):
    city: str


# -- what the model is shown ------------------------------------------------------------------------------------


async def test_a_model_is_shown_name_docstring_and_parameters_without_those_that_flockd_gives() -> None:
    async def search(
        ctx: Context,
        words: Annotated[str, Field(description="What to look for.")],
        limit: int = 5,
        *,
        idempotency_key: str,
    ) -> list[str]:
        """Searches the archive.

        Args:
            limit: At most so many.
        """
        return [words]

    script = Script()
    await script.run(attempt().context, search)
    tool = script.tools["search"]
    assert tool.description == "Searches the archive."
    properties = tool.parameters_json_schema["properties"]
    assert {name: each.get("description") for name, each in properties.items()} == {
        "words": "What to look for.",
        "limit": "At most so many.",
    }
    assert tool.parameters_json_schema["required"] == ["words"]


async def test_tools_are_shown_in_the_order_of_their_list_and_described_once() -> None:
    async def first() -> None: ...
    async def second() -> None: ...

    one, two = Script(), Script()
    await one.run(attempt().context, second, first)
    await two.run(attempt().context, second, first)
    assert list(one.tools) == ["second", "first"]
    for name, tool in one.tools.items():
        assert tool.parameters_json_schema is two.tools[name].parameters_json_schema


def test_an_agent_without_tools_has_no_toolset() -> None:
    assert toolset(Thinking(), attempt().context, NoThreads(), generation=0) is None


def largest() -> None: ...


def unreadable(name: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def yields() -> Any:
    yield 1


def positional(name: str, /) -> None: ...


def several(*names: str) -> None: ...


def two_contexts(one: Context, two: Context) -> None: ...


async def blocking(ctx: BlockingContext) -> None: ...


def größe() -> None: ...  # noqa: PLC2401


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        ((print,), "the tool <built-in function print> is not a function: write an async def or a def"),
        ((lambda: 1,), "a tool cannot be called '<lambda>'"),
        ((größe,), "a tool cannot be called 'größe'"),
        (
            (unreadable,),
            "an annotation of the tool unreadable names Nowhere, which is not known where it is defined",
        ),
        ((yields,), "the tool yields yields: a tool returns its result at once"),
        ((positional,), "the parameter name of the tool positional cannot be passed by its name"),
        ((several,), "the parameter names of the tool several cannot be passed by its name"),
        ((two_contexts,), "both one and two of the tool two_contexts are a Context: keep one"),
        ((blocking,), "the tool blocking is an async def: it takes a Context, not a BlockingContext"),
        ((largest, largest), "two tools are called largest: a model could not tell them apart"),
    ],
    ids=lambda given: getattr(given[0], "__name__", None) if isinstance(given, tuple) else "",
)
def test_what_is_no_tool_is_said_in_a_sentence(tools: tuple[Callable[..., Any], ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_tools(tools)
    with pytest.raises(AgentFailed, match=re.escape(sentence)):
        toolset(Thinking(tools=tools), attempt().context, NoThreads(), generation=0)


def test_a_parameter_that_no_model_can_be_told_is_said_in_a_sentence() -> None:
    def draw(on: threading.Lock) -> None: ...

    with pytest.raises(AgentFailed, match="a model cannot be told how to call the tool draw"):
        toolset(Thinking(tools=(draw,)), attempt().context, NoThreads(), generation=0)


# -- where they run -----------------------------------------------------------------------------------------------


async def test_an_async_def_is_awaited_with_the_context_of_the_run() -> None:
    this = attempt()

    async def look(ctx: Context, word: str) -> str:
        assert (ctx.run_id, ctx.memory) == (this.context.run_id, this.kept)
        await asyncio.sleep(0)
        return f"{word} {threading.current_thread() is threading.main_thread()}"

    script = Script([("look", {"word": "on the loop:"})])
    assert await script.run(this.context, look) == "done"
    assert script.told == [[("on the loop: True", "success")]]


async def test_plain_defs_run_side_by_side_in_threads_and_hold_up_nobody() -> None:
    """Each waits for the other, and both for the loop."""
    loop_goes, meeting = threading.Event(), threading.Barrier(2)

    def wait(name: str, ctx: Context) -> str:
        meeting.wait(LIMIT_SECONDS)
        assert loop_goes.wait(LIMIT_SECONDS)
        assert isinstance(ctx, BlockingContext)
        ctx.write(name)
        return name

    this, threads = attempt(), RunThreads(asyncio.get_running_loop())
    script = Script([("wait", {"name": "a"}), ("wait", {"name": "b"})])
    asyncio.get_running_loop().call_soon(loop_goes.set)
    await script.run(this.context, wait, threads=threads)
    assert script.told == [[("a", "success"), ("b", "success")]]
    assert sorted(this.written) == ["a", "b"]
    assert not threads.alive


async def test_a_method_is_a_tool_and_a_single_model_is_its_arguments() -> None:
    class Shop:
        def __init__(self) -> None:
            self.orders: list[Order] = []

        async def order(self, order: Order) -> Order:
            self.orders.append(order)
            return order

    shop, this = Shop(), attempt()
    script = Script([("order", {"id": 7, "day": "2026-11-21"})])
    await script.run(this.context, shop.order)
    assert shop.orders == [Order(id=7, day=date(2026, 11, 21))]
    assert script.told == [[({"id": 7, "day": "2026-11-21"}, "success")]]
    assert this.kept.tools[0]["arguments"] == {"order": {"id": 7, "day": "2026-11-21"}}


async def test_what_is_cancelled_is_neither_told_nor_recorded_and_its_thread_has_nothing_left_to_say() -> (
    None
):
    began, go_on, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    refused: list[str] = []

    def slow(ctx: BlockingContext) -> str:
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(LIMIT_SECONDS)
        try:
            ctx.write("late")
        except RuntimeError as error:
            refused.append(str(error))
        finally:
            ended.set()
        return "late"

    this, threads = attempt(), RunThreads(loop)
    run = asyncio.create_task(Script([("slow", {})]).run(this.context, slow, threads=threads))
    await began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert threads.alive
    assert threads.ended is not None
    go_on.set()
    await threads.ended
    assert not threads.alive
    assert ended.is_set()
    assert "is over" in refused[0]
    assert (this.written, this.kept.tools, this.kept.steps) == ([], [], {})


async def test_threads_of_a_run_are_alive_until_the_last_has_ended() -> None:
    loop = asyncio.get_running_loop()
    threads, first, second = RunThreads(loop), threading.Event(), threading.Event()
    one = threads.start(lambda: first.wait(LIMIT_SECONDS), "one")
    two = threads.start(lambda: second.wait(LIMIT_SECONDS), "two")
    assert threads.ended is not None
    first.set()
    assert await one
    assert threads.alive
    assert not threads.ended.done()
    second.set()
    assert await two
    assert threads.ended.done()
    assert not threads.alive


# -- what is kept ---------------------------------------------------------------------------------------------------


async def test_a_call_is_a_step_with_its_event_and_is_not_repeated() -> None:
    kept, calls = Kept(), []

    async def pay(amount: int, idempotency_key: str) -> dict[str, Any]:
        calls.append(idempotency_key)
        return {"paid": amount, "receipt": "secret result"}

    script = Script([("pay", {"amount": 5})])
    await script.run(attempt(kept).context, pay)
    (step,) = kept.steps
    assert step.startswith("tool/pay/")
    assert step.endswith("/0")
    assert len(step) <= 200
    assert calls == [f"r/{step}"]
    (event,) = kept.tools
    assert event.keys() == {"tool", "arguments", "duration_ms", "outcome", "error"}
    assert (event["tool"], event["arguments"], event["outcome"], event["error"]) == (
        "pay",
        {"amount": 5},
        "ok",
        None,
    )
    assert event["duration_ms"] >= 0

    again = Script([("pay", {"amount": 5})])
    await again.run(attempt(kept).context, pay)
    assert again.told == script.told == [[({"paid": 5, "receipt": "secret result"}, "success")]]
    assert len(calls) == len(kept.tools) == 1


async def test_the_same_call_in_another_order_of_its_arguments_is_the_same() -> None:
    kept, calls = Kept(), []

    async def find(a: int, b: Place) -> int:
        calls.append(a)
        return a

    await Script([("find", {"a": 1, "b": {"city": "x"}})]).run(attempt(kept).context, find)
    await Script([("find", {"b": {"city": "x"}, "a": 1})]).run(attempt(kept).context, find)
    await Script([("find", {"b": {"city": "y"}, "a": 2})]).run(attempt(kept).context, find)
    assert calls == [1, 2]


async def test_two_of_the_same_calls_in_one_answer_are_told_apart_by_their_order() -> None:
    kept, numbers = Kept(), iter(range(100))
    second_first = asyncio.Event()

    async def draw() -> int:
        number = next(numbers)
        if number == 0:  # the first to be called is the last to end
            await second_first.wait()
        second_first.set()
        return number

    script = Script([("draw", {}), ("draw", {})], [("draw", {})])
    await script.run(attempt(kept).context, draw)
    assert script.told == [[(0, "success"), (1, "success")], [(2, "success")]]
    assert [name.rpartition("/")[2] for name in sorted(kept.steps)] == ["0", "1", "2"]
    assert {name[-1]: value for name, value in kept.steps.items()} == {"0": b"0", "1": b"1", "2": b"2"}

    del kept.steps[next(name for name in kept.steps if name.endswith("/1"))]  # as if killed before this one
    again = Script([("draw", {}), ("draw", {})], [("draw", {})])
    await again.run(attempt(kept).context, draw)
    assert again.told == [[(0, "success"), (3, "success")], [(2, "success")]]


async def test_what_comes_back_is_what_would_be_read_again() -> None:
    async def order() -> Order:
        return Order(id=1, day=date(2026, 1, 2))

    async def untyped():  # type: ignore[no-untyped-def]
        return {"when": date(2026, 1, 2), "who": ("a", "b")}

    async def nothing() -> None: ...

    script = Script([("order", {}), ("untyped", {}), ("nothing", {})])
    await script.run(attempt().context, order, untyped, nothing)
    assert [content for content, _ in script.told[0]] == [
        {"id": 1, "day": "2026-01-02"},
        {"when": "2026-01-02", "who": ["a", "b"]},
        None,
    ]


async def test_an_event_keeps_a_few_kilobytes_of_the_arguments() -> None:
    async def read(text: str, more: list[dict[str, Any]]) -> int:
        return len(text)

    this = attempt()
    large = {"text": "x" * 100_000, "more": [{"deep": [["y" * 100] * 50]}] * 200}
    await Script([("read", large)]).run(this.context, read)
    (event,) = this.kept.tools
    assert 40 <= len(str(event["arguments"])) <= 4096
    assert event["arguments"]["text"].startswith("xxx")
    assert event["arguments"]["text"].endswith("…")


async def test_numbers_that_no_event_can_hold_are_written_out() -> None:
    async def count(n: int) -> str:
        return str(n)

    this = attempt()
    script = Script([("count", {"n": 2**70}), ("count", {"n": 2**70 + 1})])
    await script.run(this.context, count)
    assert script.told == [[(str(2**70), "success"), (str(2**70 + 1), "success")]]
    assert this.kept.tools[0]["arguments"] == {"n": str(2**70)}
    assert len(this.kept.steps) == 2
