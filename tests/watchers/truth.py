"""The truth: the log as it is on disk, read with SQL of its own, and told as the streams ought to tell it.

Nothing here is of flockd's making but the file. So a stream that leaves something out for everybody is found, too.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from .filters import Json

_LOG = """
SELECT e.seq, e.kind, e.at, e.correlation, e.agent, e.run, e.data,
       a.id, a.type, a.payload, a.producer, a.run, a.visibility, a.visible_to, a.created_at, a.correlation,
       a.partition_key, a.tags, a.version
FROM events e LEFT JOIN artifacts a ON a.seq = e.artifact ORDER BY e.seq
"""


class Logged(NamedTuple):
    """One committed event. `event` is what a watcher must be told, `payload` its artifact's, however large."""

    event: Json
    payload: Json | None

    @property
    def seq(self) -> int:
        return int(self.event["seq"])


def read_log(file: Path, inline_bytes: int) -> Iterator[Logged]:
    """The committed log in order. Payloads over `inline_bytes` are not in the event, as `streams.inline_bytes` says."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        for row in connection.execute(_LOG):
            yield _logged(row, inline_bytes)


def _logged(row: tuple[Any, ...], inline_bytes: int) -> Logged:
    seq, kind, at, correlation, agent, run, data, *carried = row
    payload = None if carried[0] is None else orjson.loads(carried[2])
    event = {
        "seq": seq,
        "kind": kind,
        "at": _iso(at),
        "correlation_id": _id(correlation),
        "agent": agent,
        "run_id": _id(run),
        "artifact": None if payload is None else _artifact(seq, carried, payload, inline_bytes),
        "data": orjson.loads(data),
    }
    return Logged(event, payload)


def _artifact(seq: int, carried: list[Any], payload: Json, inline_bytes: int) -> Json:
    (id, type, stored, producer, run, visibility, visible_to, created_at, correlation, key, tags, version) = (
        carried
    )
    told: Json = {
        "id": _id(id),
        "seq": seq,
        "type": type,
        "payload": payload,
        "produced_by": producer,
        "run_id": _id(run),
        "visibility": {"kind": "Public"} if visible_to is None else orjson.loads(visible_to),
        "visibility_kind": visibility,
        "created_at": _iso(created_at),
        "correlation_id": _id(correlation),
        "partition_key": key,
        "tags": orjson.loads(tags) if tags else [],
        "version": version,
    }
    if len(stored) > inline_bytes:
        told |= {
            "payload": None,
            "payload_size": len(stored),
            "payload_href": f"/api/v1/artifacts/{told['id']}",
        }
    return told


def _id(stored: bytes | None) -> str | None:
    return None if stored is None else str(uuid.UUID(bytes=stored))


def _iso(moment: int) -> str:
    return (
        datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
