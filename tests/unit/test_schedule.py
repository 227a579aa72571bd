"""Schedules: their moments, over the nights when clocks are changed, over leap days, and without drift."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flockd.domain.moment import iso, parse_iso
from flockd.domain.schedule import Cron, Daily, Every, Once, Schedule

BERLIN = "Europe/Berlin"
ZONES = [
    "UTC",
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
    "Asia/Beirut",
]
MOMENTS = st.integers(parse_iso("1990-01-01"), parse_iso("2060-01-01"))


def moments(schedule: Schedule, after: str, count: int = 4) -> list[str]:
    """The first moments after this one, to the minute (where they stand on one)."""
    found: list[str] = []
    moment: int | None = parse_iso(after)
    for _ in range(count):
        assert moment is not None
        moment = schedule.next_after(moment, parse_iso(after))
        if moment is None:
            break
        found.append(iso(moment).removesuffix(".000Z").removesuffix(":00"))
    return found


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        (Every("90m"), "2026-11-21T23:00", ["2026-11-22T00:30", "2026-11-22T02:00", "2026-11-22T03:30"]),
        (Every(0.5 * 60), "2026-11-21", ["2026-11-21T00:00:30", "2026-11-21T00:01", "2026-11-21T00:01:30"]),
        (Every(timedelta(days=1)), "2028-02-28", ["2028-02-29T00:00", "2028-03-01T00:00"]),
        (Daily("09:00"), "2026-11-21T09:00", ["2026-11-22T09:00", "2026-11-23T09:00"]),
        (Daily("09:00"), "2026-11-21T08:59:59.999", ["2026-11-21T09:00", "2026-11-22T09:00"]),
        (Daily("00:00"), "2028-02-28T12:00", ["2028-02-29T00:00", "2028-03-01T00:00"]),
        (Daily("09:00", tz="Asia/Kathmandu"), "2026-11-21", ["2026-11-21T03:15"]),
        # The clock goes from 02:00 to 03:00: there is no 02:30, so it comes at 03:00, which is 01:00 UTC.
        (
            Daily("02:30", tz=BERLIN),
            "2026-03-28",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        (
            Daily("09:00", tz=BERLIN),
            "2026-03-28",
            ["2026-03-28T08:00", "2026-03-29T07:00", "2026-03-30T07:00"],
        ),
        # It goes from 03:00 back to 02:00: 02:30 is there twice, and the first one counts.
        (
            Daily("02:30", tz=BERLIN),
            "2026-10-24",
            ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (Daily("02:30", tz=BERLIN), "2026-10-25T00:45", ["2026-10-26T01:30"]),
        (Daily("02:30", tz=BERLIN), "2026-10-25T01:15", ["2026-10-26T01:30"]),
        # A day on which midnight itself is skipped.
        (Daily("00:00", tz="America/Havana"), "2026-03-07T06:00", ["2026-03-08T05:00", "2026-03-09T04:00"]),
        (Cron("*/5 * * * *"), "2026-11-21T00:01", ["2026-11-21T00:05", "2026-11-21T00:10"]),
        (Cron("0 12 29 2 *"), "2026-11-21", ["2028-02-29T12:00", "2032-02-29T12:00"]),
        (Cron("0 0 L * *"), "2027-02-01", ["2027-02-28T00:00", "2027-03-31T00:00"]),
        (Cron("0 9 * * MON-FRI", tz=BERLIN), "2026-11-20T09:00", ["2026-11-23T08:00", "2026-11-24T08:00"]),
        (
            Cron("*/20 * * * * *"),
            "2026-11-21",
            ["2026-11-21T00:00:20", "2026-11-21T00:00:40", "2026-11-21T00:01"],
        ),
        (Cron("30 2 * * *", tz=BERLIN), "2026-03-28T02:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        # By its intervals through the hour that is there twice.
        (
            Cron("*/30 2 * * *", tz=BERLIN),
            "2026-10-24T23:00",
            [
                "2026-10-25T00:00",
                "2026-10-25T00:30",
                "2026-10-25T01:00",
                "2026-10-25T01:30",
                "2026-10-26T01:00",
            ],
        ),
        (Once("2026-11-21T09:00:00+01:00"), "2026-11-21", ["2026-11-21T08:00"]),
        (Once(datetime(2026, 11, 21, 9, tzinfo=ZoneInfo(BERLIN))), "2026-11-21", ["2026-11-21T08:00"]),
        (Once(datetime(2026, 11, 21, 9)), "2026-11-21", ["2026-11-21T09:00"]),
        (Once("2026-11-21T09:00"), "2026-11-21T09:00", []),
    ],
    ids=str,
)
def test_moments(schedule: Schedule, after: str, expected: list[str]) -> None:
    assert moments(schedule, after, len(expected) or 1) == expected


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Every("soon"), "'soon' is not a duration"),
        (lambda: Every("0s"), "longer than zero"),
        (lambda: Every("500ms"), "an interval is from 1s to 3650d, not '500ms'"),
        (lambda: Every("4000d"), "an interval is from 1s to 3650d"),
        (lambda: Every("5m", jitter="5m"), "the jitter '5m' is not shorter than the interval '5m'"),
        (lambda: Daily("9:00"), "a time of day is written \"09:00\", not '9:00'"),
        (lambda: Daily("24:00"), "a time of day is written"),
        (lambda: Daily(900), "a time of day is written"),
        (lambda: Daily("09:00", tz="Europe"), "'Europe' is not a time zone"),
        (lambda: Daily("09:00", tz="../../etc/passwd"), "is not a time zone"),
        (lambda: Daily("09:00", tz=None), "None is not a time zone"),
        (lambda: Daily("09:00", jitter="25h"), "a jitter is at most a day"),
        (lambda: Daily("09:00", jitter="-1s"), "is not a duration"),
        (lambda: Daily("09:00", catch_up="all"), 'catch_up is "skip" or "once", not \'all\''),
        (lambda: Daily("09:00", overlap="wait"), 'overlap is "queue" or "skip", not \'wait\''),
        (lambda: Daily("09:00", max_repeats=0), "max_repeats is a whole number from 1 on, not 0"),
        (lambda: Daily("09:00", max_repeats=True), "max_repeats is a whole number from 1 on"),
        (lambda: Daily("09:00", max_repeats="3"), "max_repeats is a whole number from 1 on"),
        (lambda: Cron("* * * *"), "'* * * *' is not a cron expression: Wrong number of fields"),
        (lambda: Cron("61 * * * *"), "is not a cron expression: Bad minute"),
        (lambda: Cron("0 0 30 2 *"), "is not a cron expression: Bad day-of-month"),
        (lambda: Cron("0 0 1 1 MON", tz="Mars/Base"), "'Mars/Base' is not a time zone"),
        (lambda: Cron(5), "a cron expression is a text"),
        (lambda: Once("tomorrow"), "'tomorrow' is not a moment"),
        (lambda: Once(None), "None is not a moment"),
        (lambda: Once("1969-01-01"), "is not a moment"),
        (lambda: Once("9999-12-31T23:59:59-12:00"), "is not a moment"),
        (lambda: Once("2026-11-21", max_repeats=2), "Once fires once"),
    ],
)
def test_what_is_declared_wrongly_is_told(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Every("300s"), "every 5m"),
        (Every("1.5s"), "every 1500ms"),
        (Every("90m", jitter="30s", catch_up="once", max_repeats=3),
         "every 90m, up to 30s later, catching up once, at most 3 times"),
        (Every("5m", overlap="skip"), "every 5m, skipped while the last one is not over"),
        (Daily("09:00", tz=BERLIN, max_repeats=1), "daily at 09:00 (Europe/Berlin), at most once"),
        (Cron(" */5  * * * *"), "cron */5 * * * * (UTC)"),
        (Once("2026-11-21T09:00:00+01:00"), "once at 2026-11-21T08:00:00.000Z"),
    ],
)  # fmt: skip
def test_a_schedule_in_words(schedule: Schedule, text: str) -> None:
    assert schedule.text == text


def schedules() -> st.SearchStrategy[Schedule]:
    minutes, hours = st.integers(0, 59), st.integers(0, 23)
    zones = st.sampled_from(ZONES)
    fields = st.sampled_from(["*", "*/7", "0", "30", "15-20"])
    return st.one_of(
        st.builds(Every, st.integers(1, 1_000_000)),
        st.builds(lambda h, m, tz: Daily(f"{h:02}:{m:02}", tz=tz), hours, minutes, zones),
        st.builds(
            lambda m, h, tz: Cron(f"{m} {h} * * *", tz=tz),
            fields,
            st.sampled_from(["*", "2", "1-3", "*/2", "0"]),
            zones,
        ),
    )


@given(schedules(), MOMENTS, MOMENTS)
def test_the_next_moment_is_later_and_none_is_left_out(schedule: Schedule, anchor: int, after: int) -> None:
    """Whatever moment is asked about: the next one is strictly later, and nothing lies between."""
    found = schedule.next_after(after, anchor)
    assert found is not None and found > after
    between = random.Random(after).randrange(after, found)
    assert schedule.next_after(between, anchor) == found


@given(st.integers(1, 10_000_000), MOMENTS, st.integers(0, 10_000))
def test_the_nth_is_the_anchor_and_n_intervals(seconds: int, anchor: int, n: int) -> None:
    schedule = Every(seconds)
    nth = anchor + n * seconds * 1000
    late = nth + (seconds * 1000) // 2  # looked at late, as it is in life
    assert schedule.next_after(late, anchor) == anchor + (n + 1) * seconds * 1000


@settings(deadline=None)  # a year takes long on a busy machine
@given(st.integers(0, 23), st.integers(0, 59), st.sampled_from(ZONES), st.integers(1995, 2037))
def test_daily_is_once_on_each_day(hour: int, minute: int, tz: str, year: int) -> None:
    """A year of it: one firing on each date of the zone's own calendar, at its time wherever that exists."""
    schedule, zone = Daily(f"{hour:02}:{minute:02}", tz=tz), ZoneInfo(tz)
    moment = int(datetime(year, 1, 1, tzinfo=zone).timestamp() * 1000) - 1
    found: list[datetime] = []
    for _ in range(366):
        moment = schedule.next_after(moment, 0) or 0
        found.append(datetime.fromtimestamp(moment / 1000, zone))
    for before, after in pairwise(found):
        assert after.date() - before.date() == timedelta(days=1)
    for one in found:
        wanted = one.replace(hour=hour, minute=minute, fold=0)
        exists = wanted.astimezone(UTC).astimezone(zone).replace(fold=0) == wanted
        if exists:
            assert (one.hour, one.minute, one.fold) == (hour, minute, 0)
        else:  # the first moment after the gap
            before_it = (one.astimezone(UTC) - timedelta(seconds=1)).astimezone(zone)
            assert one.utcoffset() != before_it.utcoffset()


