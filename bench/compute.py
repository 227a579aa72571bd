"""Work for one core."""

import time


def compute_for(seconds: float) -> int:
    """Pure Python arithmetic for so long, holding the interpreter's lock when it can. Gives its rounds."""
    until = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < until:
        sum(range(1_000))
        rounds += 1
    return rounds
