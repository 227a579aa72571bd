"""The supervisor: starts what may start, keeps hold of what works, and takes everything up again after a crash.

The database is the queue; what it is told after commits are alarm clocks. A lost alarm costs latency, never work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from flockd.board.board import Board
from flockd.domain.agent import agent_at
from flockd.domain.event import Event
from flockd.domain.moment import now_ms
from flockd.domain.run import SUSPECT_CRASHES, Run
from flockd.engines.base import Engine
from flockd.engines.outside import Outside
from flockd.errors import FlockdError, Unavailable
from flockd.store.occupancy import Occupancy
from flockd.store.writer import Committed, Started
from flockd.supervisor.calls import Calls
from flockd.supervisor.rooms import Rooms
from flockd.supervisor.runner import Runner
from flockd.supervisor.scheduler import Scheduler
from flockd.supervisor.work import Work

log = logging.getLogger(__name__)

T = TypeVar("T")

STORE_RETRY_SECONDS = 0.5
"""How long what could not be stored waits before it is tried again."""
_CANCELLED_SECONDS = 1.0
"""How long work of our own that was cancelled may take to end."""

CLOCK_LOOK_SECONDS = 30.0
"""Timers look at the wall clock again this often: it may have been set."""


class Supervisor:
    """An async context manager: entered, it has recovered and works; left, nothing of it works any more."""

    def __init__(
        self,
        board: Board,
        engines: Mapping[str, Engine],
        occupancy: Occupancy,
        *,
        running: int,
        lane_window: int,
        output_bytes: int,
        retry_base_seconds: float,
        retry_max_seconds: float,
        idempotency_ms: int,
        tell_live: Callable[[Event], None],
        observe: Callable[[float, str], None],
        outside: Outside | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._board = board
        self._occupancy = occupancy
        self._running = running
        self._output_bytes = output_bytes
        self._idempotency_ms = idempotency_ms
        self._tell_live = tell_live
        self._clock = clock
        rated = frozenset(agent.name for agent in board.agents.values() if agent.rate is not None)
        self._scheduler = Scheduler(window=lane_window, rated=rated)
        self._rooms = Rooms(occupancy, board.agents, self._expect)
        self._runner = Runner(
            board,
            engines,
            retry_base_seconds=retry_base_seconds,
            retry_max_seconds=retry_max_seconds,
            value_bytes=output_bytes,
            outside=outside or Outside(),
            observe=observe,
        )
        self._works: dict[str, Work] = {}
        self._abandoned = 0
        self._has_taken_back = False
        self._room = asyncio.Event()
        self._alarm = asyncio.Event()
        self._due_at: int | None = None
        self._chores: set[asyncio.Task[Any]] = set()
        self._returning = False
        """Past the grace: what is still claimed goes straight back to the queue."""
        self._idle = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        """Core tasks: one that ends is fatal."""
        board.live_text = self.live_text

    @property
    def abandoned(self) -> int:
        """Engines that still work although their run has ended."""
        return self._abandoned

    @property
    def working(self) -> int:
        """Runs whose engine works now."""
        return len(self._works)

    @property
    def is_busy(self) -> bool:
        """Whether an engine works, or something of the supervisor's own is on its way to the board."""
        return bool(self._works or self._chores)

    def look_at_clock(self) -> None:
        """The clock was moved: what is due by it is woken now."""
        self._alarm.set()

    def live_text(self, run_id: str) -> str | None:
        """The end of what a running run has written; asked from the writer's thread too."""
        work = self._works.get(run_id)
        return None if work is None else work.text()

    # -- life -----------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """What the last process left: its runs become ready, orphans wait, reached limits end their workflows."""
        reads = self._board.reads
        if not self._has_taken_back:  # else it is tried again, and what works by now has begun here
            await self._take_back()
        await self._board.sort_orphans(
            sorted({agent_at(place) for place, _ in self._occupancy.ready.items()})
        )
        await self._board.take_full()
        ended: set[str] = set()
        while new := set(await reads.exhausted()) - ended:  # a page of them
            for correlation_id in new:
                await self._board.exhaust(correlation_id)
            ended |= new
        for place, priority in await reads.ready_lanes():
            self._scheduler.open_lane(place, priority)
        await self._board.sync_timers()
        self._expect(await reads.next_due())
        self._expect(await reads.next_firing())

    async def _take_back(self) -> None:
        """Calls and runs that were cut off. What an end of theirs lets begin must not look like one of them."""
        self._occupancy.closed = True
        try:
            await self._board.sort_ledgers()
            await self._board.take_back()
        finally:
            self._occupancy.closed = False
        self._has_taken_back = True

    def start(self) -> None:
        """Begin to work. What is committed from here on is told by `committed`."""
        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(self._schedule(), name="supervisor: schedule"),
            loop.create_task(self._watch_the_clock(), name="supervisor: clock"),
            loop.create_task(self._forget_what_is_over(), name="supervisor: forget"),
        ]
        self._room.set()
        self._alarm.set()

    async def drain(self, grace_seconds: float, stop_seconds: float) -> None:
        """Claim nothing more, give running agents the grace, then send the rest back to the queue, uncounted.

        `stop_seconds`: how long those may take to stop that do not want to.
        """
        self._occupancy.closed = True
        for task in self.tasks:
            task.cancel()
        await self._know_all_claims(stop_seconds)
        await self._until_idle(grace_seconds)
        self._returning = True
        for work in list(self._works.values()):
            work.returning = True
            work.stop()
        await self._until_idle(stop_seconds)
        for work in list(self._works.values()):
            if not work.recording:
                log.warning(
                    "run %s of %s did not stop; the next start takes it up again",
                    work.run.id,
                    work.agent.name,
                )
                work.cancelled = True
                self._chore(self._runner.hand_back(work), f"hand back run {work.run.id}")
        if self._chores:
            await asyncio.wait(self._chores, timeout=stop_seconds)
        for chore in self._chores:  # a store that cannot write keeps them waiting for ever
            chore.cancel()
        if self._chores:  # an outcome that is being stored does not hear that, and ends with the writer
            await asyncio.wait(self._chores, timeout=_CANCELLED_SECONDS)
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _know_all_claims(self, limit_seconds: float) -> None:
        """Be told of every run that was claimed before `closed` was seen: what is queued now comes after them."""
        with suppress(FlockdError, TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await self._board.claim(())

    async def _until_idle(self, limit_seconds: float) -> None:
        self._idle.clear()
        if self._works:
            try:
                async with asyncio.timeout(limit_seconds):
                    await self._idle.wait()
            except TimeoutError:
                pass

    # -- told after each commit -----------------------------------------------------------------------------

    def committed(self, committed: Committed) -> None:
        """What a transaction made true, in commit order."""
        if committed.emptied_from is not None:
            self._scheduler.clear()
            for work in list(self._works.values()):
                self._cancel(work)
        for started in committed.started:
            self._begin(started)
        for run_id in committed.cancelled_runs:
            if run_id in self._works:
                self._cancel(self._works[run_id])
        for run in committed.readied:
            self._scheduler.add(run)
        for name in committed.freed:
            self._scheduler.freed(name)
        if (committed.readied or committed.freed) and self._scheduler.has_work:
            self._room.set()
        self._expect(committed.next_due)
        for correlation_id in committed.exhausted:
            self._chore(self._exhaust(correlation_id), f"end {correlation_id}, which reached a limit")

    def _expect(self, due_at: int | None) -> None:
        """A waiting run wakes then."""
        if due_at is not None and (self._due_at is None or due_at < self._due_at):
            self._due_at = due_at
            self._alarm.set()

    def _begin(self, started: Started) -> None:
        run = started.run
        work = Work(
            run,
            self._board.agents[run.agent],
            calls=Calls(self._board, run, chore=self._chore, clock=self._clock),
            loop=asyncio.get_running_loop(),
            text_bytes=self._output_bytes,
            tell_live=self._tell_live,
            store_progress=self._store_progress,
            on_stubborn=self._go_on_without,
        )
        work.returning = self._returning
        self._works[run.id] = work
        work.task = asyncio.get_running_loop().create_task(
            self._work(work, started), name=f"run {run.agent} {run.id}"
        )

    def _go_on_without(self, work: Work) -> None:
        """An engine ignores its cancelling at a timeout: its run fails now, its place is free when it ends."""
        work.cancelled = True
        self._chore(self._runner.give_up(work), f"end run {work.run.id}, whose engine does not stop")

    def _cancel(self, work: Work) -> None:
        work.cancelled = True
        work.stop()

    def _store_progress(self, run: Run, fraction: float, phase: str | None, message: str | None) -> None:
        with suppress(Unavailable):  # closing: progress is worth nothing any more
            self._board.progress(run, fraction, phase, message).add_done_callback(_look)

    async def _work(self, work: Work, started: Started) -> None:
        """One run, and the return of its place when all of it has ended."""
        given_back = False
        try:
            given_back = await self._runner.work(work, started.inputs)
        finally:
            work.calls.close()
            if self._works.get(work.run.id) is work:
                del self._works[work.run.id]
            if not self._works:
                self._idle.set()
            if work.run.crashes >= SUSPECT_CRASHES:
                self._room.set()  # the next suspect may start
            if not given_back:
                self._give_back(work)

    def _give_back(self, work: Work) -> None:
        """Free the place of a run that ended before its engine did: now, or when its thread ends."""
        if work.threads.alive:
            assert work.threads.ended is not None
            self._abandoned += 1
            work.threads.ended.add_done_callback(lambda _: self._thread_ended(work.run.place))
        else:
            self._release(work.run.place)

    def _thread_ended(self, place: str) -> None:
        self._abandoned -= 1
        self._release(place)

    def _release(self, place: str) -> None:
        self._chore(self._free_place(place), f"free a place of {agent_at(place)}")

    async def _free_place(self, place: str) -> None:
        """Free it, however long the store cannot write: a place that is lost stays lost until a restart."""
        while True:
            try:
                released = self._board.release(place)
            except Unavailable:  # the writer has closed: places are counted anew at the next start
                return
            try:
                await released
                return
            except FlockdError:
                await asyncio.sleep(STORE_RETRY_SECONDS)

    async def _exhaust(self, correlation_id: str) -> None:
        """End it, however long the store cannot write: nobody else would before the next start."""
        while True:
            try:
                return await self._board.exhaust(correlation_id)
            except Unavailable:
                await asyncio.sleep(STORE_RETRY_SECONDS)

    # -- core tasks -----------------------------------------------------------------------------------------

    async def _schedule(self) -> None:
        """Start ready runs whenever there is room: read pages that are missing, pick, claim in one verb."""
        while True:
            await self._room.wait()
            self._room.clear()
            await self._refill()
            total = self._running - self._occupancy.busy.total
            picks = self._scheduler.take(
                self._rooms.now(self._clock()), total, suspect_works=self._suspect_works()
            )
            if not picks:
                continue
            try:
                claimed = set(await self._board.claim([run.run_id for run in picks]))
            except FlockdError as error:
                log.warning("claims failed, trying again: %s", error)
                claimed = set()
                await asyncio.sleep(1.0)
            for run in picks:
                if run.run_id in claimed:
                    claimed.remove(run.run_id)  # paused and resumed meanwhile, it may have been taken twice
                else:
                    self._scheduler.put_back(run)
            if self._scheduler.has_work:
                self._room.set()

    def _suspect_works(self) -> bool:
        return any(work.run.crashes >= SUSPECT_CRASHES for work in self._works.values())

    async def _refill(self) -> None:
        reads, window = self._board.reads, self._scheduler.window
        wanted = self._scheduler.wanted(self._rooms.now(self._clock()))
        for lanes in self._rooms.pages(wanted, window):
            pages = await reads.ready_pages(lanes, window)
            for lane in lanes:
                page = pages.get(lane, [])
                self._scheduler.refill(*lane, page, complete=len(page) < window)

    async def _watch_the_clock(self) -> None:
        """Wake waiting runs, and fire timers, when they are due; or when the clock was set back."""
        looked_at, loop = self._clock(), asyncio.get_running_loop()
        looked_again_at = loop.time()
        while True:
            self._alarm.clear()
            now = self._clock()
            if now < looked_at or loop.time() >= looked_again_at + CLOCK_LOOK_SECONDS:
                looked_again_at = loop.time()
                # rates go by the clock; and a word that was lost costs no more than this
                self._scheduler.look_again(lambda place: self._occupancy.ready.committed(place) > 0)
                self._room.set()
            if now < looked_at or (self._due_at is not None and self._due_at <= now):
                for agent in self._rooms.renewed(now):
                    self._scheduler.freed(agent)
                self._room.set()
                self._due_at = self._rooms.next_at  # what begins to wait from here on is told
                try:
                    while await self._board.wake(now):
                        pass
                    await self._board.reveal(now)
                    await self._board.fire_timers(now)
                    looked_at = now
                    self._expect(await self._board.reads.next_due())
                    self._expect(await self._board.reads.next_firing())
                except FlockdError as error:
                    log.warning("waking due runs failed, trying again: %s", error)
                    self._expect(now)
                    await asyncio.sleep(1.0)
                continue
            looked_at = now
            wait = CLOCK_LOOK_SECONDS
            if self._due_at is not None:
                wait = min(wait, (self._due_at - now) / 1000)
            try:
                async with asyncio.timeout(wait):
                    await self._alarm.wait()
            except TimeoutError:
                pass

    async def _forget_what_is_over(self) -> None:
        """Delete idempotency records older than they are kept, and ledgers of windows that have ended, in pages."""
        while True:
            older_than = self._clock() - self._idempotency_ms
            try:
                while digests := await self._board.reads.old_keys(older_than):
                    await self._board.free_old_keys(digests, older_than)
                await self._board.forget_ledgers(self._clock())
            except FlockdError as error:
                log.warning("old idempotency keys and ledgers stay for now: %s", error)
            await asyncio.sleep(3600)

    def _chore(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """A small piece of work of our own, named, kept and looked at."""
        task = asyncio.get_running_loop().create_task(work, name=f"supervisor: {name}")
        self._chores.add(task)
        task.add_done_callback(self._chore_ended)
        return task

    def _chore_ended(self, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a chore failed (%s): %r", task.get_name(), error)


def _look(future: asyncio.Future[object]) -> None:
    """Look at a future whose answer nobody needs."""
    if not future.cancelled() and future.exception() is not None:
        log.debug("a verb was not stored: %s", future.exception())
