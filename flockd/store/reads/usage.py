"""Reads of what calls of language models took, and of the ledgers of budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.budget import Ledger, LedgerKey
from flockd.domain.identity import id_bytes, parse_id
from flockd.domain.moment import HOUR_MS
from flockd.domain.usage import Usage
from flockd.store.load_accounts import ledger_sum, stored_ledgers, summed
from flockd.store.reads.base import PAGE_MAX, NounReads
from flockd.store.reads.walk import Condition, joined
from flockd.store.rows import LEDGER_COLUMNS, ledger_from

_FOREVER = HOUR_MS * 10**12
"""After every moment; a whole hour."""
_TAKEN = "agent, model, requests, input_tokens, output_tokens, cost, ms, unpriced, estimated"
_TAKEN_BY_EACH = (
    "agent, model, requests, input_tokens, output_tokens, cost, ms, "
    "requests * (cost_most IS NULL) AS unpriced, requests * estimated AS estimated"
)
"""The same of a call."""


class UsageFilter(NamedTuple):
    """Which calls are meant: settled ones, by the moment in which they began."""

    agent: str | None = None
    model: str | None = None
    correlation_id: str | None = None
    began_from: int | None = None
    began_to: int | None = None
    """Inclusive."""


class ModelUsage(NamedTuple):
    """What calls of one model by one agent took."""

    agent: str
    model: str
    usage: Usage


class UsageReads(NounReads):
    async def usage(self, wanted: UsageFilter) -> list[ModelUsage]:
        """What calls took, by agent and model; exact to the millisecond.

        Whole hours are read from their sums, what is before and after them from the calls; so are those of one
        correlation.
        """
        sources = _sources(wanted)
        found = [
            Condition(f"{column} = ?", (value,))
            for column, value in (("agent", wanted.agent), ("model", wanted.model))
            if value is not None
        ]
        where, more = joined(found or [Condition("true", ())])
        rows = await self._rows(
            "SELECT agent, model, sum(requests), sum(input_tokens), sum(output_tokens), sum(cost), sum(ms), "
            "sum(unpriced), sum(estimated) "
            f"FROM ({' UNION ALL '.join(source.sql for source in sources)}) WHERE {where} "
            "GROUP BY agent, model HAVING sum(requests) > 0 ORDER BY agent, model",
            (*(value for source in sources for value in source.parameters), *more),
        )
        return [ModelUsage(row[0], row[1], Usage(*row[2:])) for row in rows]

    async def ledgers(self, keys: Sequence[LedgerKey]) -> list[Ledger]:
        """What these ledgers say, in this order; where one is not kept yet, what it would. At most a page of them."""
        stored = await self._rows(*stored_ledgers(keys)) if keys else []
        found = {ledger.key: ledger for ledger in map(ledger_from, stored)}
        for key in keys:
            if key not in found:
                (row,) = await self._rows(*ledger_sum(key))
                found[key] = Ledger(key, *summed(row))
        return [found[key] for key in keys]

    async def ledger_rules(self) -> bytes | None:
        """The digest of the rules under which ledgers are kept; None at the first start."""
        row = await self._row("SELECT digest FROM ledger_rules")
        return None if row is None else row[0]

    async def ledgers_over(self, moment: int) -> list[LedgerKey]:
        """Ledgers, at most 500, whose windows have ended by this moment, or whose runs or workflows have."""
        rows = await self._rows(
            f"SELECT {LEDGER_COLUMNS} FROM (SELECT * FROM ledgers INDEXED BY ledgers_over "
            "WHERE ends_at <= ? LIMIT ?) UNION ALL "
            f"SELECT {LEDGER_COLUMNS} FROM (SELECT * FROM ledgers WHERE scope = 'run' AND NOT EXISTS "
            "(SELECT 1 FROM runs WHERE id = subject AND state IN ('ready', 'running', 'waiting')) LIMIT ?) UNION ALL "
            f"SELECT {LEDGER_COLUMNS} FROM (SELECT * FROM ledgers WHERE scope = 'correlation' AND NOT EXISTS "
            "(SELECT 1 FROM correlations WHERE id = subject AND state = 'active') LIMIT ?) LIMIT ?",
            (moment, *[PAGE_MAX] * 4),
        )
        return list(dict.fromkeys(ledger_from(row).key for row in rows))

    async def refused(self) -> dict[str, int]:
        """How many calls did not fit into a budget, by its scope."""
        rows = await self._rows(
            "SELECT a, n FROM counters WHERE tenant = ? AND kind = 'refused'", (DEFAULT_TENANT,)
        )
        return {row[0]: row[1] for row in rows}

    async def refusal(self, correlation_id: str, run_id: str) -> dict[str, Any] | None:
        """The data of the latest `budget.exceeded` of a run."""
        row = await self._row(
            "SELECT data FROM events INDEXED BY events_by_correlation "
            "WHERE correlation = ? AND run = ? AND kind = 'budget.exceeded' ORDER BY seq DESC LIMIT 1",
            (id_bytes(correlation_id), id_bytes(run_id)),
        )
        return None if row is None else orjson.loads(row[0])


def _sources(wanted: UsageFilter) -> list[Condition]:
    """SELECTs whose rows together are what is wanted, but for agent and model, each with its parameters."""
    began, ended = max(0, wanted.began_from or 0), _FOREVER
    if wanted.began_to is not None:
        ended = wanted.began_to + 1
    if wanted.correlation_id is not None:
        correlation = parse_id(wanted.correlation_id)
        return [
            Condition(
                f"SELECT {_TAKEN_BY_EACH} FROM calls INDEXED BY calls_by_correlation WHERE tenant = ? "
                "AND correlation = ? AND requests > 0 AND began_at >= ? AND began_at < ?",
                (DEFAULT_TENANT, None if correlation is None else id_bytes(correlation), began, ended),
            )
        ]
    if wanted.began_from is None and wanted.began_to is None:
        return [Condition(f"SELECT {_TAKEN} FROM usage WHERE tenant = ?", (DEFAULT_TENANT,))]
    first, last = -(-began // HOUR_MS) * HOUR_MS, ended // HOUR_MS * HOUR_MS
    if first >= last:
        return [_calls_of(began, ended)]
    hours = Condition(
        f"SELECT {_TAKEN} FROM usage_hours WHERE tenant = ? AND hour >= ? AND hour < ?",
        (DEFAULT_TENANT, first, last),
    )
    return [_calls_of(began, first), hours, _calls_of(last, ended)]


def _calls_of(began: int, ended: int) -> Condition:
    """The settled calls that began in a part of an hour, or of two."""
    return Condition(
        f"SELECT {_TAKEN_BY_EACH} FROM calls INDEXED BY calls_by_moment WHERE tenant = ? AND began_at >= ? "
        "AND began_at < ? AND requests > 0",
        (DEFAULT_TENANT, began, ended),
    )
