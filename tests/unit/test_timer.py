"""Timers as they are declared: what makes one another, and what it looks like on the wire."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flockd.domain.moment import parse_iso
from flockd.domain.schedule import Cron, Daily, Every
from flockd.domain.timer import Publishes, Starts, Timer, TimerProgress
from flockd.domain.visibility import Private

NIGHTLY = Timer("nightly", Daily("02:00"), Publishes("Report", b'{"n":1}', ("a",), "p"))


@pytest.mark.parametrize(
    "other",
    [
        replace(NIGHTLY, schedule=Daily("02:01")),
        replace(NIGHTLY, schedule=Daily("02:00", tz="Europe/Berlin")),
        replace(NIGHTLY, schedule=Cron("0 2 * * *")),
        replace(NIGHTLY, schedule=Daily("02:00", jitter="1m")),
        replace(NIGHTLY, schedule=Daily("02:00", catch_up="once")),
        replace(NIGHTLY, schedule=Daily("02:00", overlap="skip")),
        replace(NIGHTLY, schedule=Daily("02:00", max_repeats=2)),
        replace(NIGHTLY, target=Starts("Report")),
        replace(NIGHTLY, target=Publishes("Report", b'{"n":2}', ("a",), "p")),
        replace(NIGHTLY, target=Publishes("Report", b'{"n":1}', ("b",), "p")),
        replace(NIGHTLY, target=Publishes("Report", b'{"n":1}', ("a",))),
        replace(NIGHTLY, target=Publishes("Report", b'{"n":1}', ("a",), "p", Private(agents=("x",)))),
    ],
    ids=str,
)
def test_whatever_is_declared_otherwise_makes_it_another(other: Timer) -> None:
    assert other.spec != NIGHTLY.spec
    assert len(other.spec) == 16


def test_the_same_declaration_in_other_words_is_the_same() -> None:
    assert Timer("t", Every("300s"), Starts("a")).spec == Timer("t", Every("5m"), Starts("a")).spec


@pytest.mark.parametrize("name", ["", "two words", "1st", "n" * 65])
def test_a_timer_is_named_as_agents_are(name: str) -> None:
    with pytest.raises(ValueError, match="a timer is named by letters"):
        Timer(name, Every("5m"), Starts("a"))


def test_on_the_wire() -> None:
    due = parse_iso("2026-11-22T02:00:00Z")
    progress = TimerProgress("nightly", NIGHTLY.spec, 1, 0, due, due, 3, due - 86_400_000)
    assert NIGHTLY.document(progress) == {
        "name": "nightly",
        "schedule": "daily at 02:00 (UTC)",
        "target": {"publish": "Report", "run": None},
        "next_due_at": "2026-11-22T02:00:00.000Z",
        "fired": 3,
        "last_fired_at": "2026-11-21T02:00:00.000Z",
        "skipped": 0,
    }
    over = Timer("hourly", Every("1h", max_repeats=1), Starts("sweeper"))
    document = over.document(TimerProgress("hourly", over.spec, 1, 0))
    assert document["target"] == {"publish": None, "run": "sweeper"}
    assert document["next_due_at"] is None and document["last_fired_at"] is None
