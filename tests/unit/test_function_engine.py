"""The function engine: where a function runs, and what becomes of what it gives back."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from flockd.domain.artifact import Artifact
from flockd.engines.base import Context, Output, Scope
from flockd.engines.blocking import BlockingContext
from flockd.engines.function import FunctionEngine
from flockd.errors import AgentFailed

LIMIT_SECONDS = 10


class Idea(BaseModel):
    text: str


class Better(Idea):
    pass


class Note(BaseModel):
    text: str


class OneThreadEach:
    """A thread for each call; whoever waits for it may leave."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.started: list[threading.Thread] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        loop, future = self.loop, self.loop.create_future()

        def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
            if not future.done():
                set_outcome(outcome)

        def call() -> None:
            try:
                loop.call_soon_threadsafe(settle, future.set_result, work())
            except Exception as error:
                loop.call_soon_threadsafe(settle, future.set_exception, error)

        self.names.append(name)
        self.started.append(threading.Thread(target=call, name=name, daemon=True))
        self.started[-1].start()
        return future


class Told:
    """What an agent told its Context."""

    def __init__(self) -> None:
        self.progress: list[tuple[float, str | None, str | None]] = []
        self.text = ""
        self.threads: set[int] = set()

    def on_progress(self, fraction: float, phase: str | None, message: str | None) -> None:
        self.progress.append((fraction, phase, message))
        self.threads.add(threading.get_ident())

    def on_write(self, text: str) -> None:
        self.text += text
        self.threads.add(threading.get_ident())

    async def query(self, type: str | None, where: str | None, limit: int, scope: Scope) -> list[Artifact]:
        self.threads.add(threading.get_ident())
        return [Artifact(7, "id", type or "", b"{}", "someone", "correlation", 0)] * min(limit, 2)


def context(told: Told | None = None) -> Context:
    told = told or Told()
    return Context(
        agent="thinker",
        correlation_id="c",
        run_id="r",
        attempt=1,
        inputs=(),
        on_progress=told.on_progress,
        on_write=told.on_write,
        query=told.query,
    )


def engine(function: Callable[..., Any], *, takes_context: bool = False, **outputs: Any) -> FunctionEngine:
    return FunctionEngine(
        function, parameters=("idea",), context="ctx" if takes_context else None, outputs=outputs
    )


async def outputs_of(function: Callable[..., Any], **outputs: Any) -> list[Output]:
    return await engine(function, **outputs).run([Idea(text="x")], context(), OneThreadEach())


async def test_a_coroutine_runs_on_the_loop() -> None:
    async def think(idea: Idea) -> Note:
        return Note(text=f"{idea.text} in {threading.get_ident()}")

    assert await outputs_of(think, Note=Note) == [Output("Note", Note(text=f"x in {threading.get_ident()}"))]


async def test_a_plain_function_runs_in_a_thread_named_after_its_run() -> None:
    threads, ran_in = OneThreadEach(), []

    def think(idea: Idea) -> Note:
        ran_in.append(threading.current_thread().name)
        return Note(text=idea.text)

    found = await engine(think, Note=Note).run([Idea(text="x")], context(), threads)
    assert found == [Output("Note", Note(text="x"))]
    assert ran_in == threads.names == ["thinker r"]


async def test_generators_of_both_kinds_give_what_they_yield() -> None:
    async def think(idea: Idea) -> AsyncIterator[Note]:
        for n in range(2):
            yield Note(text=f"{idea.text}{n}")

    def think_in_thread(idea: Idea) -> Iterator[Note]:
        for n in range(2):
            yield Note(text=f"{idea.text}{n}")

    expected = [Output("Note", Note(text="x0")), Output("Note", Note(text="x1"))]
    assert await outputs_of(think, Note=Note) == expected
    assert await outputs_of(think_in_thread, Note=Note) == expected


async def test_a_plain_wrapper_of_a_coroutine_runs_on_the_loop() -> None:
    async def think(idea: Idea) -> Note:
        return Note(text=idea.text)

    @functools.wraps(think)
    def logged(*args: Any, **kwargs: Any) -> Any:
        return think(*args, **kwargs)

    assert await outputs_of(logged, Note=Note) == [Output("Note", Note(text="x"))]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, []),
        ([], []),
        (Note(text="a"), [Output("Note", Note(text="a"))]),
        (
            [Note(text="a"), None, Idea(text="b")],
            [Output("Note", Note(text="a")), Output("Idea", Idea(text="b"))],
        ),
        (
            (Note(text="a"), [Idea(text="b")]),
            [Output("Note", Note(text="a")), Output("Idea", Idea(text="b"))],
        ),
        (Better(text="a"), [Output("Idea", Better(text="a"))]),
        ({"text": "a"}, [Output("Ticket", {"text": "a"})]),
    ],
)
async def test_results_are_mapped_by_class(result: Any, expected: list[Output]) -> None:
    async def think(idea: Idea) -> Any:
        return result

    assert await outputs_of(think, Idea=Idea, Note=Note, Ticket=None) == expected


