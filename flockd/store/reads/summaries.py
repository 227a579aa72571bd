"""Figures over artifacts and over an agent's past, each from one statement and so from one snapshot.

The maintained counts answer where they can. What they do not know is worked out over `count_max` rows, and
says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import orjson

from flockd.domain.moment import HOUR_MS, iso
from flockd.store.reads.artifacts import ArtifactReads, counter_conditions
from flockd.store.reads.walk import ArtifactFilter, Condition, Walk, bounds, conditions, joined, walk
from flockd.store.state import hour

_NOTHING = Walk("SELECT NULL AS seq WHERE 0", ())
"""The walk of a filter that nothing can fit."""


class _Parts:
    """SELECTs of one row shape, to be one statement, with their parameters in order."""

    def __init__(self) -> None:
        self._ctes: list[Condition] = []
        self._selects: list[Condition] = []

    def define(self, name: str, sql: str, *parameters: Any) -> None:
        """A table for the SELECTs, worked out once."""
        self._ctes.append(Condition(f"{name} AS MATERIALIZED ({sql})", parameters))

    def add(self, sql: str, *parameters: Any) -> None:
        self._selects.append(Condition(sql, parameters))

    @property
    def statement(self) -> tuple[str, list[Any]]:
        head = f"WITH {', '.join(one.sql for one in self._ctes)} " if self._ctes else ""
        parameters = [value for one in (*self._ctes, *self._selects) for value in one.parameters]
        return head + " UNION ALL ".join(one.sql for one in self._selects), parameters


class SummaryReads(ArtifactReads):
    """Summaries, ready for orjson."""

    async def summary(self, wanted: ArtifactFilter) -> dict[str, Any]:
        """The fields of an artifact summary.

        Where not everything was counted: `total_exact` false, the counts are those of the first `count_max`;
        `by_tag_exact` false, those by tag are.
        """
        lead_tag = await self._lead_tag(wanted)
        up = walk(wanted, lead_tag=lead_tag) or _NOTHING
        down = walk(wanted, lead_tag=lead_tag, descending=True) or _NOTHING
        parts = _Parts()
        if not wanted.is_open:
            self._define_walked(parts, "walked", "counted", up)
        if wanted.is_counted:
            where, parameters = joined(counter_conditions(wanted))
            parts.add(f"SELECT 'artifact', a, b, c, n FROM counters WHERE {where}", *parameters)
        else:
            parts.add(
                "SELECT 'artifact', type, producer, visibility, count(*) "
                "FROM counted CROSS JOIN artifacts USING (seq) GROUP BY type, producer, visibility"
            )
            parts.add("SELECT 'walked', '', '', '', count(*) FROM walked")
        if wanted.is_open:
            parts.add(
                "SELECT 'tag', a, '', '', n FROM counters WHERE tenant = ? AND kind = 'tag'", wanted.tenant
            )
        else:
            parts.add(
                "SELECT 'tags', tags, '', '', count(*) "
                "FROM counted CROSS JOIN artifacts USING (seq) WHERE tags IS NOT NULL GROUP BY tags"
            )
        edge = "'', '', '', created_at FROM artifacts WHERE seq ="
        parts.add(f"SELECT 'earliest', {edge} (SELECT seq FROM ({up.sql} LIMIT 1))", *up.parameters)
        parts.add(f"SELECT 'latest', {edge} (SELECT seq FROM ({down.sql} LIMIT 1))", *down.parameters)
        return self._summary_from(wanted, [tuple(row) for row in await self._rows(*parts.statement)])

    def _summary_from(self, wanted: ArtifactFilter, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
        by_type: Counter[str] = Counter()
        by_producer: Counter[str] = Counter()
        by_visibility: Counter[str] = Counter()
        by_tag: Counter[str] = Counter()
        single = {"walked": 0, "earliest": None, "latest": None}
        for kind, a, b, c, n in rows:
            if kind == "artifact" and n:
                by_type[a] += n
                by_producer[b] += n
                by_visibility[c] += n
            elif kind == "tag" and n:
                by_tag[a] += n
            elif kind == "tags":
                by_tag.update(dict.fromkeys(orjson.loads(a), n))
            elif kind in single:
                single[kind] = n
        total = by_type.total()
        summary: dict[str, Any] = {
            "total_count": total,
            "by_type": by_type,
            "by_producer": by_producer,
            "by_visibility": by_visibility,
            "by_tag": by_tag,
            "earliest_created_at": None if single["earliest"] is None else iso(single["earliest"]),
            "latest_created_at": None if single["latest"] is None else iso(single["latest"]),
        }
        if (single["walked"] or 0) > self._count_max:
            summary["total_exact"] = False
        elif wanted.is_counted and not wanted.is_open and total > self._count_max:
            summary["by_tag_exact"] = False
        return summary

    async def history(self, agent: str, wanted: ArtifactFilter) -> dict[str, Any]:
        """The fields of an agent's history summary, over the artifacts that fit the filter.

        Executions are its completed runs; with a filter, those that consumed an artifact that fits. The
        timeline is by the hour of completion. `total_exact` false: only `count_max` consumptions (the latest,
        where no correlation, partition or tag narrows them) or artifacts were looked at.
        """
        parts = _Parts()
        await self._add_produced(parts, agent, wanted)
        if wanted.is_open:
            parts.add(
                "SELECT 'consumed', b, n FROM counters WHERE tenant = ? AND kind = 'consumed' AND a = ?",
                wanted.tenant,
                agent,
            )
            parts.add(
                "SELECT 'execution', b, n FROM counters WHERE tenant = ? AND kind = 'execution' AND a = ?",
                wanted.tenant,
                agent,
            )
        else:
            await self._add_consumed(parts, agent, wanted)
        figures: dict[str, Counter[str]] = defaultdict(Counter)
        exact = True
        for kind, key, n in await self._rows(*parts.statement):
            if kind == "walked":
                exact = exact and n <= self._count_max
            elif n:
                figures[kind][key if isinstance(key, str) else hour(key * HOUR_MS)] += n
        timeline = figures["execution"]
        history: dict[str, Any] = {
            "total_executions": timeline.total(),
            "total_artifacts_consumed": figures["consumed"].total(),
            "total_artifacts_produced": figures["produced"].total(),
            "execution_timeline": dict(sorted(timeline.items())),
            "produced": {"total": figures["produced"].total(), "by_type": figures["produced"]},
            "consumed": {"total": figures["consumed"].total(), "by_type": figures["consumed"]},
        }
        if not exact:
            history["total_exact"] = False
        return history

    async def _add_produced(self, parts: _Parts, agent: str, wanted: ArtifactFilter) -> None:
        """Rows ('produced', type, n), and how far was walked."""
        if wanted.produced_by and agent not in wanted.produced_by:
            return
        wanted = wanted._replace(produced_by=(agent,))
        if wanted.is_counted:
            where, parameters = joined(counter_conditions(wanted))
            parts.add(f"SELECT 'produced', a, n FROM counters WHERE {where}", *parameters)
            return
        seqs = walk(wanted, lead_tag=await self._lead_tag(wanted)) or _NOTHING
        self._define_walked(parts, "produced_walked", "produced", seqs)
        parts.add(
            "SELECT 'produced', type, count(*) FROM produced CROSS JOIN artifacts USING (seq) GROUP BY type"
        )
        parts.add("SELECT 'walked', '', count(*) FROM produced_walked")

    async def _add_consumed(self, parts: _Parts, agent: str, wanted: ArtifactFilter) -> None:
        """Rows ('consumed', type, n) and ('execution', hours since the epoch, n), and how far was walked."""
        if wanted.correlation_id is not None or wanted.partition_key is not None or wanted.tags:
            seqs = walk(wanted, lead_tag=await self._lead_tag(wanted)) or _NOTHING
            self._define_walked(parts, "walked", "counted", seqs)
            parts.define(
                "consumed",
                "SELECT c.run, c.consumed_at, a.type FROM counted CROSS JOIN artifacts a USING (seq) "
                "CROSS JOIN consumptions c ON c.artifact = a.seq AND c.consumer = ?",
                agent,
            )
        else:
            owner = Condition("tenant = ? AND consumer = ?", (wanted.tenant, agent))
            where, parameters = joined([owner, *bounds(wanted, "artifact")])
            index = "consumptions INDEXED BY consumptions_by_consumer"
            latest = f"SELECT artifact AS seq, run FROM {index} WHERE {where} ORDER BY artifact DESC LIMIT ?"
            parts.define("walked", latest, *parameters, self._count_max + 1)
            where, parameters = joined([Condition("1"), *conditions(wanted)])
            parts.define(
                "consumed",
                "SELECT c.run, c.consumed_at, a.type FROM (SELECT seq, run FROM walked LIMIT ?) AS counted "
                "CROSS JOIN consumptions c ON c.artifact = counted.seq AND c.run = counted.run "
                f"CROSS JOIN artifacts a ON a.seq = counted.seq WHERE {where}",
                self._count_max,
                *parameters,
            )
        parts.add("SELECT 'consumed', type, count(*) FROM consumed GROUP BY type")
        parts.add(
            f"SELECT 'execution', consumed_at / {HOUR_MS}, count(DISTINCT run) "
            f"FROM consumed GROUP BY consumed_at / {HOUR_MS}"
        )
        parts.add("SELECT 'walked', '', count(*) FROM walked")

    def _define_walked(self, parts: _Parts, walked: str, counted: str, seqs: Walk) -> None:
        """Two tables: the seqs up to one past the bound, which shows a cut, and those within it."""
        parts.define(walked, f"{seqs.sql} LIMIT ?", *seqs.parameters, self._count_max + 1)
        parts.define(counted, f"SELECT seq FROM {walked} LIMIT ?", self._count_max)
