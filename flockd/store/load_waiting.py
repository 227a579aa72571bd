"""What a group loads of what waits outside of the queue: hidden artifacts, and pools."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from flockd.domain.agent import Agents
from flockd.domain.gathering import BATCH_MOST, BatchSpec
from flockd.domain.identity import id_bytes, id_text
from flockd.store.command import DUE_PAGE
from flockd.store.pool import Pool
from flockd.store.records import Hidden, Pooled, PoolKey
from flockd.store.rows import HIDDEN_COLUMNS, POOL_COLUMNS, hidden_from, pooled_from
from flockd.store.state import State

ALL_OF = (
    "correlation IN (SELECT ?1 UNION ALL "
    "SELECT correlation FROM batch_items WHERE batch = ?1 AND state = 'running')"
)
"""Of a correlation, or of the items of a batch that are in flight."""

_HIDDEN = f"SELECT {HIDDEN_COLUMNS} FROM hidden WHERE seq IN (SELECT value FROM json_each(?))"
_COUNTED = (
    f"SELECT correlation, count(*) FROM hidden INDEXED BY hidden_by_correlation WHERE {ALL_OF} GROUP BY correlation "
    "UNION ALL "
    f"SELECT correlation, count(*) FROM pools INDEXED BY pools_by_correlation WHERE {ALL_OF} GROUP BY correlation"
)
"""What is hidden, and what is in pools."""
_DUE = f"SELECT {POOL_COLUMNS} FROM pools INDEXED BY pools_due WHERE due_at <= ? ORDER BY due_at LIMIT ?"
_POOLED = ", ".join(f"p.{name}" for name in POOL_COLUMNS.split(", "))
_SAME = "tenant = w.tenant AND agent = w.agent AND key = w.key"
_IN_POOLS = (
    "WITH wanted AS MATERIALIZED (SELECT value ->> 0 AS tenant, value ->> 1 AS agent, value ->> 2 AS key, "
    f"value ->> 3 AS {{fourth}} FROM json_each(?)) SELECT {_POOLED} "
    "FROM wanted w CROSS JOIN pools p ON p.tenant = w.tenant AND p.agent = w.agent AND p.key = w.key AND "
)
"""What is in many pools, one after the other; they are a JSON list of (tenant, agent, key, and for some a fourth)."""
_OLDEST_OF_TYPE = (
    _IN_POOLS.format(fourth="type") + "p.type = w.type AND p.seq IN "
    f"(SELECT seq FROM pools WHERE {_SAME} AND type = w.type ORDER BY seq LIMIT ?)"
)
_OLDEST_OF_FULL = (
    _IN_POOLS.format(fourth="least")
    + f"w.least <= (SELECT count(*) FROM pools WHERE {_SAME}) AND (p.type, p.seq) IN "
    f"(SELECT type, seq FROM pools WHERE {_SAME} ORDER BY seq LIMIT ?)"
)
_OF_BATCHES = _IN_POOLS.format(fourth="none") + "p.is_batch LIMIT ?"
_OF_CORRELATIONS = _IN_POOLS.format(fourth="none") + "hex(p.correlation) IN (SELECT value FROM json_each(?))"
_BATCHES_MOST = DUE_PAGE + BATCH_MOST
"""Artifacts that are read for the batches of one page. Where the last batch is cut off, those before it are a page: it
has fewer than BATCH_MOST."""


def load_hidden(connection: sqlite3.Connection, state: State, seqs: Iterable[int]) -> None:
    """Those of these artifacts that are hidden."""
    if wanted := list(seqs):
        for one in map(hidden_from, connection.execute(_HIDDEN, (_json(wanted),))):
            state.hidden[one.seq] = one


def load_pools(
    connection: sqlite3.Connection,
    state: State,
    wanted: Mapping[PoolKey, int],
    all_of: Iterable[str],
    due_before: int | None,
) -> None:
    """Of pools what so many runs may take, and a page of what is due.

    `all_of`: correlations of which all may be withdrawn. It is counted; loaded is what of it is in those pools, and so
    others beside it.
    """
    for correlation_id in all_of:
        counted: Counter[str] = Counter()
        for one, n in connection.execute(_COUNTED, (id_bytes(correlation_id),)):
            counted[id_text(one)] += n
        state.unloaded |= counted
    in_hand: dict[Pooled, None] = {}
    if due_before is not None:
        in_hand.update(dict.fromkeys(_due(connection, state, due_before)))
    if wanted:
        in_hand.update(dict.fromkeys(_of_correlations(connection, wanted, state.unloaded)))
        in_hand.update(dict.fromkeys(_oldest(connection, state.agents, wanted, in_hand, only_full=True)))
    _put(state, in_hand)
    _discount(state, [*state.hidden.values(), *in_hand])


def _discount(state: State, loaded: Iterable[Hidden | Pooled]) -> None:
    if state.unloaded:
        for one in loaded:
            if one.correlation_id in state.unloaded:
                state.unloaded[one.correlation_id] -= 1


def _of_correlations(
    connection: sqlite3.Connection, pools: Iterable[PoolKey], correlations: Collection[str]
) -> Iterator[Pooled]:
    """What of these correlations is in these pools."""
    if correlations:
        values = (
            _json([[*pool] for pool in pools]),
            _json([id_bytes(one).hex().upper() for one in correlations]),
        )
        yield from map(pooled_from, connection.execute(_OF_CORRELATIONS, values))


def load_more_of_pools(
    connection: sqlite3.Connection, state: State, wanted: Sequence[PoolKey]
) -> list[Pooled]:
    """What one more run may take of each of these, in the middle of a group; what that has done to them stands.

    Answers what was not there before.
    """
    named = set(wanted)
    in_hand = [one for one in state.unpooled if one.pool in named]
    in_hand += [one for pool in named for one in state.pools.get(pool, ())]
    in_hand += _of_correlations(connection, named, state.withdrawn)
    known = {(one.agent, one.seq) for one in in_hand}
    oldest = dict.fromkeys(_oldest(connection, state.agents, Counter(wanted), in_hand, only_full=False))
    found = [one for one in oldest if (one.agent, one.seq) not in known]
    _put(state, found)
    _discount(state, found)
    return found


def _put(state: State, found: Iterable[Pooled]) -> None:
    by_pool: dict[PoolKey, list[Pooled]] = defaultdict(list)
    for one in found:
        by_pool[one.pool].append(one)
    for pool, held in by_pool.items():
        state.pools[pool] = Pool([*state.pools.get(pool, ()), *held])


def _due(connection: sqlite3.Connection, state: State, moment: int) -> list[Pooled]:
    """A page of what has waited for its whole time; with what is due of a batch comes all that waits there.

    As many whole batches come as make a page: the others are for the next one.
    """
    page = list(map(pooled_from, connection.execute(_DUE, (moment, DUE_PAGE))))
    batches = dict.fromkeys(one.pool for one in page if one.is_batch)
    found = _whole(connection, batches)
    taken = {one.pool for one in found}
    due = [one for one in page if not one.is_batch or one.pool in taken]
    state.due_in_pools += due
    state.more_is_due = len(page) == DUE_PAGE or len(due) < len(page)
    return [*found, *due]


def _whole(connection: sqlite3.Connection, batches: Mapping[PoolKey, None]) -> list[Pooled]:
    """All that waits of the first of these batches, so many of them that it is a page."""
    if not batches:
        return []
    rows = connection.execute(_OF_BATCHES, (_json([[*pool] for pool in batches]), _BATCHES_MOST))
    by_pool: dict[PoolKey, list[Pooled]] = defaultdict(list)
    for one in map(pooled_from, rows):
        by_pool[one.pool].append(one)
    whole: list[Pooled] = []
    for held in by_pool.values():
        if len(whole) < DUE_PAGE:
            whole += held
    return whole


def _oldest(
    connection: sqlite3.Connection,
    agents: Agents,
    wanted: Mapping[PoolKey, int],
    in_hand: Collection[Pooled],
    *,
    only_full: bool,
) -> Iterator[Pooled]:
    """So many of the oldest that each of so many runs finds its inputs, even where others of the group take all that is
    in hand; with `only_full` nothing of a batch that stays incomplete with one more for each of the runs.

    One statement for all that are limited alike, rounded up to a power of two.
    """
    of_type = Counter((one.pool, one.type) for one in in_hand)
    of_any = Counter(one.pool for one in in_hand)
    alike: dict[tuple[str, int], list[list[str | int]]] = defaultdict(list)
    for pool, runs in wanted.items():
        subscription = agents[pool.agent].subscription
        if isinstance(subscription.gathering, BatchSpec):  # of types that are not declared any more, too
            size = subscription.gathering.size
            least = size - runs if only_full else 0
            alike[_OLDEST_OF_FULL, _rounded(size * runs + of_any[pool])].append([*pool, least])
        else:
            for name, needed in subscription.needed.items():
                most = needed * runs + of_type[pool, name]
                alike[_OLDEST_OF_TYPE, _rounded(most)].append([*pool, name])
    for (sql, most), pools in alike.items():
        yield from map(pooled_from, connection.execute(sql, (_json(pools), most)))


def _rounded(most: int) -> int:
    return 1 << (most - 1).bit_length()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
