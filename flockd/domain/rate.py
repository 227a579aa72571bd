"""Rates: so many starts of an agent per period, whichever period of that length one looks at."""

from __future__ import annotations

from typing import NamedTuple

from flockd.domain.duration import seconds

_MOST = 10_000


class Rate(NamedTuple):
    """At most `starts` in any `period_ms`."""

    starts: int
    period_ms: int

    def document(self) -> dict[str, float]:
        """The wire form."""
        return {"starts": self.starts, "period_seconds": self.period_ms / 1000}


def parse_rate(text: str) -> Rate:
    """`"10/1m"`, `"5/s"`: a number of starts and a duration, whose 1 may be left out. Raises ValueError."""
    count, slash, period = text.partition("/")
    try:
        starts = int(count)
        period_ms = int(seconds(period if period[:1].isdigit() or period[:1] == "P" else f"1{period}") * 1000)
    except ValueError:
        raise ValueError(f'{text!r} is not a rate: write "10/1m", ten starts a minute') from None
    if not slash or not 1 <= starts <= _MOST:
        raise ValueError(f"a rate has 1 to {_MOST} starts per period, not {text!r}")
    return Rate(starts, period_ms)