def test_a_jitter_is_within_its_bounds_and_spread() -> None:
    schedule, chance = Daily("09:00", jitter="10m"), random.Random(7)
    delays = [schedule.delayed(0, chance.random()) for _ in range(1000)]
    assert min(delays) >= 0 and max(delays) < 600_000
    assert min(delays) < 30_000 and max(delays) > 570_000
    assert Daily("09:00").delayed(5, 0.999) == 5


@pytest.mark.parametrize(
    ("schedule", "planned", "now", "is_back"),
    [
        # The clock went back by an hour: what has fired does not come again.
        (Daily("09:00"), "2026-11-22T09:00", "2026-11-21T08:30", False),
        (Cron("*/5 * * * *"), "2026-11-21T12:05", "2026-11-21T11:04", False),
        # By more than a day: it was wrong, and nobody waits for years.
        (Daily("09:00"), "2031-11-22T09:00", "2026-11-21T08:30", True),
        (Cron("*/5 * * * *"), "2026-11-23T12:05", "2026-11-21T11:04", True),
        (Once("2031-11-22T09:00"), "2031-11-22T09:00", "2026-11-21T08:30", False),
        # An interval is time that passes: it is never waited for longer.
        (Every("5m"), "2026-11-21T12:05", "2026-11-21T12:00", False),
        (Every("5m"), "2026-11-21T12:05", "2026-11-21T11:59:59", True),
    ],
    ids=str,
)
def test_a_clock_that_was_set_back(schedule: Schedule, planned: str, now: str, is_back: bool) -> None:
    assert schedule.set_back(parse_iso(planned), parse_iso(now), 0) is is_back
