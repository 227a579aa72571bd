"""What a group loads of what ANDs hold: of each agent and type the oldest, so that no surplus costs anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from flockd.domain.identity import id_bytes, id_text
from flockd.store import slots
from flockd.store.records import Held
from flockd.store.rows import HELD_COLUMNS, held_from
from flockd.store.slots import Slots
from flockd.store.state import State

OLDEST_HELD = (
    "WITH RECURSIVE holding(c, a) AS ("
    "SELECT column1, (SELECT min(agent) FROM slots WHERE correlation = column1) FROM (VALUES {}) UNION "
    "SELECT c, (SELECT min(agent) FROM slots WHERE correlation = c AND agent > a) FROM holding WHERE a IS NOT NULL), "
    "slot(c, a, t) AS ("
    "SELECT c, a, (SELECT min(type) FROM slots WHERE correlation = c AND agent = a) FROM holding WHERE a IS NOT NULL "
    "UNION ALL SELECT c, a, (SELECT min(type) FROM slots WHERE correlation = c AND agent = a AND type > t) "
    "FROM slot WHERE t IS NOT NULL) "
    f"SELECT {HELD_COLUMNS} FROM slot CROSS JOIN slots ON correlation = c AND agent = a AND type = t AND seq IN "
    "(SELECT seq FROM slots WHERE correlation = c AND agent = a AND type = t ORDER BY seq LIMIT ?)"
)
"""Of these correlations, for each agent and type. A correlation may be named more than once."""
_NEXT_HELD = (
    f"SELECT {HELD_COLUMNS} FROM slots WHERE correlation = ? AND agent = ? AND type = ? AND seq > ? "
    "ORDER BY seq LIMIT ?"
)
_ALL_HELD = f"SELECT {HELD_COLUMNS} FROM slots WHERE correlation IN ({{}}) LIMIT ?"
_CORRELATIONS_MOST = 512
"""Of one statement; a power of two."""
FEW = 4
"""What most correlations do not hold more of: so much of each of them, and a window, is read whole."""


def load_slots(connection: sqlite3.Connection, state: State, correlations: Sequence[bytes]) -> None:
    """The oldest of what these hold; the last of them is repeated up to a power of two, so that few texts are made."""
    for start in range(0, len(correlations), _CORRELATIONS_MOST):
        chunk = correlations[start : start + _CORRELATIONS_MOST]
        size = 1 << (len(chunk) - 1).bit_length()
        values = [*chunk, *[chunk[-1]] * (size - len(chunk))]
        few, window = slots.WINDOW + FEW * size, None
        rows = connection.execute(_ALL_HELD.format(", ".join("?" * size)), [*values, few]).fetchall()
        if len(rows) == few:  # perhaps there are more
            window = slots.WINDOW
            rows = connection.execute(
                OLDEST_HELD.format(", ".join(["(?)"] * size)), [*values, window]
            ).fetchall()
        by_correlation: dict[bytes, list[Held]] = {}
        for row in sorted(rows):
            by_correlation.setdefault(row[0], []).append(held_from(row))
        for correlation, held in by_correlation.items():
            state.held[id_text(correlation)] = found = Slots()
            found.load(held, window)


def fetch_held(
    connection: sqlite3.Connection, state: State, correlation_id: str, slot: tuple[str, str], count: int
) -> None:
    """More of what an agent holds of a type, at least so many where there are, in the middle of a group; what the group
    has done to them stands."""
    known = state.held[correlation_id][slot]
    most = max(count, slots.WINDOW)
    rows = connection.execute(_NEXT_HELD, (id_bytes(correlation_id), *slot, known.last, most))
    held = [held_from(row) for row in rows]
    known.extend(held, is_whole=len(held) < most)
