"""How a session stands: its log, folded from the beginning."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from flockd.api.keys import BOARD, READS
from flockd.dialects.keys import WORKFLOWS
from flockd.dialects.workflows.session import Progression, Session
from flockd.dialects.workflows.start import DIALECT
from flockd.domain.correlation import Correlation
from flockd.domain.identity import parse_id
from flockd.domain.workflow import Workflow
from flockd.errors import NotFound
from flockd.routing import Call
from flockd.store.reads import Reads

_PAGE_BYTES = 256 * 1024


async def workflow_status(call: Call[None, None]) -> bytes:
    """Tell how far a workflow is."""
    session = await _folded(call)
    return orjson.dumps(session.document())


async def workflow_status_v2(call: Call[None, None]) -> bytes:
    """Tell how far a workflow is, with what it is natively."""
    session = await _folded(call)
    native = {"correlation_id": session.id, "artifact_id": session.artifact_id, "seq": session.seq}
    return orjson.dumps(session.document() | native)


async def find_session(call: Call[Any, Any]) -> Session:
    """The session that the path names, before any event. Raises NotFound."""
    given = call.part("session_id")
    session_id = parse_id(given)
    correlation = None if session_id is None else await call.app[READS].correlation(session_id)
    if correlation is None or correlation.dialect != DIALECT:
        raise NotFound(f"Session not found: {given}")
    return new_session(call.app, correlation)


def new_session(app: web.Application, correlation: Correlation) -> Session:
    """A workflow that is no longer declared has no phases to show."""
    workflow = app[WORKFLOWS].get(correlation.name) or Workflow(correlation.name, "", ())
    return Session(correlation.id, Progression(workflow, app[BOARD].agents))


async def fold(reads: Reads, session: Session, *, page_events: int = 500) -> None:
    """Let a new session take what the log holds of it, page by page, up to the log's end."""
    while events := await reads.correlation_events(session.id, session.seq, page_events, _PAGE_BYTES):
        for event in events:
            session.take(event)


async def _folded(call: Call[Any, Any]) -> Session:
    session = await find_session(call)
    await fold(call.app[READS], session)
    return session
