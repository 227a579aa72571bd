"""Priorities: words outside, small integers inside, so that the order of rows is the order of work."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """The class of a run; a smaller number starts first."""

    critical = 0
    """Starts before everything else that waits."""
    high = 1
    """Starts before normal work."""
    normal = 2
    """The default."""
    low = 3
    """Starts when nothing better waits, but for the one pick in sixteen that keeps it moving."""
