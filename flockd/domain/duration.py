"""Durations as users write them: "250ms", "30s", "5m", "2h", "1d", ISO 8601 ("PT30S"), seconds, or a timedelta."""

from __future__ import annotations

import math
import re
from datetime import timedelta

_SHORT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ISO = re.compile(
    r"P(?:(?P<weeks>\d+(?:\.\d+)?)W)?(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def seconds(duration: str | float | timedelta) -> float:
    """The duration in seconds. Raises ValueError with a sentence for anything that is not a positive duration."""
    value = _seconds(duration)
    if not 0 < value < math.inf:
        raise ValueError(f"a duration must be longer than zero and have an end, not {duration!r}")
    return value


def _seconds(duration: str | float | timedelta) -> float:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        return float(duration)
    if isinstance(duration, str):
        if short := _SHORT.fullmatch(duration):
            return float(short[1]) * _UNIT_SECONDS[short[2]]
        iso = _ISO.fullmatch(duration)
        if iso and any(iso.groups()):
            return timedelta(
                **{unit: float(count) for unit, count in iso.groupdict().items() if count}
            ).total_seconds()
    raise ValueError(
        f'{duration!r} is not a duration: write "30s", "5m", "2h" or an ISO 8601 one such as "PT30S"'
    )
