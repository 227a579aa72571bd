"""The core without HTTP: a board, its writer and its supervisor on a real file; only engines and the clock are faked.

A test says when an engine ends and what it gives (`Call`), and waits for what was committed (`Rig.until`). What
is left of each board is verified when its test is over.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from pydantic import BaseModel

from flockd.board import Board, Publication, Published
from flockd.domain.agent import Agent, Agents
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.domain.budget import BudgetRule, Budgets
from flockd.domain.event import Event
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.subscription import Subscription
from flockd.domain.timer import Timer
from flockd.engines.base import Context, Engine, Output, Threads
from flockd.store import sqlite
from flockd.store.command import Needs
from flockd.store.occupancy import Limits
from flockd.store.reads import Reads
from flockd.store.state import State
from flockd.store.verify import verify_path
from flockd.store.writer import Committed, Writer
from flockd.supervisor.supervisor import Supervisor

LIMIT_SECONDS = 20.0
"""How long a test waits for what must come."""

BEGIN = 1_795_219_200_000
"""2026-11-21T00:00:00Z: when each board begins."""

TYPES = "ABCDE"

T = TypeVar("T")


class Note(BaseModel):
    """What every artifact type of these boards looks like."""

    n: int = 0


class Clock:
    """The wall clock in milliseconds; goes when it is told to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


class Call:
    """One attempt of a run at its engine, which ends when the test says so."""

    def __init__(self, agent: str, inputs: Sequence[Any], context: Context) -> None:
        self.agent = agent
        self.inputs = tuple(value.n for value in inputs)
        self.context = context
        self.run_id = context.run_id
        self.stubborn = False
        """Whether it goes on when it is cancelled."""
        self.cancelled = asyncio.Event()
        """It was told to stop."""
        self.ended = asyncio.Event()
        self.result: asyncio.Future[list[Output]] = asyncio.get_running_loop().create_future()

    def give(self, **values: int | list[int]) -> None:
        """End well, with these artifacts: `give(B=1, C=[2, 3])`."""
        outputs = []
        for name, numbers in values.items():
            for n in numbers if isinstance(numbers, list) else [numbers]:
                outputs.append(Output(name, {"n": n}))
        self.result.set_result(outputs)

    def fail(self, error: BaseException | None = None) -> None:
        self.result.set_exception(error or ValueError("no"))


class Gate:
    """The engine of the agents of these boards: each attempt stands at the gate until its test opens it."""

    kind = "gate"

    def __init__(self, name: str, rig: Rig) -> None:
        self._name = name
        self._rig = rig

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        call = Call(self._name, inputs, context)
        self._rig.working.append(call)
        self._rig.ring()
        try:
            while True:
                try:
                    return await asyncio.shield(call.result)
                except asyncio.CancelledError:
                    if call.result.cancelled():
                        raise
                    call.cancelled.set()
                    self._rig.ring()
                    if not call.stubborn:
                        raise
        finally:
            self._rig.working.remove(call)
            call.ended.set()
            self._rig.ring()


class _Plug:
    """Holds the writer in the middle of a group, so that what is queued meanwhile shares the next one."""

    inside = True

    def __init__(self, on_decide: Callable[[], None]) -> None:
        self._on_decide = on_decide
        self.pulled = threading.Event()

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        self._on_decide()
        assert self.pulled.wait(LIMIT_SECONDS)


