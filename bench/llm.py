"""What flockd itself takes of a run that thinks with a language model: its CPU above that of pydantic-ai.

The model is pydantic-ai's TestModel, which answers at once, without a network. All is measured in this process and in
turn: pydantic-ai's own Agent with the same prompt, settings and type, streaming as flockd does; the engine alone; and a
whole daemon, from a publication to the last commit of its run, with its writer's thread.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web
from pydantic import BaseModel

from bench.report import Row
from bench.rounds import Bench
from flockd import Flock
from flockd.api.keys import BOARD, HUB
from flockd.app import make_app
from flockd.board import Board, Publication
from flockd.config import Config
from flockd.domain.artifact import Artifact
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.event import EventKind
from flockd.domain.identity import new_id
from flockd.engines.base import Context
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.llm.thinking import Thinking
from flockd.engines.outside import Outside
from flockd.streams.hub import Hub

MOST_MS = 1.0
MODEL = "test"
PAYLOAD = b'{"text":"Flock makes building agents easy and fun!"}'
INSTRUCTIONS = "Say what you think."
MAX_TOKENS = 1024
AT_ONCE = 8
"""Runs; more of them share their commits, and cost less."""
LIMIT_SECONDS = 30.0


class Text(BaseModel):
    text: str


class Verdict(BaseModel):
    sentiment: str
    keywords: list[str]


class NoThreads:
    """The engine starts none here."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def start(self, work: Callable[[], Any], name: str) -> Awaitable[Any]:
        return asyncio.to_thread(work)


def measure_llm(bench: Bench) -> list[Row]:
    """The rows; each round measures the three one after the other."""
    import_module("pydantic_ai")  # here, so that it does not hold up the daemon
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the daemon's own loop
        return runner.run(_measure(bench))


async def _measure(bench: Bench) -> list[Row]:
    runs = 40 if bench.quick else 400
    bare, engine, whole = [], [], []
    async with _daemon(bench.directory / "llm") as daemon:
        for number in range(bench.rounds + 1):
            bench.progress(f"language model, round {number} of {bench.rounds}")
            taken = [
                await _cpu_ms(_bare, runs),
                await _cpu_ms(_engine, runs),
                await _cpu_ms(daemon, runs),
            ]
            if number == 0:
                continue  # imports, and what is made on first use
            for times, ms in zip((bare, engine, whole), taken, strict=True):
                times.append(ms)
    return [
        _row("the engine alone", engine, bare, None),
        _row("from a publication to its last commit", whole, bare, MOST_MS),
    ]


def _row(what: str, ours: list[float], bare: list[float], most_ms: float | None) -> Row:
    above = statistics.median(mine - its for mine, its in zip(ours, bare, strict=True))
    return Row(
        part="llm",
        measure=f"CPU of an LLM run above pydantic-ai's, {what}",
        unit="ms",
        flockd=above,
        note=f"{statistics.median(ours):.2f} ms in all; pydantic-ai itself {statistics.median(bare):.2f} ms",
        aim="" if most_ms is None else f"< {most_ms:.0f} ms",
        met=None if most_ms is None else above < most_ms,
    )


async def _cpu_ms(work: Callable[[int], Awaitable[None]], runs: int) -> float:
    """CPU of all threads of this process, for one run."""
    began = time.process_time()
    await work(runs)
    return (time.process_time() - began) * 1000 / runs


async def _bare(runs: int) -> None:
    """pydantic-ai's Agent, streaming, as its documentation shows it."""
    from pydantic_ai import Agent, ToolOutput

    agent = Agent(MODEL, output_type=ToolOutput(Verdict), instructions=INSTRUCTIONS)

    async def drain(_context: Any, events: Any) -> None:
        async for _ in events:
            pass

    for _ in range(runs):
        result = await agent.run(
            f"Text:\n{PAYLOAD.decode()}",
            model_settings={"max_tokens": MAX_TOKENS},
            event_stream_handler=drain,
        )
        assert isinstance(result.output, Verdict)


async def _engine(runs: int) -> None:
    """The engine, with a memory that keeps nothing."""
    thinking = Thinking(instructions=INSTRUCTIONS, model=MODEL, output_mode="tool")
    engine = LlmEngine("reader", thinking, {"Verdict": ArtifactType("Verdict", Verdict)}, default_model=None)
    artifact = Artifact(1, "a", "Text", PAYLOAD, "external", "c", 0)

    async def no_query(*_asked: Any) -> list[Artifact]:
        return []

    async with Outside() as outside:
        for number in range(runs):
            context = Context(
                agent="reader",
                correlation_id="c",
                run_id=str(number),
                attempt=1,
                inputs=(artifact,),
                on_progress=lambda *_: None,
                on_write=lambda _: None,
                query=no_query,
                outside=outside,
            )
            (output,) = await engine.run([], context, NoThreads())
            assert isinstance(output.value, Verdict)


@asynccontextmanager
async def _daemon(directory: Path) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """A daemon in this process; what it yields publishes so many texts and waits until their runs are over."""
    flock = Flock(MODEL)
    flock.llm_agent("reader", consumes=Text, publishes=Verdict, instructions=INSTRUCTIONS, output_mode="tool")
    app = make_app(Config.model_validate({"store": {"data_dir": directory}}), flock)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        yield lambda runs: _publish(app[BOARD], app[HUB], runs)
    finally:
        await runner.cleanup()


async def _publish(board: Board, hub: Hub, runs: int) -> None:
    """Publish so many texts, some at once, each followed to the end of its workflow."""
    free = asyncio.Semaphore(AT_ONCE)

    async def follow() -> None:
        id = new_id()
        async with free:
            with hub.watch_end(id) as watch:
                published = await board.publish(Publication("Text", PAYLOAD, correlation_id=id))
                ended = await watch.ended(published.round, LIMIT_SECONDS)
        assert ended is not None
        assert ended.event.kind is EventKind.correlation_completed

    await asyncio.gather(*(follow() for _ in range(runs)))
