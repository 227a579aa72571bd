"""Retry delays: exponential backoff with full jitter."""

from __future__ import annotations

import random


def delay_seconds(
    failures: int, base_seconds: float, max_seconds: float, *, rng: random.Random | None = None
) -> float:
    """How long to wait after the n-th failure in a row (counted from 1).

    Between half and the whole of `base * 2**(n-1)`, capped: late enough to help, spread enough that runs which failed
    together do not come back together.
    """
    ceiling = min(max_seconds, base_seconds * float(2 ** min(failures - 1, 32)))
    return ceiling * (0.5 + 0.5 * (rng or random).random())
