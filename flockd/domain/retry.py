"""Whether a failure is tried again, and after how long: exponential backoff with full jitter."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from flockd.errors import AgentFailed

NEVER = math.inf
"""A pause that has no end: what fails so is not tried again."""


class NonRetryableError(Exception):
    """Raised by an agent where trying again cannot help: its run is dead at once, whatever retries are left.

    It says why by its own words, else by those of what it is raised from.
    """

    def __str__(self) -> str:
        if self.args or self.__cause__ is None:
            return super().__str__()
        return f"{type(self.__cause__).__name__}: {self.__cause__}"


def meant(error: BaseException) -> BaseException:
    """What a failure comes down to: of several at once, as a TaskGroup raises them, one that no retry can help.

    One in a group of its own is meant without the group, whatever it is.
    """
    together = [error]
    while together:
        one = together.pop()
        if isinstance(one, NonRetryableError):
            return one
        if isinstance(one, BaseExceptionGroup):
            together.extend(reversed(one.exceptions))
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def kinds_of(error: BaseException) -> list[str]:
    """What a failure is called in the `backoff` of an agent, the most particular word first."""
    if not isinstance(error, AgentFailed):
        return [cls.__name__ for cls in type(error).__mro__]
    kinds = [] if error.kind is None else [error.kind]
    return [*kinds, NonRetryableError.__name__] if error.is_final else kinds


def first_pause_seconds(kinds: Sequence[str], backoff: Mapping[str, float], default: float) -> float:
    """The pause before the first retry of a failure of these kinds; NEVER where it is not tried again.

    What the agent says of a kind holds, for a NonRetryableError, too; "*" is not said of that one.
    """
    pauses = {NonRetryableError.__name__: NEVER, **backoff}
    return next((pauses[kind] for kind in (*kinds, "*") if kind in pauses), default)


def delay_seconds(
    failures: int, base_seconds: float, max_seconds: float, *, rng: random.Random | None = None
) -> float:
    """How long to wait after the n-th failure in a row (counted from 1).

    Between half and the whole of `base * 2**(n-1)`, capped: late enough to help, spread enough that runs which failed
    together do not come back together.
    """
    ceiling = min(max_seconds, base_seconds * float(2 ** min(failures - 1, 32)))
    return ceiling * (0.5 + 0.5 * (rng or random).random())
