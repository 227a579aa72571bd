"""The engines of flows: where a kickoff runs, what it is given, and what becomes of the state that it leaves."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from flockd.engines.base import Context, Output
from flockd.errors import AgentFailed
from flockd.flock.flock import Flock
from flockd.supervisor.threads import RunThreads

LIMIT_SECONDS = 10


class Verse(BaseModel):
    line: str = ""


class PoemState(BaseModel):
    sentence_count: int = 1
    verse: Verse = Verse()
    poem: str = ""

    @property
    def length(self) -> int:
        return len(self.poem)


class Request(BaseModel):
    sentence_count: int = 2
    verse: Verse = Verse(line="asked")


class Result(BaseModel):
    poem: str
    length: int = -1


def context(agent: str) -> Context:
    async def query(*_: Any) -> list[Any]:
        return []

    return Context(
        agent=agent,
        correlation_id="c",
        run_id="r",
        attempt=1,
        inputs=(),
        on_progress=lambda *told: None,
        on_write=lambda text: None,
        query=query,
    )


async def execute(
    flow: Any, asked: BaseModel, /, threads: RunThreads | None = None, **options: Any
) -> list[Output]:
    flock = Flock()
    flock.flow(flow, name="poem", **options)
    threads = threads or RunThreads(asyncio.get_running_loop())
    return await flock.engine("poem").run([asked], context("poem"), threads)


async def poem(flow: Any, asked: BaseModel, /, **options: Any) -> Any:
    (output,) = await execute(flow, asked, **options)
    return output.value


class Plain:
    """The shortest flow: what is asked stands on the state, and so does what came of it."""

    def __init__(self) -> None:
        self.state = PoemState()

    def kickoff(self) -> None:
        self.state.poem = " ".join([f"{self.state.verse.line}."] * self.state.sentence_count)


async def test_the_fields_of_the_request_stand_on_the_state_and_the_result_is_all_of_it() -> None:
    asked = PoemState(sentence_count=2, verse=Verse(line="Here"))
    assert await execute(Plain, asked) == [
        Output("PoemState", PoemState(sentence_count=2, verse=Verse(line="Here"), poem="Here. Here."))
    ]
    assert asked.poem == ""


async def test_request_and_result_models_of_their_own() -> None:
    (output,) = await execute(Plain, Request(), request=Request, result=Result)
    assert output == Output("Result", Result(poem="asked. asked.", length=13))


async def test_every_execution_has_an_instance_and_a_thread_of_its_own() -> None:
    met = threading.Barrier(2)
    seen: list[tuple[int, str]] = []

    class Counting(Plain):
        def kickoff(self) -> None:
            met.wait(LIMIT_SECONDS)  # both are at work at once, and neither holds up the loop
            seen.append((id(self), threading.current_thread().name))

    await asyncio.gather(execute(Counting, PoemState()), execute(Counting, PoemState()))
    assert len({instance for instance, _ in seen}) == 2
    assert [name for _, name in seen] == ["poem r", "poem r"]


async def test_a_state_in_the_body_of_the_class_is_not_shared() -> None:
    class Shared:
        state = PoemState()

        def kickoff(self) -> None:
            self.state.poem += "x"

    for _ in range(2):
        assert (await poem(Shared, PoemState(sentence_count=5))).poem == "x"
    assert Shared.state == PoemState()


async def test_a_state_that_is_only_annotated_is_made_of_the_request() -> None:
    class Needed(BaseModel):
        topic: str = Field(alias="Topic")
        poem: str = ""

    class Ask(BaseModel):
        topic: str

    class Annotated:
        state: Needed

        def kickoff(self) -> None:
            self.state.poem = f"On {self.state.topic}"

    given = await poem(Annotated, Ask(topic="sheep"), request=Ask)
    assert given == Needed(Topic="sheep", poem="On sheep")


async def test_a_kickoff_that_takes_inputs_gets_plain_data() -> None:
    class Inputs:
        state: PoemState

        def __init__(self) -> None:
            self.state = PoemState(poem="before")

        def kickoff(self, inputs: dict[str, Any] | None = None, verbose: bool = False) -> str:
            assert inputs is not None
            self.state = self.state.model_copy(update={"poem": f"{inputs}"})
            return "not the result"

    given = await poem(Inputs, Request(sentence_count=3), request=Request)
    assert given == PoemState(poem="{'sentence_count': 3, 'verse': {'line': 'asked'}}")


async def test_a_kickoff_async_is_preferred_and_has_a_loop_of_its_own() -> None:
    class Both(Plain):
        def kickoff(self) -> None:
            raise AssertionError("the other one is there")

        async def kickoff_async(self) -> None:
            await asyncio.sleep(0)
            self.state.poem = f"{id(asyncio.get_running_loop())} {threading.current_thread().name}"

    loop, thread = (await poem(Both, PoemState())).poem.split(" ", 1)
    assert int(loop) != id(asyncio.get_running_loop())
    assert thread == "poem r"


async def test_a_coroutine_called_kickoff_is_awaited() -> None:
    class Awaited(Plain):
        async def kickoff(self) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            self.state.poem = "awaited"

    assert (await poem(Awaited, PoemState())).poem == "awaited"


async def test_a_decorator_hides_neither_kind_of_kickoff() -> None:
    def traced(method: Any) -> Any:
        @functools.wraps(method)
        def wrapper(*arguments: Any) -> Any:
            return method(*arguments)

        return wrapper

    class Traced(Plain):
        @traced
        async def kickoff(self) -> None:
            self.state.poem = "awaited"

    class NotReallyAsync(Plain):
        def kickoff_async(self) -> None:
            self.state.poem = "called"

    assert (await poem(Traced, PoemState())).poem == "awaited"
    assert (await poem(NotReallyAsync, PoemState())).poem == "called"


async def test_a_stream_is_read_to_its_end() -> None:
    class Streaming(Plain):
        async def kickoff_async(self) -> AsyncIterator[str]:
            async def stream() -> AsyncIterator[str]:
                for word in ("one", "two"):
                    yield word
                    self.state.poem += word

            return stream()

    assert (await poem(Streaming, PoemState())).poem == "onetwo"


async def test_a_state_may_be_a_dict_or_any_object_where_both_models_are_given() -> None:
    class OfDict:
        def __init__(self) -> None:
            self.state: dict[str, Any] = {"id": "made up"}

        def kickoff(self) -> None:
            self.state["poem"] = "x" * self.state["sentence_count"]

    @dataclass
    class Held:
        sentence_count: int = 0
        verse: Any = None
        poem: str = ""

    class OfObject:
        def __init__(self) -> None:
            self.state = Held()

        def kickoff(self) -> None:
            self.state.poem = self.state.verse.line

    assert await poem(OfDict, Request(), request=Request, result=Result) == Result(poem="xx")
    assert await poem(OfObject, Request(), request=Request, result=Result) == Result(poem="asked")


async def test_what_the_state_has_beyond_the_result_stays_behind() -> None:
    class WithId(PoemState):
        id: str = "of the framework"

    class Extended:
        state: PoemState

        def __init__(self) -> None:
            self.state = WithId(poem="x")

        def kickoff(self) -> None: ...

    given = await poem(Extended, PoemState(poem="x"))
    assert type(given) is PoemState
    assert given == PoemState(poem="x")


async def test_a_result_that_allows_more_takes_all_there_is() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

        poem: str = ""

    class Opened:
        def __init__(self) -> None:
            self.state = Open()

        def kickoff(self) -> None:
            self.state.mood = "merry"  # type: ignore[attr-defined]

    given = await poem(Opened, Open.model_validate({"poem": "x", "tone": "low"}))
    assert given.model_dump() == {"poem": "x", "tone": "low", "mood": "merry"}


async def test_what_was_assigned_is_validated() -> None:
    class Wrong(Plain):
        def kickoff(self) -> None:
            self.state.poem = 5  # type: ignore[assignment]

    with pytest.raises(AgentFailed) as failed:
        await execute(Wrong, PoemState())
    assert failed.value.message == (
        "the state that flow poem left makes no PoemState: poem: Input should be a valid string"
    )


async def test_a_request_without_a_place_is_a_sentence() -> None:
    class Nowhere:
        def kickoff(self) -> None: ...

    with pytest.raises(
        AgentFailed, match=r"^Nowhere has no state to put the request onto: make one in __init__"
    ):
        await execute(Nowhere, Request(), request=Request, result=Result)


async def test_what_a_flow_raises_is_raised() -> None:
    class Failing(Plain):
        def kickoff(self) -> None:
            raise ValueError("no rhyme")

    class FailingAsync(Plain):
        async def kickoff_async(self) -> None:
            raise ValueError("no reason")

    with pytest.raises(ValueError, match=r"^no rhyme$"):
        await execute(Failing, PoemState())
    with pytest.raises(ValueError, match=r"^no reason$"):
        await execute(FailingAsync, PoemState())


async def test_a_kickoff_async_is_cancelled_with_its_run_and_its_thread_ends() -> None:
    loop, working = asyncio.get_running_loop(), asyncio.Event()
    ended: list[str] = []

    class Endless(Plain):
        async def kickoff_async(self) -> None:
            loop.call_soon_threadsafe(working.set)
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    threads = RunThreads(loop)
    execution = asyncio.ensure_future(execute(Endless, PoemState(), threads))
    async with asyncio.timeout(LIMIT_SECONDS):
        await working.wait()
        execution.cancel()
        with pytest.raises(asyncio.CancelledError):
            await execution
        assert threads.ended is not None
        await threads.ended
    assert ended == ["cancelled"]


async def test_an_execution_that_is_cancelled_before_its_kickoff_never_begins() -> None:
    loop, made = asyncio.get_running_loop(), asyncio.Event()
    release = threading.Event()
    kicked_off: list[str] = []

    class Slow(Plain):
        state: PoemState

        def __init__(self) -> None:
            super().__init__()
            loop.call_soon_threadsafe(made.set)
            release.wait(LIMIT_SECONDS)

        async def kickoff_async(self) -> None:
            kicked_off.append("kickoff")

    threads = RunThreads(loop)
    execution = asyncio.ensure_future(execute(Slow, PoemState(), threads))
    async with asyncio.timeout(LIMIT_SECONDS):
        await made.wait()
        execution.cancel()
        with pytest.raises(asyncio.CancelledError):
            await execution
        release.set()
        assert threads.ended is not None
        await threads.ended
    assert kicked_off == []


async def test_a_blocking_kickoff_goes_on_when_its_run_is_cancelled_and_counts_until_it_ends() -> None:
    loop, working = asyncio.get_running_loop(), asyncio.Event()
    release = threading.Event()

    class Blocking(Plain):
        def kickoff(self) -> None:
            loop.call_soon_threadsafe(working.set)
            release.wait(LIMIT_SECONDS)

    threads = RunThreads(loop)
    execution = asyncio.ensure_future(execute(Blocking, PoemState(), threads))
    async with asyncio.timeout(LIMIT_SECONDS):
        await working.wait()
        execution.cancel()
        with pytest.raises(asyncio.CancelledError):
            await execution
        assert threads.alive
        release.set()
        assert threads.ended is not None
        await threads.ended
    assert not threads.alive


async def test_a_function_takes_the_request_and_returns_the_result() -> None:
    async def write(request: Request, ctx: Context) -> Result:
        return Result(poem=f"{ctx.agent} {request.sentence_count} {threading.get_ident()}")

    def write_in_thread(request: Request) -> Result:
        return Result(poem=threading.current_thread().name)

    assert (await poem(write, Request())).poem == f"poem 2 {threading.get_ident()}"
    assert (await poem(write_in_thread, Request())).poem == "poem r"


async def test_a_function_may_return_the_fields() -> None:
    async def write(request: Request):  # type: ignore[no-untyped-def]
        return {"poem": "x"}

    assert await execute(write, Request(), result=Result) == [Output("Result", {"poem": "x"})]


@pytest.mark.parametrize(("results", "count"), [(None, 0), ([Result(poem="a"), Result(poem="b")], 2)])
async def test_a_function_has_one_result(results: Any, count: int) -> None:
    async def write(request: Request) -> Any:
        return results

    with pytest.raises(AgentFailed) as failed:
        await execute(write, Request(), result=Result)
    assert failed.value.message == f"flow poem returned {count} results, and a flow has one"
