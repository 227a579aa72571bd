"""Fan-out: how many artifacts a run may publish where it returns a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flockd.engines.base import Output
from flockd.errors import AgentFailed


@dataclass(frozen=True, slots=True)
class FanOut:
    """From `min` to `max` artifacts; without a `max`, as many as a run may publish at all. Raises ValueError."""

    min: int = 0
    max: int | None = None

    def __post_init__(self) -> None:
        for name, count in (("min", self.min), ("max", self.max)):
            if count is not None and (type(count) is not int or count < 0):
                raise ValueError(f"{name} is {count!r}: give it a whole number, 0 or more")
        if self.max is not None and self.max < max(self.min, 1):
            raise ValueError(
                f"max is {self.max}: give it a number that is not below min ({self.min}), 1 or more"
            )

    def check(self, agent: str, outputs: Sequence[Output], lists: Iterable[tuple[str, ...]]) -> None:
        """Raises AgentFailed where a list has too few artifacts or too many; each of `lists` is its types."""
        for types in lists:
            count = sum(output.type in types for output in outputs)
            if count < self.min or (self.max is not None and count > self.max):
                raise AgentFailed(
                    f"agent {agent} returned {count} of {' or '.join(types)}, and its fan_out is {self}"
                )

    def __str__(self) -> str:
        if self.max is None:
            return f"{self.min} or more"
        return f"{self.min}" if self.min == self.max else f"{self.min} to {self.max}"