async def test_the_exact_class_comes_before_its_base() -> None:
    async def think(idea: Idea) -> Any:
        return Better(text="a")

    assert await outputs_of(think, Idea=Idea, Finer=Better) == [Output("Finer", Better(text="a"))]


async def test_a_dict_is_of_the_only_type() -> None:
    async def think(idea: Idea) -> Any:
        return [{"text": "a"}]

    assert await outputs_of(think, Note=Note) == [Output("Note", {"text": "a"})]


@pytest.mark.parametrize(
    ("result", "outputs", "sentence"),
    [
        (
            Idea(text="a"),
            {"Note": Note},
            "agent thinker returned Idea, which it does not publish: declare it in the return annotation "
            "or in "
            "publishes= (it publishes Note)",
        ),
        (
            "text",
            {},
            "agent thinker returned str, which it does not publish: declare it in the return annotation or "
            "in "
            "publishes= (it publishes nothing)",
        ),
        (
            {"text": "a"},
            {"Note": Note, "Idea": Idea},
            "agent thinker returned a dict, which does not say whether it is Note or Idea: return an "
            "instance",
        ),
    ],
)
async def test_what_is_not_declared_is_refused(result: Any, outputs: dict[str, Any], sentence: str) -> None:
    async def think(idea: Idea) -> Any:
        return result

    with pytest.raises(AgentFailed) as refused:
        await outputs_of(think, **outputs)
    assert refused.value.message == sentence


async def test_whatever_the_function_raises_comes_out() -> None:
    def think(idea: Idea) -> Note:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await outputs_of(think, Note=Note)


async def test_a_stop_iteration_does_not_hang_the_run() -> None:
    def think(idea: Idea) -> Note:
        return next(iter([]))

    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(RuntimeError, match="agent thinker raised StopIteration"):
            await outputs_of(think, Note=Note)


async def test_a_thread_gets_a_blocking_context_whose_calls_arrive_on_the_loop_in_order() -> None:
    told = Told()

    def think(idea: Idea, ctx: Context) -> Note:
        assert isinstance(ctx, BlockingContext)
        ctx.progress(0.5, "half")
        for n in range(50):
            ctx.write(str(n % 10))
        return Note(text=",".join(artifact.type for artifact in ctx.query("Idea")))

    found = await engine(think, takes_context=True, Note=Note).run(
        [Idea(text="x")], context(told), OneThreadEach()
    )
    assert found == [Output("Note", Note(text="Idea,Idea"))]
    assert told.progress == [(0.5, "half", None)]
    assert told.text == "0123456789" * 5
    assert told.threads == {threading.get_ident()}


@pytest.mark.parametrize("yields", [False, True])
async def test_a_thread_that_outlives_its_run_is_refused_and_so_ends(yields: bool) -> None:
    told, threads = Told(), OneThreadEach()
    working, let_go = asyncio.Event(), threading.Event()
    loop, raised = asyncio.get_running_loop(), []

    def think(idea: Idea, ctx: Context) -> Note:
        ctx.write("before")
        loop.call_soon_threadsafe(working.set)
        let_go.wait(LIMIT_SECONDS)
        try:
            ctx.write("after")
        except RuntimeError as error:
            raised.append(str(error))
            raise
        return Note(text="never")

    yielded = []

    def think_in_parts(idea: Idea, ctx: Context) -> Iterator[Note]:
        ctx.write("before")
        loop.call_soon_threadsafe(working.set)
        let_go.wait(LIMIT_SECONDS)
        for n in range(1000):
            yielded.append(n)
            yield Note(text=str(n))

    function = think_in_parts if yields else think
    run = asyncio.ensure_future(
        engine(function, takes_context=True, Note=Note).run([Idea(text="x")], context(told), threads)
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        await working.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        let_go.set()
        await asyncio.to_thread(threads.started[0].join, LIMIT_SECONDS)
    assert not threads.started[0].is_alive()
    assert told.text == "before"
    if yields:
        assert yielded == [0]
    else:
        assert raised == ["the run r of agent thinker is over: its thread has nothing left to do"]


async def test_a_cancelled_async_generator_is_closed() -> None:
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def think(idea: Idea) -> AsyncIterator[Note]:
        try:
            yield Note(text="one")
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    run = asyncio.ensure_future(outputs_of(think, Note=Note))
    async with asyncio.timeout(LIMIT_SECONDS):
        await waiting.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await closed.wait()
