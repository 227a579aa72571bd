"""Reads of artifacts: single, by page, counted, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from flockd.domain.artifact import Artifact
from flockd.domain.identity import id_bytes, id_text, parse_id
from flockd.domain.run import Run
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import ArtifactFilter, Condition, joined, one_of, walk
from flockd.store.records import Consumption
from flockd.store.rows import ARTIFACT_COLUMNS, artifact_from

_JOINED_COLUMNS = ", ".join(f"a.{column}" for column in ARTIFACT_COLUMNS.split(", "))


class ArtifactReads(NounReads):
    async def artifact(self, artifact_id: str) -> Artifact | None:
        """The artifact of this id; None where there is none, or where it is no id."""
        found = await self.artifacts_by_id([artifact_id])
        return found[0] if found else None

    async def artifacts_by_id(self, ids: Sequence[str]) -> list[Artifact]:
        """The artifacts of these ids, in this order; unknown ones are left out."""
        wanted = [(given, parse_id(given)) for given in dict.fromkeys(ids)]
        found: dict[str, Artifact] = {}
        keys = [id_bytes(parsed) for _, parsed in wanted if parsed is not None]
        for start in range(0, len(keys), PAGE_MAX):
            chunk = keys[start : start + PAGE_MAX]
            # A few lengths only, so that the statement is known again.
            chunk += chunk[-1:] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
            for row in await self._rows(
                f"SELECT {ARTIFACT_COLUMNS} FROM artifacts WHERE id IN ({', '.join('?' * len(chunk))})", chunk
            ):
                artifact = artifact_from(row)
                found[artifact.id] = artifact
        by_given = {given: found[parsed] for given, parsed in wanted if parsed in found}
        return [by_given[given] for given in ids if given in by_given]

    async def run_inputs(self, run: Run) -> list[Artifact]:
        """A run's inputs, in the order of its agent's parameters."""
        return await self.artifacts_by_id(run.inputs)

    async def due_hidden(self, moment: int, limit: int) -> list[tuple[Artifact, bool]]:
        """The first artifacts whose time of being hidden (After) is over at this moment, at most 500.

        Of each whether it may wake agents: not where a direct run without a cascade published it.
        """
        rows = await self._rows(
            f"SELECT ifnull(r.cascade, 1), {_JOINED_COLUMNS} FROM hidden h INDEXED BY hidden_due "
            "CROSS JOIN artifacts a ON a.seq = h.seq LEFT JOIN runs r ON r.id = a.run "
            "WHERE h.due_at <= ? ORDER BY h.due_at, h.seq LIMIT ?",
            (moment, min(limit, PAGE_MAX)),
        )
        return [(artifact_from(row[1:]), bool(row[0])) for row in rows]

    async def artifacts(
        self,
        wanted: ArtifactFilter,
        *,
        limit: int,
        offset: int = 0,
        after: int | None = None,
        descending: bool = False,
    ) -> list[Artifact]:
        """A page of at most 500, in the order of the board or against it; `after` is a seq, exclusive."""
        found = walk(wanted, after=after, descending=descending, lead_tag=await self._lead_tag(wanted))
        if found is None:
            return []
        rows = await self._rows(
            f"SELECT {ARTIFACT_COLUMNS} FROM ({found.sql} LIMIT ? OFFSET ?) CROSS JOIN artifacts USING (seq)",
            (*found.parameters, min(limit, PAGE_MAX), offset),
        )
        return sorted(map(artifact_from, rows), key=lambda artifact: artifact.seq, reverse=descending)

    async def count_artifacts(self, wanted: ArtifactFilter) -> Total:
        """How many fit: from the maintained counts where they know, else counted up to the bound."""
        if wanted.is_counted:
            where, parameters = joined(counter_conditions(wanted))
            row = await self._row(f"SELECT ifnull(sum(n), 0) FROM counters WHERE {where}", parameters)
            return Total(0 if row is None else row[0], exact=True)
        found = walk(wanted, lead_tag=await self._lead_tag(wanted))
        if found is None:
            return Total(0, exact=True)
        row = await self._row(
            f"SELECT count(*) FROM ({found.sql} LIMIT ?)", (*found.parameters, self._count_max + 1)
        )
        return self._total(0 if row is None else row[0])

    async def consumptions(self, artifacts: Sequence[Artifact]) -> dict[str, list[Consumption]]:
        """Who consumed these artifacts, oldest first, by artifact id; each of them has an entry."""
        ids = {artifact.seq: artifact.id for artifact in artifacts}
        found: dict[str, list[Consumption]] = {artifact.id: [] for artifact in artifacts}
        rows = await self._rows(
            "SELECT artifact, run, tenant, consumer, consumed_at "
            "FROM json_each(?) AS wanted CROSS JOIN consumptions ON artifact = wanted.value "
            "ORDER BY consumed_at, run",
            (orjson.dumps(list(ids)).decode(),),
        )
        for seq, run, tenant, consumer, consumed_at in rows:
            found[ids[seq]].append(Consumption(seq, id_text(run), tenant, consumer, consumed_at))
        return found

    async def _lead_tag(self, wanted: ArtifactFilter) -> str | None:
        """The tag whose index leads the walk; None where something rarer does."""
        if not wanted.needs_lead:
            return wanted.tags[0] if wanted.tags else None
        where, parameters = joined(counter_conditions(wanted))
        tags = tuple(dict.fromkeys(wanted.tags))
        rows = await self._rows(
            f"SELECT NULL, ifnull(sum(n), 0) FROM counters WHERE {where} UNION ALL "
            f"SELECT a, n FROM counters WHERE tenant = ? AND kind = 'tag' AND {one_of('a', tags).sql}",
            (*parameters, wanted.tenant, *tags),
        )
        counts: dict[str | None, int] = dict.fromkeys(tags, 0) | {row[0]: row[1] for row in rows}
        if not (wanted.types or wanted.produced_by):
            del counts[None]
        return min(counts, key=counts.__getitem__)


def counter_conditions(wanted: ArtifactFilter) -> list[Condition]:
    """The maintained counts of artifacts that the types, producers and kinds of visibility of a filter let
    through."""
    found = [Condition("tenant = ? AND kind = 'artifact'", (wanted.tenant,))]
    if wanted.types:
        found.append(one_of("a", wanted.types))
    if wanted.produced_by:
        found.append(one_of("b", wanted.produced_by))
    if wanted.visibility:
        found.append(one_of("c", wanted.visibility))
    return found
