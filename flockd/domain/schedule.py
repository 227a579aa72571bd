"""Schedules: at which moments a timer fires. All of it is pure; moments are milliseconds since the epoch.

The moments of `Every` are counted from an anchor and so never drift: the n-th is anchor + n·interval. Those of
`Daily` and `Cron` stand on the clock of a time zone. Where that clock is put forward over one of them, it comes at
the first moment after the gap; where it is put back, the first of the two counts. (A `Cron` whose minutes or hours
begin with `*` goes through such a night by its intervals, as cron does.)
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from flockd.domain.duration import seconds
from flockd.domain.moment import iso, parse_iso

Duration: TypeAlias = str | float | timedelta
CatchUp: TypeAlias = Literal["skip", "once"]
Overlap: TypeAlias = Literal["queue", "skip"]

DAY_MS = 86_400_000
INTERVAL_MIN_MS = 1_000
"""A shorter interval is a loop, and no schedule."""
INTERVAL_MAX_MS = 3_650 * DAY_MS
JITTER_MAX_MS = DAY_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000 = 253_402_300_800_000
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_UNITS = (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(ABC):
    """What the schedules of all kinds have in common. A wrong one raises ValueError with a sentence."""

    jitter: Duration | None = None
    """Each firing comes up to this much later, by chance, so that many do not come at once."""
    catch_up: CatchUp = "skip"
    """What becomes of moments that passed while no daemon ran: nothing, or one firing at the next start for all."""
    max_repeats: int | None = None
    """How often it fires at most; None: for ever. What is skipped does not count."""
    overlap: Overlap = "queue"
    """What becomes of a moment at which the workflow of the last firing is not over: another one, or nothing."""

    def __post_init__(self) -> None:
        if self.catch_up not in ("skip", "once"):
            raise ValueError(f'catch_up is "skip" or "once", not {self.catch_up!r}')
        if self.overlap not in ("queue", "skip"):
            raise ValueError(f'overlap is "queue" or "skip", not {self.overlap!r}')
        if self.max_repeats is not None and (type(self.max_repeats) is not int or self.max_repeats < 1):
            raise ValueError(f"max_repeats is a whole number from 1 on, not {self.max_repeats!r}")
        if self.jitter_ms > JITTER_MAX_MS:
            raise ValueError(f"a jitter is at most a day, not {self.jitter!r}")

    @abstractmethod
    def next_after(self, moment: int, anchor: int) -> int | None:
        """The first of its moments that is later than `moment`; None where there is none. `anchor`: when it began."""

    def first(self, anchor: int) -> int | None:
        """The moment that a timer waits for which begins at `anchor`; None where there is none."""
        return self.next_after(anchor, anchor)

    @abstractmethod
    def moments_text(self) -> str:
        """Its moments in words, the same for two schedules that have the same moments."""

    @property
    def text(self) -> str:
        """The whole schedule in words."""
        text = self.moments_text()
        if self.jitter_ms:
            text += f", up to {_duration_text(self.jitter_ms)} later"
        if self.catch_up == "once":
            text += ", catching up once"
        if self.max_repeats is not None:
            text += f", at most {self.max_repeats} times" if self.max_repeats > 1 else ", at most once"
        if self.overlap == "skip":
            text += ", skipped while the last one is not over"
        return text

    @property
    def jitter_ms(self) -> int:
        return 0 if self.jitter is None else _milliseconds(self.jitter)

    def delayed(self, planned: int, chance: float) -> int:
        """When a firing that is planned for then comes; `chance` is from 0 up to, but not, 1."""
        return planned + int(self.jitter_ms * chance)

    def set_back(self, planned: int, moment: int, anchor: int) -> bool:
        """Whether what is planned is so far ahead that the clock must have been set back since, and far.

        A moment that has fired does not come again when the clock is put back to before it. But by more than a
        day it was wrong, and nobody is to wait for it until then.
        """
        expected = self.next_after(moment, anchor)
        return expected is not None and planned - expected > DAY_MS


@dataclass(frozen=True, slots=True)
class Every(Schedule):
    """Again and again after an interval (`"5m"`, `"2h"`, …); the first time one interval after it was declared."""

    interval: Duration

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if not INTERVAL_MIN_MS <= self.interval_ms <= INTERVAL_MAX_MS:
            raise ValueError(f"an interval is from 1s to 3650d, not {self.interval!r}")
        if self.jitter_ms >= self.interval_ms:
            raise ValueError(f"the jitter {self.jitter!r} is not shorter than the interval {self.interval!r}")

    @property
    def interval_ms(self) -> int:
        return _milliseconds(self.interval)

    def next_after(self, moment: int, anchor: int) -> int:
        passed = max(0, (moment - anchor) // self.interval_ms)
        return anchor + (passed + 1) * self.interval_ms

    def moments_text(self) -> str:
        return f"every {_duration_text(self.interval_ms)}"

    def set_back(self, planned: int, moment: int, anchor: int) -> bool:
        """An interval is time that passes, whatever the clock says: none is waited for longer than that."""
        return planned - moment > self.interval_ms


@dataclass(frozen=True, slots=True)
class Cron(Schedule):
    """At the moments of a cron expression of five fields (or six: seconds first), by the clock of a time zone."""

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        zone(self.tz)
        if not isinstance(self.expression, str):
            raise ValueError(f'a cron expression is a text such as "*/5 * * * *", not {self.expression!r}')
        try:
            found = self.next_after(0, 0)
        except CronSimError as error:
            raise ValueError(f"{self.expression!r} is not a cron expression: {error}") from None
        if found is None:
            raise ValueError(f"the cron expression {self.expression!r} never comes")

    def next_after(self, moment: int, anchor: int) -> int | None:
        return _next_cron(self.expression, self.tz, moment)

    def moments_text(self) -> str:
        return f"cron {' '.join(self.expression.split())} ({self.tz})"


@dataclass(frozen=True, slots=True)
class Daily(Schedule):
    """Once a day, at this time ("09:00") of a time zone."""

    at: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if not _TIME.fullmatch(str(self.at)):
            raise ValueError(f'a time of day is written "09:00", not {self.at!r}')
        zone(self.tz)

    def next_after(self, moment: int, anchor: int) -> int | None:
        hour, minute = self.at.split(":")
        return _next_cron(f"{int(minute)} {int(hour)} * * *", self.tz, moment)

    def moments_text(self) -> str:
        return f"daily at {self.at} ({self.tz})"


@dataclass(frozen=True, slots=True)
class Once(Schedule):
    """At one moment: a datetime, or an ISO 8601 text; UTC, where it does not say otherwise."""

    at: datetime | str

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if self.max_repeats is not None:
            raise ValueError("Once fires once: it takes no max_repeats")
        try:
            stands = 0 <= self.moment < _YEAR_10000
        except (ValueError, TypeError, OverflowError):
            stands = False
        if not stands:
            raise ValueError(
                f'{self.at!r} is not a moment: give a datetime or a text such as "2026-11-21T09:00:00Z"'
            )

    @property
    def moment(self) -> int:
        return parse_iso(self.at.isoformat() if isinstance(self.at, datetime) else self.at)

    def next_after(self, moment: int, anchor: int) -> int | None:
        return self.moment if self.moment > moment else None

    def first(self, anchor: int) -> int:
        """Its moment, also when that is over: whether it is caught up with is for `catch_up`."""
        return self.moment

    def moments_text(self) -> str:
        return f"once at {iso(self.moment)}"


def zone(name: str) -> ZoneInfo:
    """The time zone of this name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise ValueError(
            f'{name!r} is not a time zone: give a name such as "Europe/Berlin" or "UTC"'
        ) from None


@lru_cache(maxsize=1024)
def _next_cron(expression: str, tz: str, moment: int) -> int | None:
    """The first moment of a cron expression after this one; None where none comes in 50 years.

    Raises CronSimError.
    """
    begin = (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone(tz))
    for found in CronSim(expression, begin):
        # In the hour that a clock goes through twice, the first of two equal times may be over.
        if (at := int((found - _EPOCH).total_seconds()) * 1000) > moment:
            return at
    return None


def _milliseconds(duration: Duration) -> int:
    return round(seconds(duration) * 1000)


def _duration_text(milliseconds: int) -> str:
    unit, length = next((unit, length) for unit, length in _UNITS if milliseconds % length == 0)
    return f"{milliseconds // length}{unit}"
