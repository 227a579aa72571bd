"""Questions: what runs ask people, and answering."""

from __future__ import annotations

import orjson
from aiohttp import web

from flockd.api.bodies import AnswerBody
from flockd.api.idempotency import CALLER, again, idempotency
from flockd.api.keys import BOARD, READS
from flockd.api.listing import check_offset, identity, page
from flockd.api.queries import QuestionPage
from flockd.domain.question import Question
from flockd.errors import NotFound
from flockd.routing import Call


async def list_questions(call: Call[QuestionPage, None]) -> bytes:
    """List questions, the newest first.

    Those that are open, unless another state is asked for.
    """
    query = call.query
    check_offset(call.app, query)
    state = None if query.state == "all" else query.state
    found, total = await call.app[READS].questions(state=state, limit=query.limit, offset=query.offset)
    return orjson.dumps({"questions": [question.document() for question in found], **page(query, total)})


async def get_question(call: Call[None, None]) -> bytes:
    """Read one question."""
    return orjson.dumps((await _question(call)).document())


async def answer_question(call: Call[None, AnswerBody]) -> bytes | web.StreamResponse:
    """Answer a question.

    Once: its run starts again, with this answer.
    """
    question = await _question(call)
    answered = await call.app[BOARD].answer_question(
        question, orjson.dumps(call.body.answer), CALLER, idempotency(call, call.parsed)
    )
    answer = orjson.dumps(answered.question.document())
    return again(answer) if answered.replayed else answer


async def _question(call: Call[None, AnswerBody] | Call[None, None]) -> Question:
    """The question in the path. Raises NotFound."""
    question_id = identity(call, "question_id", "Question")
    question = await call.app[READS].question(question_id)
    if question is None:
        raise NotFound(f"Question not found: {question_id}")
    return question
