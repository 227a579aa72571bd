"""Retry delays."""

import random

from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.retry import delay_seconds


class Fixed(random.Random):
    """Always the same draw."""

    def __init__(self, draw: float) -> None:
        super().__init__()
        self.draw = draw

    def random(self) -> float:
        return self.draw


def test_delays_double_up_to_the_most() -> None:
    highest = [delay_seconds(failures, 1.0, 10.0, rng=Fixed(1.0)) for failures in range(1, 7)]
    assert highest == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_jitter_takes_at_most_half() -> None:
    assert [delay_seconds(2, 1.0, 10.0, rng=Fixed(draw)) for draw in (0.0, 0.5, 1.0)] == [1.0, 1.5, 2.0]


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0.001, 1000))
def test_a_delay_stays_between_half_and_all_of_its_ceiling(failures: int, base: float, most: float) -> None:
    ceiling = min(most, base * 2.0 ** min(failures - 1, 32))
    assert ceiling / 2 <= delay_seconds(failures, base, most) <= ceiling
