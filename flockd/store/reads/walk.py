"""Which index answers a filter: the seqs of the artifacts that fit it, in the order of the board, at the cost
of a page.

A walk goes along one index whose entries already stand in the order of seq; where a field has several values
it merges one walk for each. What the index cannot answer is asked of each row on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.identity import id_bytes, parse_id

MERGED_MAX = 64
"""How many walks are merged; a filter with more values than this is asked of each row instead."""


class ArtifactFilter(NamedTuple):
    """What a reader wants of the board. Empty fields do not restrict; all that are given must match."""

    types: tuple[str, ...] = ()
    """Any of them."""
    produced_by: tuple[str, ...] = ()
    """Any of them."""
    correlation_id: str | None = None
    tags: tuple[str, ...] = ()
    """All of them."""
    partition_key: str | None = None
    visibility: tuple[str, ...] = ()
    """Any of these kinds."""
    created_from: int | None = None
    """Milliseconds, inclusive."""
    created_to: int | None = None
    """Milliseconds, inclusive."""
    tenant: str = DEFAULT_TENANT

    @property
    def is_counted(self) -> bool:
        """Whether the maintained counts know how many artifacts fit."""
        return not (
            self.correlation_id is not None
            or self.tags
            or self.partition_key is not None
            or self.created_from is not None
            or self.created_to is not None
        )

    @property
    def is_open(self) -> bool:
        """Whether every artifact of the tenant fits."""
        return self == ArtifactFilter(tenant=self.tenant)

    @property
    def needs_lead(self) -> bool:
        """Whether several indexes could lead the walk, so that it pays to ask which has the fewest entries."""
        choices = len(set(self.tags)) + bool(self.types or self.produced_by)
        return bool(self.tags) and choices > 1 and self.correlation_id is None and self.partition_key is None


class Walk(NamedTuple):
    """A SELECT of one column, `seq`, in order; whoever uses it adds the limit."""

    sql: str
    parameters: tuple[Any, ...]


class Condition(NamedTuple):
    """A part of a WHERE and what its question marks stand for."""

    sql: str
    parameters: tuple[Any, ...] = ()


class _Lead(NamedTuple):
    """The index that a walk goes along."""

    source: str
    """The FROM; `a` is the artifact."""
    seq: str
    """The column that holds the seq."""
    arms: tuple[tuple[Condition, ...], ...]
    """For each walk that is merged, what fixes the columns of the index before the seq."""
    answers: frozenset[str]
    """The fields of the filter that the arms answer."""


def walk(
    wanted: ArtifactFilter, *, after: int | None = None, descending: bool = False, lead_tag: str | None = None
) -> Walk | None:
    """The walk for a filter, or None where nothing can fit (a malformed correlation id).

    `after`: only what comes after this seq in the order of the walk. `lead_tag`: the tag whose index leads,
    where `needs_lead`; else the types and producers lead.
    """
    correlation_id = None if wanted.correlation_id is None else parse_id(wanted.correlation_id)
    if wanted.correlation_id is not None and correlation_id is None:
        return None
    lead = _lead(wanted, correlation_id, lead_tag)
    order = "DESC" if descending else "ASC"
    if lead is None:
        return _along_moments(wanted, after=after, order=order)
    rest = bounds(wanted, lead.seq, after=after, descending=descending)
    rest += conditions(wanted, lead.answers, lead_tag)
    selects, parameters = [], []
    for arm in lead.arms:
        where, values = joined([*arm, *rest])
        selects.append(f"SELECT {lead.seq} AS seq FROM {lead.source} WHERE {where}")
        parameters += values
    return Walk(f"{' UNION ALL '.join(selects)} ORDER BY seq {order}", tuple(parameters))


def conditions(
    wanted: ArtifactFilter, answered: frozenset[str] = frozenset(), lead_tag: str | None = None
) -> list[Condition]:
    """What is asked of each artifact `a`, but for the fields that are answered already."""
    found = []
    if wanted.correlation_id is not None and "correlation_id" not in answered:
        parsed = parse_id(wanted.correlation_id)
        found.append(Condition("a.correlation = ?", (None if parsed is None else id_bytes(parsed),)))
    if wanted.types and "types" not in answered:
        found.append(one_of("a.type", wanted.types))
    if wanted.produced_by and "produced_by" not in answered:
        found.append(one_of("a.producer", wanted.produced_by))
    if wanted.visibility and "visibility" not in answered:
        found.append(one_of("a.visibility", wanted.visibility))
    if wanted.partition_key is not None and "partition_key" not in answered:
        found.append(Condition("a.partition_key = ?", (wanted.partition_key,)))
    for tag in dict.fromkeys(wanted.tags):
        if not ("tags" in answered and tag == lead_tag):
            seq = "t.seq" if "tags" in answered else "a.seq"
            tagged = f"SELECT 1 FROM artifact_tags x WHERE x.tenant = ? AND x.tag = ? AND x.seq = {seq}"
            found.append(Condition(f"EXISTS ({tagged})", (wanted.tenant, tag)))
    return found


def joined(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    """Conditions as one WHERE text with its parameters."""
    return " AND ".join(one.sql for one in conditions), [
        value for one in conditions for value in one.parameters
    ]


def one_of(column: str, values: Sequence[str]) -> Condition:
    """The column has one of these values."""
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def _lead(wanted: ArtifactFilter, correlation_id: str | None, lead_tag: str | None) -> _Lead | None:
    """The index that leads, best first; None: the index of moments, which has everything in order."""
    tenant = Condition("a.tenant = ?", (wanted.tenant,))
    types, producers = tuple(dict.fromkeys(wanted.types)), tuple(dict.fromkeys(wanted.produced_by))
    arm: tuple[Condition, ...]
    arms: tuple[tuple[Condition, ...], ...]
    if correlation_id is not None:
        arm = (tenant, Condition("a.correlation = ?", (id_bytes(correlation_id),)))
        return _Lead(_index("artifacts_by_correlation"), "a.seq", (arm,), frozenset({"correlation_id"}))
    if wanted.partition_key is not None:
        arm = (tenant, Condition("a.partition_key = ?", (wanted.partition_key,)))
        return _Lead(_index("artifacts_by_partition"), "a.seq", (arm,), frozenset({"partition_key"}))
    if lead_tag is not None:
        arm = (Condition("t.tenant = ?", (wanted.tenant,)), Condition("t.tag = ?", (lead_tag,)))
        source = "artifact_tags t"
        if types or producers or wanted.visibility:
            source += " CROSS JOIN artifacts a ON a.seq = t.seq"
        return _Lead(source, "t.seq", (arm,), frozenset({"tags"}))
    by_type = [Condition("a.type = ?", (one,)) for one in types]
    by_producer = [Condition("a.producer = ?", (one,)) for one in producers]
    if types and producers and len(types) * len(producers) <= MERGED_MAX:
        arms = tuple((tenant, a_type, producer) for a_type in by_type for producer in by_producer)
        return _Lead(_index("artifacts_by_type_producer"), "a.seq", arms, frozenset({"types", "produced_by"}))
    if types and len(types) <= MERGED_MAX:
        arms = tuple((tenant, a_type) for a_type in by_type)
        return _Lead(_index("artifacts_by_type"), "a.seq", arms, frozenset({"types"}))
    if producers and len(producers) <= MERGED_MAX:
        arms = tuple((tenant, producer) for producer in by_producer)
        return _Lead(_index("artifacts_by_producer"), "a.seq", arms, frozenset({"produced_by"}))
    if wanted.visibility and "Public" not in wanted.visibility:
        # The index leaves Public out, and SQLite uses it only where the query says the same words.
        arms = tuple(
            (tenant, Condition("a.visibility = ? AND a.visibility <> 'Public'", (kind,)))
            for kind in dict.fromkeys(wanted.visibility)
        )
        return _Lead(_index("artifacts_by_visibility"), "a.seq", arms, frozenset({"visibility"}))
    return None


def _index(name: str) -> str:
    return f"artifacts a INDEXED BY {name}"


def bounds(
    wanted: ArtifactFilter, seq: str, *, after: int | None = None, descending: bool = False
) -> list[Condition]:
    """The range of seqs: `created_at` never goes back along seq, so a range of time is one of seqs."""
    found = []
    if after is not None:
        found.append(Condition(f"{seq} {'<' if descending else '>'} ?", (after,)))
    moments = "SELECT seq FROM artifacts INDEXED BY artifacts_by_moment WHERE tenant = ? AND created_at"
    if wanted.created_from is not None:
        first = f"{moments} >= ? ORDER BY created_at, seq LIMIT 1"
        found.append(Condition(f"{seq} >= ({first})", (wanted.tenant, wanted.created_from)))
    if wanted.created_to is not None:
        last = f"{moments} <= ? ORDER BY created_at DESC, seq DESC LIMIT 1"
        found.append(Condition(f"{seq} <= ({last})", (wanted.tenant, wanted.created_to)))
    return found


def _along_moments(wanted: ArtifactFilter, *, after: int | None, order: str) -> Walk:
    """Everything of a tenant in order, without reading the rows: by moment and seq, which is the order of
    seq."""
    found = [Condition("a.tenant = ?", (wanted.tenant,))]
    if wanted.created_from is not None:
        found.append(Condition("a.created_at >= ?", (wanted.created_from,)))
    if wanted.created_to is not None:
        found.append(Condition("a.created_at <= ?", (wanted.created_to,)))
    if after is not None and order == "ASC":
        before = "SELECT created_at FROM artifacts WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
        found.append(Condition(f"a.created_at >= ifnull(({before}), 0) AND a.seq > ?", (after, after)))
    elif after is not None:
        next_one = "SELECT created_at FROM artifacts WHERE seq >= ? ORDER BY seq LIMIT 1"
        found.append(
            Condition(f"a.created_at <= ifnull(({next_one}), {2**62}) AND a.seq < ?", (after, after))
        )
    where, parameters = joined([*found, *conditions(wanted)])
    return Walk(
        f"SELECT a.seq AS seq FROM {_index('artifacts_by_moment')} WHERE {where} "
        f"ORDER BY a.created_at {order}, a.seq {order}",
        tuple(parameters),
    )
