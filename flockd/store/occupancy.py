"""Who works and who waits, counted over all groups, and the bounds that are decided by those counts."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

from flockd.domain.agent import Agent
from flockd.domain.moment import HOUR_MS
from flockd.domain.rate import Rate
from flockd.store.virtual_time import VirtualTimes

K = TypeVar("K", bound=Hashable)


class Limits(NamedTuple):
    """The bounds that are decided inside a transaction; each is a setting of the same name."""

    running: int = 256
    ready_runs: int = 100_000
    correlation_runs: int = 10_000
    correlation_depth: int = 1_000
    run_crashes: int = 10
    orphan_ms: int = 24 * HOUR_MS
    idempotency_ms: int = 24 * HOUR_MS


class Tally(Generic[K]):
    """Counts kept beside the rows, changed inside a transaction and undone with it."""

    def __init__(self) -> None:
        self._committed: dict[K, int] = {}
        self._pending: dict[K, int] = defaultdict(int)
        self.total = 0
        self._total_before = 0

    def __getitem__(self, key: K) -> int:
        return self._committed.get(key, 0) + self._pending.get(key, 0)

    def committed(self, key: K) -> int:
        """For the loop, which is not to see what may yet be undone."""
        return self._committed.get(key, 0)

    def add(self, key: K, delta: int) -> None:
        self._pending[key] += delta
        self.total += delta

    def items(self) -> Iterator[tuple[K, int]]:
        """What is committed; keys that stand at zero are not kept."""
        return iter(list(self._committed.items()))

    def clear(self) -> None:
        for key in {*self._committed, *self._pending}:
            self.add(key, -self[key])

    def commit(self) -> None:
        for key, delta in self._pending.items():
            count = self._committed.get(key, 0) + delta
            if count:
                self._committed[key] = count
            else:
                self._committed.pop(key, None)
        self._pending.clear()
        self._total_before = self.total

    def rollback(self) -> None:
        self._pending.clear()
        self.total = self._total_before


class Occupancy:
    """Who works and who waits, over all groups. Derived from the rows at start, then changed only by decide."""

    def __init__(self) -> None:
        self.busy: Tally[str] = Tally()
        """How many work, by place: from the claim until the engine has really ended."""
        self.ready: Tally[str] = Tally()
        """Ready runs, by place."""
        self.starts: dict[str, deque[int]] = {}
        """The moments of the latest starts of agents that have a rate; as many as it allows in a period."""
        self.times = VirtualTimes()
        """In which order runs start that wait."""
        self.paused: frozenset[str] = frozenset()
        """Agents that start nothing until they are resumed."""
        self.closed = False
        """The daemon is draining, or recovering: nothing starts. Set on the loop."""
        self._paused_before = self.paused
        self._new_starts: list[tuple[Agent, int]] = []

    def free(self, agent: Agent, place: str, now: int) -> int:
        """How many more runs may start at a place of this agent; by its own limits alone."""
        return min(self.allowed(agent, now), agent.max_concurrency - self.busy[place])

    def allowed(self, agent: Agent, now: int) -> int:
        """How many more runs of this agent may start, at all of its places together."""
        if agent.name in self.paused:
            return 0
        if agent.rate is None:
            return sys.maxsize
        new = sum(started is agent for started, _ in self._new_starts)
        return agent.rate.starts - new - len(self._known(agent.name, agent.rate, now))

    def free_again_at(self, agent: Agent, now: int) -> int | None:
        """When the rate of an agent lets one more start; None where it does so now."""
        if agent.rate is None:
            return None
        known = self._known(agent.name, agent.rate, now)
        free = agent.rate.starts - len(known) - sum(started is agent for started, _ in self._new_starts)
        return None if free > 0 else min([*known, now]) + agent.rate.period_ms

    def _known(self, agent: str, rate: Rate, now: int) -> list[int]:
        """Committed starts within the period that ends now. Of a clock that was set back, what is to come counts not.

        The loop asks, too, while the writer may append: a deque is copied in one step.
        """
        return [at for at in tuple(self.starts.get(agent, ())) if now - rate.period_ms < at <= now]

    def has_room(self, agent: Agent, place: str, limits: Limits, now: int, *, counted: int) -> bool:
        """Whether a run may start at a place now without overtaking any that waits there.

        All that is ready must fit beside it; otherwise the scheduler chooses. `counted`: 1 where the run itself is
        already counted as ready.
        """
        return (
            not self.closed
            and self.busy.total + self.ready.total - counted < limits.running
            and self.ready[place] == counted
            and self.free(agent, place, now) > 0
        )

    def start(self, agent: Agent, now: int) -> None:
        """One more start counts against the rate of an agent that has one."""
        self._new_starts.append((agent, now))

    def started_before(self, agent: str, at: int) -> None:
        """A start of an earlier process, in the order of time."""
        self.starts.setdefault(agent, deque()).append(at)

    def commit(self) -> None:
        self.busy.commit()
        self.ready.commit()
        self.times.commit()
        self._paused_before = self.paused
        started, self._new_starts = self._new_starts, []  # the loop must count none of them twice
        for agent, at in started:
            known = self.starts.setdefault(agent.name, deque())
            known.append(at)
            while agent.rate is not None and len(known) > agent.rate.starts:
                known.popleft()

    def rollback(self) -> None:
        self.busy.rollback()
        self.ready.rollback()
        self.times.rollback()
        self.paused = self._paused_before
        self._new_starts.clear()
