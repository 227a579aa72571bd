"""What may start now, by the limits of agents and places, and when a rate lets more start."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from flockd.domain.agent import Agents, agent_at
from flockd.store.occupancy import Occupancy
from flockd.store.reads.base import PAGE_MAX
from flockd.supervisor.lane import LaneKey
from flockd.supervisor.scheduler import Room


class Rooms:
    """Knows for each agent that its rate has stopped when that lets one more start.

    `expect` is told of each such moment: the clock is to be looked at then.
    """

    def __init__(self, occupancy: Occupancy, agents: Agents, expect: Callable[[int], None]) -> None:
        self._occupancy = occupancy
        self._agents = agents
        self._expect = expect
        self._renewals: list[tuple[int, str]] = []
        """A heap. What `_renewed_at` does not say any more is skipped when it surfaces."""
        self._renewed_at: dict[str, int] = {}

    def now(self, now: int) -> Room:
        """The room of this moment; to be used at once, for what is committed changes it."""
        return _Room(self._occupancy, self._agents, now, self._expect_renewal)

    def pages(self, lanes: Iterable[LaneKey], window: int) -> Iterator[list[LaneKey]]:
        """These lanes, in so many slices that the windows of each slice are one read (`PAGE_MAX`): there may be as many
        lanes as there are keys."""
        page: list[LaneKey] = []
        rows = 0
        for lane in lanes:
            most = min(window, max(1, self._occupancy.ready.committed(lane[0])))
            if page and rows + most > PAGE_MAX:
                yield page
                page, rows = [], 0
            page.append(lane)
            rows += most
        if page:
            yield page

    @property
    def next_at(self) -> int | None:
        """When the next rate lets more start."""
        return self._renewals[0][0] if self._renewals else None

    def renewed(self, now: int) -> Iterator[str]:
        """The agents whose rates let more start than when they were asked last."""
        while self._renewals and self._renewals[0][0] <= now:
            at, agent = heapq.heappop(self._renewals)
            if self._renewed_at.get(agent) == at:
                del self._renewed_at[agent]
                yield agent

    def _expect_renewal(self, agent: str, at: int) -> None:
        if self._renewed_at.get(agent) != at:
            self._renewed_at[agent] = at
            heapq.heappush(self._renewals, (at, agent))
        self._expect(at)


class _Room:
    """What an agent allows is asked once for all of its places."""

    def __init__(
        self, occupancy: Occupancy, agents: Agents, now: int, expect_renewal: Callable[[str, int], None]
    ) -> None:
        self._occupancy = occupancy
        self._agents = agents
        self._now = now
        self._expect_renewal = expect_renewal
        self._allowed: dict[str, int] = {}

    def of(self, agent: str) -> int:
        allowed = self._allowed.get(agent)
        if allowed is None:
            allowed = self._allowed[agent] = self._ask(agent)
        return allowed

    def _ask(self, name: str) -> int:
        agent = self._agents.get(name)
        if agent is None:
            return 0
        allowed = self._occupancy.allowed(agent, self._now)
        if allowed <= 0 and name not in self._occupancy.paused:  # who resumes it tells
            at = self._occupancy.free_again_at(agent, self._now)
            self._expect_renewal(name, self._now if at is None else at)  # the writer commits meanwhile
        return allowed

    def at(self, place: str) -> int:
        agent = self._agents.get(agent_at(place))
        return 0 if agent is None else agent.max_concurrency - self._occupancy.busy.committed(place)
