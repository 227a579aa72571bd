"""What running agents have written so far."""

from __future__ import annotations

from typing import Any

import orjson

from flockd.domain.event import Event, EventKind
from flockd.streams.live_text import RUN_CHARS, LiveTexts


def output(text: str, offset: int, *, run: str = "r1", fence: int = 1) -> Event:
    data = orjson.dumps({"text": text, "offset": offset, "attempt": 1, "fence": fence})
    return Event(0, EventKind.run_output, 1, "c1", "writer", run, data)


def so_far(texts: LiveTexts, run: str = "r1") -> Any:
    event = texts.so_far(run)
    return None if event is None else orjson.loads(event.data)


def taken(*events: Event) -> LiveTexts:
    texts = LiveTexts()
    for event in events:
        texts.take(event)
    return texts


def test_the_parts_are_one_text_from_offset_0() -> None:
    texts = taken(output("one ", 0), output("x", 0, run="r2"), output("two", 4))
    assert so_far(texts) == {"text": "one two", "offset": 0, "attempt": 1, "fence": 1}
    assert list(texts) == ["r1", "r2"]


def test_a_new_attempt_replaces_the_text() -> None:
    texts = taken(output("old", 0), output("new", 0, fence=2), output(" late", 3))
    assert so_far(texts)["text"] == "new"
    texts.take(output("later still", 0))
    assert so_far(texts)["text"] == "new"


def test_a_run_that_has_ended_is_forgotten() -> None:
    texts = taken(output("text", 0))
    texts.close("r1")
    texts.close("never wrote")
    texts.close(None)
    assert so_far(texts) is None
    assert len(texts) == 0
    texts.take(output("tail", 4))
    assert so_far(texts) is None


def test_a_long_text_loses_its_beginning_and_says_so() -> None:
    part = "é" * (RUN_CHARS // 4)
    texts = taken(*[output(part, index * len(part)) for index in range(6)])
    data = so_far(texts)
    assert data["text"] == part * 4
    assert data["offset"] == 2 * len(part)
