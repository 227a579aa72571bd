"""The order in which the runs of one lane start, fixed when they become ready: by a virtual clock of that lane.

A lane is where runs queue: one priority class at one place. The virtual start time of a run is one more than that of
the last run of its correlation that waits there, and than the lane's clock, which follows the runs that start. So in
its lane a correlation of ten thousand runs has one start in each unit of virtual time, as one of a single run has, and
whatever happens elsewhere, a lane that is held up keeps its time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from flockd.domain.priority import Priority

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Lane = tuple[str, Priority]
"""(place, priority)."""


class _Undoable(Generic[K, V]):
    """A mapping that is changed inside a transaction and can be put back to how that found it."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._before: dict[K, V | None] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V | None) -> None:
        """None: it is dropped."""
        self._before.setdefault(key, self._values.get(key))
        self._put(key, value)

    def _put(self, key: K, value: V | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def clear(self) -> None:
        for key in list(self._values):
            self.put(key, None)

    def commit(self) -> None:
        self._before.clear()

    def rollback(self) -> None:
        for key, value in self._before.items():
            self._put(key, value)
        self._before.clear()


class _Queue(NamedTuple):
    """What waits: in a lane, with the lane's clock; or of one correlation there, with its last start time."""

    waiting: int
    time: int


class VirtualTimes:
    """The clocks of all lanes in which runs wait. Of what does not wait nothing is kept."""

    def __init__(self) -> None:
        self._lanes: _Undoable[Lane, _Queue] = _Undoable()
        self._correlations: _Undoable[tuple[Lane, str], _Queue] = _Undoable()

    def __len__(self) -> int:
        """How many clocks and last start times are kept."""
        return len(self._lanes) + len(self._correlations)

    def join(self, lane: Lane, correlation_id: str) -> int:
        """One more run waits in a lane; its virtual start time, from 1."""
        waiting, clock = self._lanes.get(lane) or _Queue(0, 0)
        self._lanes.put(lane, _Queue(waiting + 1, clock))
        mine, last = self._correlations.get((lane, correlation_id)) or _Queue(0, 0)
        vtime = max(clock, last) + 1
        self._correlations.put((lane, correlation_id), _Queue(mine + 1, vtime))
        return vtime

    def advance(self, lane: Lane, vtime: int) -> None:
        """A run of this virtual start time starts, and is about to leave its lane.

        One unit is the most that a single start moves the clock: a start that was chosen before smaller ones came, or
        that stands behind a gap of cancelled ones, must not take the clock past what waits.
        """
        queue = self._lanes.get(lane)
        if queue is not None and vtime > queue.time:
            self._lanes.put(lane, _Queue(queue.waiting, queue.time + 1))

    def leave(self, lane: Lane, correlation_id: str) -> None:
        """One run that had joined waits no longer, for whatever reason."""
        _take_one(self._lanes, lane)
        _take_one(self._correlations, (lane, correlation_id))

    def seed(self, lane: Lane, correlation_id: str, waiting: int, first: int, last: int) -> None:
        """What the rows say at start: so many runs of a correlation wait, from this virtual start time to that one."""
        known, clock = self._lanes.get(lane) or _Queue(0, first - 1)
        self._lanes.put(lane, _Queue(known + waiting, min(clock, first - 1)))
        self._correlations.put((lane, correlation_id), _Queue(waiting, last))

    def clear(self) -> None:
        """Nothing waits any more: the board was emptied."""
        self._lanes.clear()
        self._correlations.clear()

    def commit(self) -> None:
        self._lanes.commit()
        self._correlations.commit()

    def rollback(self) -> None:
        self._lanes.rollback()
        self._correlations.rollback()


def _take_one(queues: _Undoable[K, _Queue], key: K) -> None:
    queue = queues.get(key)
    assert queue is not None, "a run that waits was counted"
    queues.put(key, _Queue(queue.waiting - 1, queue.time) if queue.waiting > 1 else None)
