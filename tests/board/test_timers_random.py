"""Timers under random lives of a daemon, against a naive model: late looks, crashes, downtimes long and short."""

from __future__ import annotations

import random

import orjson
import pytest

from flockd.board.timers import RESTART_MS
from flockd.domain.moment import iso
from flockd.domain.schedule import CatchUp, Cron, Every, Once, Schedule
from flockd.domain.timer import Publishes, Starts, Timer

from ..rig import BEGIN, Rig, Rigs, agent

MINUTE = 60_000
MINUTES = 4_000
"""How long the moments of the model are written out."""


class Model:
    """What one timer should have done: its moments as a list, and how far it is."""

    def __init__(self, timer: Timer, moments: list[int]) -> None:
        self.timer = timer
        self.fired: list[int] = []
        self._left = moments

    def look(self, now: int) -> None:
        """All that has passed is one firing, due at the first of it."""
        passed = [one for one in self._left if one <= now]
        self._left = self._left[len(passed) :]
        if passed:
            self.fired.append(passed[0])
            if len(self.fired) == self.timer.schedule.max_repeats:
                self._left = []

    def start(self, now: int) -> None:
        """As a look, but what is older than a restart takes is skipped by those that skip."""
        skips = self.timer.schedule.catch_up == "skip"
        if skips and self._left and now - self._left[0] > RESTART_MS:
            self._left = [one for one in self._left if one > now]
        self.look(now)


def models(catch_up: CatchUp) -> list[Model]:
    every = range(1, MINUTES)
    kinds: dict[str, tuple[Schedule, list[int]]] = {
        "every": (Every("7m", catch_up=catch_up), [n for n in every if n % 7 == 0]),
        "thrice": (Every("5m", catch_up=catch_up, max_repeats=3), [n for n in every if n % 5 == 0]),
        "cron": (Cron("*/10 * * * *", catch_up=catch_up), [n for n in every if n % 10 == 0]),
        "once": (Once(iso(BEGIN + 33 * MINUTE), catch_up=catch_up), [33]),
    }
    return [
        Model(
            Timer(name, schedule, Starts("sweeper") if name == "every" else Publishes("A")),
            [BEGIN + n * MINUTE for n in moments],
        )
        for name, (schedule, moments) in kinds.items()
    ]


def fired(rig: Rig, name: str) -> list[str]:
    return [one["due_at"] for one in rig.data("timer.fired") if one["timer"] == name]


@pytest.mark.parametrize("catch_up", ["skip", "once"])
@pytest.mark.parametrize("seed", range(8))
async def test_each_moment_is_one_firing(rigs: Rigs, seed: int, catch_up: CatchUp) -> None:
    rng, expected = random.Random(seed), models(catch_up)
    rig = await rigs(
        agent("sweeper"), agent("a", "A", max_concurrency=2), timers=[model.timer for model in expected]
    )
    for _ in range(40):
        if rng.random() < 0.6:
            seconds = rng.choice([1, 59, 60, 300, 900])
            rig.clock.advance(seconds)
            if seconds <= 60 and rng.random() < 0.5:  # the process is killed while it fires
                rig.soon(rig.board.fire_timers(rig.clock()))
                await rig.crash()
                await rig.start()
            for _ in range(rng.choice([1, 2])):
                await rig.board.fire_timers(rig.clock())
            for model in expected:
                model.look(rig.clock())
        else:
            await (rig.stop() if rng.random() < 0.5 else rig.crash())
            rig.clock.advance(rng.choice([0, 30, 61, 700, 5000]))
            await rig.start()
            for model in expected:
                model.start(rig.clock())
        while rng.random() < 0.7 and rig.working:
            rng.choice(rig.working).give()
            await rig.passed()
    await rig.passed()
    for model in expected:
        assert fired(rig, model.timer.name) == [iso(one) for one in model.fired], model.timer.name
    published = [event for event in rig.events if event.kind == "artifact.published"]
    runs, _ = await rig.reads.runs(agent="sweeper", limit=500)
    assert len(published) == sum(len(model.fired) for model in expected[1:])
    assert len(runs) == len(expected[0].fired)
    assert all(orjson.loads(event.data)["woke"] for event in published)
