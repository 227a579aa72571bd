"""Reads of what runs settled: their steps, and the questions of all of them."""

from __future__ import annotations

from flockd.domain.artifact import DEFAULT_TENANT
from flockd.domain.identity import id_bytes, parse_id
from flockd.domain.question import Question
from flockd.store.reads.base import PAGE_MAX, NounReads, Total
from flockd.store.reads.walk import Condition, joined
from flockd.store.rows import QUESTION_COLUMNS, question_from


class MemoryReads(NounReads):
    async def steps(self, run_id: str) -> dict[str, bytes]:
        """The recorded results of a run's steps, as JSON by name."""
        rows = await self._rows("SELECT name, value FROM steps WHERE run = ?", (id_bytes(run_id),))
        return {row[0]: row[1] for row in rows}

    async def questions_of(self, run_id: str) -> dict[str, Question]:
        """The latest question of each key that a run asked."""
        rows = await self._rows(
            f"SELECT {QUESTION_COLUMNS} FROM questions INDEXED BY questions_by_run WHERE run = ? ORDER BY seq",
            (id_bytes(run_id),),
        )
        return {question.key: question for question in map(question_from, rows)}

    async def question(self, question_id: str) -> Question | None:
        """The question of this id; None where there is none, or where it is no id."""
        parsed = parse_id(question_id)
        if parsed is None:
            return None
        row = await self._row(f"SELECT {QUESTION_COLUMNS} FROM questions WHERE id = ?", (id_bytes(parsed),))
        return None if row is None else question_from(row)

    async def questions(
        self, *, state: str | None = None, limit: int, offset: int = 0
    ) -> tuple[list[Question], Total]:
        """A page, newest first, and how many there are, counted up to the bound."""
        found = [Condition("tenant = ?", (DEFAULT_TENANT,))]
        if state is not None:
            found.append(Condition("state = ?", (state,)))
        where, parameters = joined(found)
        index = "NOT INDEXED" if state is None else "INDEXED BY questions_by_state"
        seqs = f"SELECT seq FROM questions {index} WHERE {where} ORDER BY seq DESC"
        rows = await self._rows(
            f"SELECT total.count, page.* FROM (SELECT count(*) AS count FROM ({seqs} LIMIT ?)) AS total LEFT JOIN "
            f"(SELECT {QUESTION_COLUMNS} FROM ({seqs} LIMIT ? OFFSET ?) CROSS JOIN questions USING (seq)) AS page",
            (*parameters, self._count_max + 1, *parameters, min(limit, PAGE_MAX), offset),
        )
        page = [question_from(row[1:]) for row in rows if row[1] is not None]
        page.sort(key=lambda question: question.seq, reverse=True)
        return page, self._total(rows[0][0])
