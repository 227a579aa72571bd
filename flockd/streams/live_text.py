"""What running agents have written so far, for those who join while they write."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from flockd.domain.event import Event, EventKind

_CLOSED = frozenset(
    {
        EventKind.run_completed,
        EventKind.run_failed,
        EventKind.run_cancelled,
        EventKind.run_retrying,
        EventKind.run_waiting,
    }
)


class LiveTexts:
    """The text of each attempt that runs now; past `run_bytes` of it, late joiners get only what follows."""

    def __init__(self, run_bytes: int) -> None:
        self._run_bytes = run_bytes
        self._latest: dict[str, Event] = {}
        self._texts: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def take(self, event: Event) -> None:
        """One `run.output`."""
        run_id = event.run_id or ""
        data = orjson.loads(event.data)
        if data["offset"] == 0:
            self._texts[run_id], self._sizes[run_id] = [], 0
        if run_id not in self._texts:
            return
        self._latest[run_id] = event
        self._texts[run_id].append(data["text"])
        self._sizes[run_id] += len(data["text"])
        if self._sizes[run_id] > self._run_bytes:
            self._forget(run_id)

    def close(self, event: Event) -> None:
        """An event of the log: the attempt that it ends is forgotten."""
        if event.kind in _CLOSED and event.run_id in self._texts:
            self._forget(event.run_id or "")

    def so_far(self) -> Iterator[Event]:
        """For each run that writes: one `run.output` at offset 0 with all of it."""
        for run_id, latest in self._latest.items():
            data = orjson.loads(latest.data) | {"text": "".join(self._texts[run_id]), "offset": 0}
            yield latest._replace(data=orjson.dumps(data))

    def _forget(self, run_id: str) -> None:
        for known in (self._latest, self._texts, self._sizes):
            known.pop(run_id, None)
