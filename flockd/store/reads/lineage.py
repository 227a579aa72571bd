"""Reads of what came of what: the run that an artifact went into, what it waits beside, how a workflow grew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from flockd.domain.artifact import DEFAULT_TENANT, Artifact
from flockd.domain.event import EventKind
from flockd.domain.explanation import Waiting
from flockd.domain.identity import id_bytes, id_text
from flockd.domain.run import Run, RunState, WaitReason
from flockd.store.reads.base import PAGE_MAX, NounReads
from flockd.store.rows import RUN_COLUMNS, run_from

INPUTS_MAX = 20_000
"""Of all runs of one growth: a batch may have a thousand."""

_ARTIFACT_COLUMNS = "seq, id, type, producer, correlation, run, created_at, length(payload)"
_RUN_COLUMNS = (
    "ord, id, agent, correlation, state, reason, attempt, created_at, started_at, completed_at, inputs"
)


class GrownArtifact(NamedTuple):
    """An artifact of a workflow, without its payload."""

    seq: int
    id: str
    type: str
    produced_by: str
    correlation_id: str
    run_id: str | None
    created_at: int
    payload_bytes: int


class GrownRun(NamedTuple):
    """A run of a workflow, without what it wrote."""

    id: str
    agent: str
    correlation_id: str
    state: RunState
    reason: WaitReason | None
    attempt: int
    created_at: int
    started_at: int | None
    completed_at: int | None
    inputs: tuple[str, ...]
    """Artifact ids, each once."""


class Growth(NamedTuple):
    """How a workflow grew."""

    artifacts: list[GrownArtifact]
    """By seq."""
    runs: list[GrownRun]
    """In the order in which they were made."""
    is_whole: bool
    """There is no more of it."""


class LineageReads(NounReads):
    async def woke(self, artifact: Artifact) -> tuple[list[str], list[str]] | None:
        """(ids of runs, names of agents that held it) as its `artifact.published` says; None where the log no
        longer has it."""
        row = await self._row(
            "SELECT data FROM events WHERE seq = ? AND kind = ?",
            (artifact.seq, EventKind.artifact_published.value),
        )
        if row is None:
            return None
        data = orjson.loads(row[0])
        return data["woke"], data["held"]

    async def run_among(self, run_ids: Sequence[str], agent: str) -> Run | None:
        """The run of this agent among these."""
        for start in range(0, len(run_ids), PAGE_MAX):
            keys = [id_bytes(one) for one in run_ids[start : start + PAGE_MAX]]
            row = await self._row(
                f"SELECT {RUN_COLUMNS} FROM runs WHERE id IN ({', '.join('?' * len(keys))}) AND agent = ?",
                (*keys, agent),
            )
            if row is not None:
                return run_from(row)
        return None

    async def run_on(self, artifact: Artifact, agent: str, *, beyond: bool) -> Run | None:
        """The first run of an agent that has this artifact among its inputs.

        Of the artifact's workflow, whose runs a limit bounds; with `beyond` also of others: then among those that have
        completed, and the latest of the agent, as many as are counted.
        """
        inside = await self._row(
            f"SELECT {RUN_COLUMNS} FROM runs INDEXED BY runs_by_correlation "
            "WHERE tenant = ? AND correlation = ? AND agent = ? AND instr(inputs, ?) ORDER BY ord LIMIT 1",
            (artifact.tenant, id_bytes(artifact.correlation_id), agent, artifact.id),
        )
        if inside is not None or not beyond:
            return None if inside is None else run_from(inside)
        completed = await self._row(
            f"SELECT {RUN_COLUMNS} FROM runs WHERE id = "
            "(SELECT run FROM consumptions WHERE artifact = ? AND consumer = ? ORDER BY consumed_at LIMIT 1)",
            (artifact.seq, agent),
        )
        if completed is not None:
            return run_from(completed)
        latest = await self._row(
            f"SELECT {RUN_COLUMNS} FROM (SELECT ord FROM runs INDEXED BY runs_by_agent "
            "WHERE tenant = ? AND agent = ? ORDER BY ord DESC LIMIT ?) CROSS JOIN runs USING (ord) "
            "WHERE instr(inputs, ?) LIMIT 1",
            (artifact.tenant, agent, self._count_max, artifact.id),
        )
        return None if latest is None else run_from(latest)

    async def waiting_with(self, artifact: Artifact, agent: str) -> Waiting | None:
        """What an agent holds together with this artifact; None where it does not hold it."""
        correlation = id_bytes(artifact.correlation_id)
        held = await self._row(
            "SELECT 1 FROM slots WHERE correlation = ? AND agent = ? AND type = ? AND seq = ?",
            (correlation, agent, artifact.type, artifact.seq),
        )
        if held is not None:
            rows = await self._rows(
                "SELECT type, count(*) FROM slots WHERE correlation = ? AND agent = ? GROUP BY type",
                (correlation, agent),
            )
            return Waiting({row[0]: row[1] for row in rows}, None)
        pooled = await self._row(
            "SELECT key, due_at FROM pools INDEXED BY pools_by_agent WHERE agent = ? AND seq = ?",
            (agent, artifact.seq),
        )
        if pooled is None:
            return None
        rows = await self._rows(
            "SELECT type, count(*) FROM pools WHERE tenant = ? AND agent = ? AND key = ? GROUP BY type",
            (artifact.tenant, agent, pooled[0]),
        )
        return Waiting({row[0]: row[1] for row in rows}, pooled[1])

    async def waited_in_vain(self, artifact: Artifact, agent: str) -> bool:
        """Whether a join gave this artifact up."""
        row = await self._row(
            "SELECT 1 FROM events INDEXED BY events_by_correlation "
            "WHERE correlation = ? AND seq > ? AND kind = ? AND agent = ? AND instr(data, ?) LIMIT 1",
            (
                id_bytes(artifact.correlation_id),
                artifact.seq,
                EventKind.join_expired.value,
                agent,
                artifact.id.encode(),
            ),
        )
        return row is not None

    async def growth(self, correlation_id: str, limit: int) -> Growth:
        """The first `limit` artifacts and runs of a workflow, with what its runs took from others."""
        correlation = id_bytes(correlation_id)
        artifacts = await self._grown_artifacts(correlation, limit + 1)
        runs = await self._grown_runs(correlation, limit + 1)
        is_whole = len(artifacts) <= limit and len(runs) <= limit
        del artifacts[limit:], runs[limit:]
        here = {artifact.id for artifact in artifacts}
        taken: list[str] = []
        known = 0
        for run in runs:
            known += len(run.inputs)
            taken += [one for one in run.inputs if one not in here]
            here.update(run.inputs)
        room = limit - len(artifacts)
        artifacts += await self._grown_by_id(taken[:room])
        artifacts.sort()
        return Growth(artifacts, runs, is_whole and len(taken) <= room and known < INPUTS_MAX)

    async def _grown_artifacts(self, correlation: bytes, limit: int) -> list[GrownArtifact]:
        found: list[GrownArtifact] = []
        while len(found) < limit:
            wanted = min(PAGE_MAX, limit - len(found))
            rows = await self._rows(
                f"SELECT {_ARTIFACT_COLUMNS} FROM artifacts INDEXED BY artifacts_by_correlation "
                "WHERE tenant = ? AND correlation = ? AND seq > ? ORDER BY seq LIMIT ?",
                (DEFAULT_TENANT, correlation, found[-1].seq if found else 0, wanted),
            )
            found += map(_grown_artifact, rows)
            if len(rows) < wanted:
                break
        return found

    async def _grown_by_id(self, ids: Sequence[str]) -> list[GrownArtifact]:
        found: list[GrownArtifact] = []
        for start in range(0, len(ids), PAGE_MAX):
            keys = [id_bytes(one) for one in ids[start : start + PAGE_MAX]]
            rows = await self._rows(
                f"SELECT {_ARTIFACT_COLUMNS} FROM artifacts WHERE id IN ({', '.join('?' * len(keys))})", keys
            )
            found += map(_grown_artifact, rows)
        return found

    async def _grown_runs(self, correlation: bytes, limit: int) -> list[GrownRun]:
        """Ends with the run with which there are INPUTS_MAX inputs."""
        found: list[GrownRun] = []
        inputs, after = 0, 0
        while len(found) < limit:
            wanted = min(PAGE_MAX, limit - len(found))
            rows = await self._rows(
                f"SELECT {_RUN_COLUMNS} FROM runs INDEXED BY runs_by_correlation "
                "WHERE tenant = ? AND correlation = ? AND ord > ? ORDER BY ord LIMIT ?",
                (DEFAULT_TENANT, correlation, after, wanted),
            )
            for row in rows:
                run = _grown_run(row)
                found.append(run)
                inputs += len(run.inputs)
                if inputs >= INPUTS_MAX:
                    return found
            if len(rows) < wanted:
                break
            after = rows[-1][0]
        return found


def _grown_artifact(row: Sequence[Any]) -> GrownArtifact:
    """From its _ARTIFACT_COLUMNS."""
    seq, key, name, producer, correlation, run, created_at, size = row
    return GrownArtifact(
        seq, id_text(key), name, producer, id_text(correlation), run and id_text(run), created_at, size
    )


def _grown_run(row: Sequence[Any]) -> GrownRun:
    """From its _RUN_COLUMNS."""
    _, key, agent, correlation, state, reason, attempt, created_at, started_at, completed_at, inputs = row
    return GrownRun(
        id_text(key),
        agent,
        id_text(correlation),
        RunState(state),
        None if reason is None else WaitReason(reason),
        attempt,
        created_at,
        started_at,
        completed_at,
        tuple(dict.fromkeys(orjson.loads(inputs))),
    )
