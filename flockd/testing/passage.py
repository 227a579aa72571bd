"""How time passes on a board under test: to the next thing that is due, when nobody works any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from flockd.domain.agent import agent_at
from flockd.testing.asleep import is_asleep
from flockd.testing.clock import Clock
from flockd.testing.machine import Machine

_PATIENCE_SECONDS = 1.0
"""How long time stands still, in real seconds, for agents that work when it is to pass."""
_LOOK_SECONDS = 0.005
"""An agent that falls asleep tells nobody: who waits for that looks again after this."""
LOOKS_AT_A_MOMENT = 100
"""How often one and the same moment may bring something new: more is something that time does not move on."""


class Passage:
    """The clock of one board, moved so that each thing happens at its moment."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock

    async def advance_to(self, moment: int) -> None:
        """All that is due until then happens, each at its moment; what works meanwhile gets its time to end."""
        looks: Counter[int] = Counter()
        while True:
            await self.until(self._is_asleep_or_idle, _PATIENCE_SECONDS)
            due_at = await self.next_moment()
            if due_at is None or due_at > moment or looks[due_at] == LOOKS_AT_A_MOMENT:
                break
            looks[due_at] += 1
            await self._move_to(due_at)
        await self._move_to(moment)
        await self.until(self._is_asleep_or_idle, _PATIENCE_SECONDS)

    async def _move_to(self, moment: int) -> None:
        self._clock.move_to(moment)
        await self.look_at_clock()

    async def look_at_clock(self) -> None:
        """All that is due now happens; awaited, so that it has happened when this returns."""
        machine, now = self._machine, self._clock.now
        while await machine.board.wake(now):
            pass
        await machine.board.reveal(now)
        await machine.board.fire_timers(now)
        machine.supervisor.look_at_clock()  # a rate may let a run start
        await asyncio.sleep(0)

    async def next_moment(self, *, firings: bool = True) -> int | None:
        """When time brings something next: a retry, the end of a question, a pool, a rate's next start, a timer."""
        machine = self._machine
        reads, occupancy, agents = machine.reads, machine.writer.occupancy, machine.board.agents
        moments = [await reads.next_due()]
        if firings:
            moments.append(await reads.next_firing())
        for place, _ in occupancy.ready.items():
            agent = agents.get(agent_at(place))
            if agent is not None and agent.name not in occupancy.paused:
                moments.append(occupancy.free_again_at(agent, self._clock.now))
        return min((moment for moment in moments if moment is not None), default=None)

    def is_idle(self) -> bool:
        """Nothing works, and nothing that is ready may start now."""
        machine = self._machine
        is_at_work = machine.supervisor.is_busy or machine.writer.occupancy.busy.total
        return not is_at_work and not self._may_start()

    def _may_start(self) -> bool:
        """Whether something that is ready may start now."""
        occupancy, agents = self._machine.writer.occupancy, self._machine.board.agents
        waiting = ((agents.get(agent_at(place)), place) for place, _ in occupancy.ready.items())
        return any(
            agent is not None and occupancy.free(agent, place, self._clock.now) > 0
            for agent, place in waiting
        )

    def _is_asleep_or_idle(self) -> bool:
        """The same, but for agents that sleep until time passes."""
        if self.is_idle():
            return True
        asleep = sum(
            is_asleep(task)
            for task in asyncio.all_tasks()
            if task.get_name().rpartition(" ")[2] in self._machine.runs
        )
        return 0 < asleep == self._machine.writer.occupancy.busy.total and not self._may_start()

    async def until(self, true: Callable[[], bool], limit_seconds: float) -> bool:
        """Wait until this is true, for so many real seconds; answers whether it is."""
        ends_at = time.monotonic() + limit_seconds
        while not true():
            self._machine.check()
            left = ends_at - time.monotonic()
            if left <= 0:
                return False
            self._machine.bell.clear()
            try:
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await self._machine.bell.wait()
            except TimeoutError:
                pass
        return True

    def busy(self, limit_seconds: float) -> str:
        """A sentence that says who still works."""
        occupancy = self._machine.writer.occupancy
        names = sorted(
            {agent_at(place) for tally in (occupancy.busy, occupancy.ready) for place, _ in tally.items()}
        )
        return (
            f"{' and '.join(names) or 'the board'} still works after {limit_seconds:g} real seconds: an agent that "
            "sleeps goes on when time passes (advance)"
        )
