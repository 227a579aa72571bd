"""Moments on the wire and back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockd.domain.moment import iso, now_ms, parse_iso


def test_the_wire_form_is_utc_with_milliseconds() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_795_219_200_007) == "2026-11-21T00:00:00.007Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.0015Z", 2),
        ("1970-01-01T00:00:00.001999Z", 2),
    ],
)
def test_a_time_is_read_and_a_naive_one_is_utc(text: str, moment: int) -> None:
    assert parse_iso(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-01-01T25:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)


@given(st.integers(0, 253_402_300_799_999))
def test_the_wire_form_is_read_back(moment: int) -> None:
    assert parse_iso(iso(moment)) == moment


def test_now_is_the_wall_clock() -> None:
    before = int(datetime.now(UTC).timestamp() * 1000)
    assert before <= now_ms() <= int(datetime.now(UTC).timestamp() * 1000) + 1