class Rig:
    """One board on one file; `start` and `crash` or `stop` may follow each other."""

    def __init__(
        self,
        path: Path,
        *agents: Agent,
        engines: Mapping[str, Engine] | None = None,
        limits: Limits | None = None,
        budgets: Sequence[BudgetRule] = (),
        lane_window: int = 64,
        run_outputs: int = 1000,
        output_bytes: int = 1 << 20,
        retry_base_seconds: float = 100.0,
        timers: Sequence[Timer] = (),
        wrap: Callable[[sqlite3.Connection], Any] = lambda connection: connection,
        **writer_options: Any,
    ) -> None:
        self.path = path
        self.agents = agents
        self.timers = timers
        self.engines = dict(engines or {})
        self.limits = limits or Limits()
        self.budgets = budgets
        self.clock = Clock()
        self.working: list[Call] = []
        """Attempts at their engines now."""
        self.commits: list[Committed] = []
        """All that changed something, of all starts."""
        self.live: list[Event] = []
        self.observed: list[str] = []
        """A word for each outcome, as the metrics get it."""
        self.fatal: list[str] = []
        self.alive = False
        self._lane_window = lane_window
        self._run_outputs = run_outputs
        self._output_bytes = output_bytes
        self._retry_base_seconds = retry_base_seconds
        self._wrap = wrap
        self._writer_options = writer_options
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    # -- life -------------------------------------------------------------------------------------------------

    async def start(self) -> Rig:
        """Open the file, recover what is in it, and work."""
        sqlite.migrate(self.path)
        self.readers = sqlite.Readers(self.path)
        await self.readers.start()
        self.reads = Reads(self.readers)
        connection = sqlite.connect_writer(self.path, durability="normal", page_cache_bytes=1 << 24)
        self.connection = self._wrap(connection)
        agents = Agents(self.agents)
        budgets = Budgets(self.budgets)
        self.writer = Writer(
            self.connection,
            self.path,
            agents=agents,
            limits=self.limits,
            budgets=budgets,
            on_commit=self._committed,
            on_fatal=self._failed,
            clock=self.clock,
            **self._writer_options,
        )
        self.board = Board(
            self.writer.submit,
            types=Types([AGENT_ERROR, *(ArtifactType(name, Note) for name in TYPES)]),
            agents=agents,
            reads=self.reads,
            run_outputs=self._run_outputs,
            output_bytes=self._output_bytes,
            timers=self.timers,
            budgets=budgets,
        )
        self.writer.on_death = self.board.preparing.tell_death
        self.supervisor = Supervisor(
            self.board,
            {agent.name: self.engines.get(agent.name) or Gate(agent.name, self) for agent in self.agents},
            self.writer.occupancy,
            running=self.limits.running,
            lane_window=self._lane_window,
            output_bytes=self._output_bytes,
            retry_base_seconds=self._retry_base_seconds,
            retry_max_seconds=self._retry_base_seconds,
            idempotency_ms=self.limits.idempotency_ms,
            tell_live=self.live.append,
            observe=self._observed,
            clock=self.clock,
        )
        self.alive = True
        self.writer.start()
        await self.supervisor.recover()
        self.supervisor.start()
        return self

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """The end of a daemon that was asked to stop."""
        if self.alive:
            self.alive = False
            await self.supervisor.drain(grace_seconds, 5.0)
            await self._close()

    async def crash(self) -> None:
        """The end of a killed one: what was committed stays, whatever works is lost without an outcome."""
        if self.alive:
            self.alive = False
            await self.writer.close()
            await self._close()

    async def _close(self) -> None:
        await self.writer.close()
        mine = [
            task for task in asyncio.all_tasks() if task.get_name().startswith(("run ", "supervisor: "))
        ] + self._tasks
        for call in self.working:
            call.stubborn = False
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        self._tasks.clear()
        await self.readers.close()

    def verify(self) -> list[str]:
        return verify_path(self.path)

    def _committed(self, committed: Committed) -> None:
        if committed.events or committed.emptied_from is not None:
            self.commits.append(committed)
        self.supervisor.committed(committed)
        self.ring()

    def _observed(self, seconds: float, word: str) -> None:
        self.observed.append(word)
        self.ring()

    def _failed(self, reason: str) -> None:
        self.fatal.append(reason)
        self.ring()

    # -- waiting ----------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Something happened: whoever waits looks again."""
        self._bell.set()

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait, with a limit, until this is true; answers what it says then."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (found := true()):
                self._bell.clear()
                await self._bell.wait()
            return found

    async def event(self, kind: str, **wanted: Any) -> Event:
        """The latest event of this kind and these fields, when there is one."""
        found: Event = await self.until(
            lambda: next(
                (
                    event
                    for event in reversed(self.events)
                    if event.kind == kind and all(getattr(event, key) == wanted[key] for key in wanted)
                ),
                None,
            )
        )
        return found

    async def call(self, agent: str, n: int | None = None) -> Call:
        """An attempt of this agent that is at its engine now; `n`: whose first input has this number."""
        found: Call = await self.until(
            lambda: next(
                (
                    call
                    for call in self.working
                    if call.agent == agent and (n is None or call.inputs[0] == n)
                    if not call.result.done()
                ),
                None,
            )
        )
        return found

    async def passed(self) -> None:
        """All that was queued before this has been decided and told."""
        await self.board.claim(())

    # -- what tests do and look at ----------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        return [event for commit in self.commits for event in commit.events]

    def kinds(self, correlation_id: str | None = None) -> list[str]:
        """The kinds of all events, in order, of one correlation or of all."""
        return [
            event.kind.value
            for event in self.events
            if correlation_id is None or event.correlation_id == correlation_id
        ]

    def data(self, kind: str, correlation_id: str | None = None) -> list[dict[str, Any]]:
        """The data of all events of a kind."""
        return [
            orjson.loads(event.data)
            for event in self.events
            if event.kind == kind and correlation_id in (None, event.correlation_id)
        ]

    async def publish(
        self, type: str, n: int = 0, correlation_id: str | None = None, **fields: Any
    ) -> Published:
        """Publish one artifact."""
        keyed = {key: fields.pop(key) for key in ("idempotency", "name", "dialect") if key in fields}
        return await self.board.publish(publication(type, n, correlation_id, **fields), **keyed)

    async def retry(self, run_id: str) -> Run:
        """Start a dead run again; as the board's redrive of one."""
        redriven = await self.board.redrive((run_id,), render=lambda _: b"", strict=True)
        return redriven.runs[0]

    def soon(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something; it is cancelled at the end of the board if nobody awaited it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    @asynccontextmanager
    async def one_group(self) -> AsyncIterator[None]:
        """What is begun (`soon`) inside shares one transaction, which has been told when this ends."""
        loop, reached = asyncio.get_running_loop(), asyncio.Event()
        plug = _Plug(lambda: loop.call_soon_threadsafe(reached.set))
        held = self.writer.submit(plug)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await reached.wait()
            yield
            for _ in range(3):  # each task that was begun reaches its first wait, and so the queue
                await asyncio.sleep(0)
        finally:
            plug.pulled.set()
            await held
            await self.passed()

    async def run(self, run_id: str) -> Run:
        found = await self.reads.run(run_id)
        assert found is not None
        return found

    async def states(self, correlation_id: str | None = None) -> list[str]:
        """The states of all runs, in the order in which they were made."""
        runs, _ = await self.reads.runs(correlation_id=correlation_id, limit=500)
        return [run.state.value for run in reversed(runs)]

    async def state(self, correlation_id: str) -> str:
        found = await self.reads.correlation(correlation_id)
        assert found is not None
        return found.state.value

    def woke(self, published: Published) -> list[str]:
        """The runs that a publication woke."""
        event = next(event for event in self.events if event.seq == published.seq)
        ids: list[str] = orjson.loads(event.data)["woke"]
        return ids

    def busy(self, agent: str) -> int:
        """Places of an agent that are taken."""
        return self.writer.occupancy.busy[agent]


def agent(
    name: str, *types: str, outputs: tuple[str, ...] = tuple(TYPES), mode: Any = "all", **fields: Any
) -> Agent:
    """An agent that takes one artifact of each of these types, or (`mode="any"`) of one of them."""
    subscribed = {key: fields.pop(key) for key in ("where", "from_agents") if key in fields}
    return Agent(name, Subscription(types, mode, **subscribed), outputs, **fields)


def publication(type: str, n: int = 0, correlation_id: str | None = None, **fields: Any) -> Publication:
    return Publication(type, b'{"n":%d}' % n, correlation_id=correlation_id, **fields)


class Rigs:
    """Makes boards for one test, and ends and verifies them when it is over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Rig] = []

    async def __call__(self, *agents: Agent, **options: Any) -> Rig:
        """A board with these agents, started."""
        rig = Rig(self._folder / f"{len(self._made)}.db", *agents, **options)
        self._made.append(rig)
        return await rig.start()

    async def close(self) -> None:
        for rig in self._made:
            for call in rig.working:
                call.stubborn = False
            await rig.stop()
            assert rig.verify() == []


@pytest.fixture
async def rigs(tmp_path: Path) -> AsyncIterator[Rigs]:
    made = Rigs(tmp_path)
    try:
        yield made
    finally:
        await made.close()


__all__ = [
    "BEGIN",
    "LIMIT_SECONDS",
    "Call",
    "Rig",
    "Rigs",
    "agent",
    "new_id",
    "publication",
    "rigs",
]
