"""Timers: what is due fires in one transaction, together with how far its schedule has come.

While a daemon runs, nothing that is due is missed: it fires once, however late it is looked at, and several of its
moments that have passed meanwhile are one firing. What passed while no daemon ran is for the timer's `catch_up`;
but a restart that takes no longer than RESTART_MS is no downtime.

The wall clock rules. Put forward, it makes due what it passes. Put back, it makes nothing come again that has
fired; see `Schedule.set_back` for how far that goes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flockd.board.ending import settle
from flockd.board.pools import pools_of
from flockd.board.publication import Prepared
from flockd.board.publish import publish_one
from flockd.board.runs import new_run
from flockd.board.wake import NATIVE, open_correlation
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.identity import new_id
from flockd.domain.moment import iso
from flockd.domain.timer import Starts, Timer, TimerProgress
from flockd.store.command import Needs
from flockd.store.records import PoolKey
from flockd.store.state import State

RESTART_MS = 60_000
"""What is no later than this at a start was not missed: the next daemon was merely on its way."""

Chance = Callable[[], float]


class Firing(NamedTuple):
    """What a timer would do now, made ready outside the transaction."""

    timer: Timer
    work: Prepared | str | None
    """What it publishes, or why that cannot be; None where it starts an agent."""


@dataclass(frozen=True, slots=True)
class FireTimers:
    """Fire these timers, as far as they are due; plan anew what a clock that was set back has put out of reach.

    Answers the names of those that fired. Nothing fires while the daemon is draining: the next one finds it due.
    """

    firings: Sequence[Firing]
    chance: Chance = random.random
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(timers=tuple(firing.timer.name for firing in self.firings), pools=_pools(self.firings))

    def decide(self, state: State) -> list[str]:
        fired: list[str] = []
        for firing in self.firings:
            progress = state.timers.get(firing.timer.name)
            if progress is None or progress.due_at is None or state.occupancy.closed:
                continue
            if progress.due_at <= state.clock:
                if _fire(state, firing, progress, self.chance):
                    fired.append(firing.timer.name)
            elif is_set_back(firing.timer, progress, state.clock):
                _begin_anew(state, firing.timer, progress, self.chance)
        return fired


@dataclass(frozen=True, slots=True)
class SyncTimers:
    """At start: the rows become what is declared, and what was missed is skipped or caught up.

    New timers begin, changed ones begin afresh, those in `gone` are forgotten. Answers the names of those that fired.
    """

    firings: Sequence[Firing]
    """Of all timers that are declared."""
    gone: Sequence[str]
    chance: Chance = random.random
    inside: bool = True

    def needs(self) -> Needs:
        declared = (firing.timer.name for firing in self.firings)
        return Needs(timers=(*declared, *self.gone), pools=_pools(self.firings))

    def decide(self, state: State) -> list[str]:
        for name in self.gone:
            state.drop_timer(name)
        return [firing.timer.name for firing in self.firings if self._sync(state, firing)]

    def _sync(self, state: State, firing: Firing) -> bool:
        """Bring one timer up to date; answers whether it fired."""
        timer, moment = firing.timer, state.clock
        progress = state.timers.get(timer.name)
        if progress is None or progress.spec != timer.spec:
            last = None if progress is None else progress.correlation_id
            progress = TimerProgress(timer.name, timer.spec, state.next_seq, moment, correlation_id=last)
            _plan(state, timer, progress, timer.schedule.first(moment), self.chance)
        if progress.due_at is None:
            return False
        if progress.due_at <= moment:
            if timer.schedule.catch_up == "once" or moment - progress.due_at <= RESTART_MS:
                return _fire(state, firing, progress, self.chance)
            following = timer.schedule.next_after(moment, progress.anchor)
            _plan(state, timer, progress, following, self.chance)
        elif is_set_back(timer, progress, moment):
            _begin_anew(state, timer, progress, self.chance)
        return False


def is_set_back(timer: Timer, progress: TimerProgress, moment: int) -> bool:
    """Whether it would wait for a clock that was set back, and must not."""
    planned = progress.planned_at
    return planned is not None and timer.schedule.set_back(planned, moment, progress.anchor)


def _fire(state: State, firing: Firing, progress: TimerProgress, chance: Chance) -> bool:
    """One firing, and the plan for the next one. False where it is skipped, since the last one is not over."""
    timer, work, due_at = firing.timer, firing.work, progress.due_at
    assert due_at is not None, "only what is due fires"
    last = _in_the_way(state, timer, progress)
    if last is None:
        progress.fired += 1
        progress.last_fired_at = state.now
        progress.correlation_id = work.correlation_id if isinstance(work, Prepared) else new_id()
    else:
        progress.skipped += 1
    most = timer.schedule.max_repeats
    over = most is not None and progress.fired >= most
    following = None if over else timer.schedule.next_after(state.clock, progress.anchor)
    _plan(state, timer, progress, following, chance)
    moments = {
        "due_at": iso(due_at),
        "next_due_at": None if progress.due_at is None else iso(progress.due_at),
    }
    if last is not None:
        data = {"timer": timer.name, "skipped": progress.skipped, **moments}
        state.emit(EventKind.timer_skipped, last, data=data)
        return False
    assert progress.correlation_id is not None, "it was just made"
    correlation = open_correlation(
        state, progress.correlation_id, priority=None, dialect=NATIVE, name=timer.name
    )
    data = {"timer": timer.name, "fired": progress.fired, **moments}
    state.emit(EventKind.timer_fired, correlation, data=data)
    if isinstance(work, Prepared):
        publish_one(state, work, NATIVE, timer.name)
    elif isinstance(work, str):
        correlation.reason = work
        settle(state, correlation)
    else:
        _start(state, timer, correlation)
    return True


def _in_the_way(state: State, timer: Timer, progress: TimerProgress) -> Correlation | None:
    """The correlation of the last firing, where another one is not to overlap it."""
    if timer.schedule.overlap == "queue" or progress.correlation_id is None:
        return None
    last = state.correlations.get(progress.correlation_id)
    return last if last is not None and last.state is CorrelationState.active else None


def _start(state: State, timer: Timer, correlation: Correlation) -> None:
    assert isinstance(timer.target, Starts), "what is not published is started"
    run = new_run(state, correlation, timer.target.agent, (), depth=1)
    assert run is not None, "a correlation that just began has room for a run"
    state.announce(run)


def _plan(
    state: State, timer: Timer, progress: TimerProgress, planned_at: int | None, chance: Chance
) -> None:
    """Say which moment of its schedule comes next; None: it is over."""
    progress.planned_at = planned_at
    progress.due_at = None if planned_at is None else timer.schedule.delayed(planned_at, chance())
    state.put_timer(progress)


def _begin_anew(state: State, timer: Timer, progress: TimerProgress, chance: Chance) -> None:
    """The clock was set back: intervals count from what it says now."""
    progress.anchor = state.clock
    _plan(state, timer, progress, timer.schedule.next_after(state.clock, state.clock), chance)


def _pools(firings: Sequence[Firing]) -> tuple[PoolKey, ...]:
    return tuple(
        pool
        for firing in firings
        if isinstance(firing.work, Prepared)
        for pool in pools_of(firing.work.draft)
    )
