"""What running agents have written so far, for those who join while they write."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import orjson

from flockd.domain.event import Event, EventKind

RUN_CHARS = 64 * 1024
"""Text kept of one run. Past it the oldest goes, and the offset of what is sent shows that it is missing."""

CLOSING = frozenset(
    {
        EventKind.run_completed,
        EventKind.run_failed,
        EventKind.run_cancelled,
        EventKind.run_retrying,
        EventKind.run_waiting,
    }
)
"""The kinds of the log after which an attempt writes no more."""


class _Text:
    """The end of what one attempt wrote."""

    __slots__ = ("chars", "fence", "offset", "parts")

    def __init__(self, fence: int) -> None:
        self.fence = fence
        self.offset = 0
        """Code points that were written before the first part that is kept."""
        self.parts: deque[tuple[Event, str]] = deque()
        self.chars = 0


class LiveTexts:
    """The text of each run that writes now, fed in the order in which things happened."""

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}

    def __iter__(self) -> Iterator[str]:
        """The ids of the runs that have written something."""
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, event: Event) -> None:
        """One `run.output`. What an attempt writes that was superseded, or began before this process, is left out."""
        data: dict[str, Any] = orjson.loads(event.data)
        run_id = event.run_id or ""
        known = self._texts.get(run_id)
        if data["offset"] == 0 and (known is None or data["fence"] >= known.fence):
            known = self._texts[run_id] = _Text(data["fence"])
        if known is None or data["fence"] != known.fence:
            return
        known.parts.append((event, data["text"]))
        known.chars += len(data["text"])
        while known.chars > RUN_CHARS and len(known.parts) > 1:
            _, dropped = known.parts.popleft()
            known.chars -= len(dropped)
            known.offset += len(dropped)

    def close(self, run_id: str | None) -> None:
        """The run's attempt has ended: its outcome is in the log now."""
        self._texts.pop(run_id or "", None)

    def clear(self) -> None:
        """The board was emptied."""
        self._texts.clear()

    def so_far(self, run_id: str) -> Event | None:
        """One `run.output` with all that is kept of a run; None where it writes no more."""
        known = self._texts.get(run_id)
        if known is None:
            return None
        latest, _ = known.parts[-1]
        text = "".join(part for _, part in known.parts)
        data = orjson.loads(latest.data) | {"text": text, "offset": known.offset}
        return latest._replace(data=orjson.dumps(data))
