"""Who works and who waits, as the loop sees it while the writer's thread changes it."""

from __future__ import annotations

from collections import deque

from flockd.domain.agent import Agent
from flockd.domain.rate import Rate
from flockd.domain.subscription import Subscription
from flockd.store.occupancy import Occupancy


def test_a_start_is_never_counted_twice_while_it_is_committed() -> None:
    agent = Agent("a", Subscription(("A",)), (), rate=Rate(2, 1000))
    occupancy = Occupancy()
    seen: list[int] = []

    class Watched(deque[int]):
        """Asks in the middle of a commit."""

        def append(self, at: int) -> None:
            super().append(at)
            seen.append(occupancy.allowed(agent, 10))

    occupancy.starts["a"] = Watched()
    occupancy.start(agent, 10)
    assert occupancy.allowed(agent, 10) == 1
    occupancy.commit()
    assert seen == [1]
    assert occupancy.allowed(agent, 10) == 1
