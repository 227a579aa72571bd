"""Where a stream begins, by what its client says of what it has seen."""

from __future__ import annotations

from typing import NamedTuple

from flockd.errors import InvalidInput
from flockd.streams.hub import Hub

LAST_EVENT_ID = "Last-Event-ID"
_DIGITS_MAX = 18
"""Every seq has fewer digits than a 64-bit number may have."""


class Start(NamedTuple):
    """The position to begin after."""

    position: int
    gap: bool = False
    """What the cursor names is not in the log: the reader is told so before it goes on."""


def start(hub: Hub, *, after: int | None, from_start: bool, last_event_id: str | None) -> Start:
    """The header wins over `after`, that over `from_start`; with none of them a stream begins now.

    Raises InvalidInput for a header that is no seq, and for an `after` from the future, which somebody made up. A
    header from the future is what a browser kept of another log, one that was replaced: it gets a gap and the head.
    """
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= _DIGITS_MAX):
            raise InvalidInput.field(LAST_EVENT_ID, f"{last_event_id!r} is not a seq of this log")
        position = int(last_event_id)
        if position > hub.head:
            return Start(hub.head, gap=True)
    elif after is not None:
        if after > hub.head:
            raise InvalidInput.field("after", f"{after} is in the future: the newest event is {hub.head}")
        position = after
    elif from_start:
        return Start(hub.complete_from - 1)
    else:
        return Start(hub.head)
    earliest = hub.complete_from - 1
    return Start(position) if position >= earliest else Start(earliest, gap=True)
