"""Where a stream begins."""

from __future__ import annotations

import pytest

from flockd.errors import InvalidInput
from flockd.streams.cursor import Start, start
from flockd.streams.hub import Hub

HUB = Hub(ring_bytes=1000, inline_bytes=10, head=20, log_id="l", complete_from=11)
"""Of a log from 11 to 20."""


@pytest.mark.parametrize(
    ("after", "from_start", "last_event_id", "expected"),
    [
        (None, False, None, Start(20)),
        (None, True, None, Start(10)),
        (15, False, None, Start(15)),
        (15, True, None, Start(15)),
        (15, True, "17", Start(17)),
        (15, False, "", Start(15)),
        (20, False, None, Start(20)),
        (10, False, None, Start(10)),
        (9, False, None, Start(10, gap=True)),
        (0, False, None, Start(10, gap=True)),
        (None, False, "3", Start(10, gap=True)),
        (None, False, "21", Start(20, gap=True)),
    ],
)
def test_start(after: int | None, from_start: bool, last_event_id: str | None, expected: Start) -> None:
    assert start(HUB, after=after, from_start=from_start, last_event_id=last_event_id) == expected


@pytest.mark.parametrize("last_event_id", ["x", "-1", "1.5", "٣", "1" * 19, "0x1", " 1"])
def test_a_header_that_is_no_seq_is_refused(last_event_id: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        start(HUB, after=None, from_start=False, last_event_id=last_event_id)
    assert raised.value.details is not None
    assert raised.value.details["field"] == "Last-Event-ID"


def test_after_from_the_future_is_refused_with_the_head() -> None:
    with pytest.raises(InvalidInput, match="21 is in the future: the newest event is 20"):
        start(HUB, after=21, from_start=False, last_event_id=None)
