"""Durations as users write them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.duration import seconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        (" 30 s ", 30.0),
        ("PT30S", 30.0),
        ("PT1H30M", 5400.0),
        ("P1DT0.5S", 86400.5),
        ("P2W", 14 * 86400.0),
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_what_is_a_duration(written: Any, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize(
    "written",
    ["", "soon", "30", "30 seconds", "1h30m", "-5s", "P", "PT", "PT5", "1e3s", "5M", True, None, []],
)
def test_what_is_none(written: Any) -> None:
    with pytest.raises(ValueError) as refused:
        seconds(written)
    assert str(refused.value) == (
        f'{written!r} is not a duration: write "30s", "5m", "2h" or an ISO 8601 one such as "PT30S"'
    )


@pytest.mark.parametrize("written", ["0s", 0, -1, timedelta(0), "PT0S"])
def test_a_duration_is_longer_than_zero(written: Any) -> None:
    with pytest.raises(ValueError, match="a duration must be longer than zero"):
        seconds(written)


@given(
    st.integers(1, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])
)
def test_every_unit_counts(count: int, unit: tuple[str, float]) -> None:
    assert seconds(f"{count}{unit[0]}") == pytest.approx(count * unit[1])
