"""Why an artifact woke an agent, or did not."""

from __future__ import annotations

import orjson

from flockd.api.keys import BOARD, DAEMON
from flockd.api.queries import ExplainWanted
from flockd.board import explain
from flockd.routing import Call


async def explain_artifact(call: Call[ExplainWanted, None]) -> bytes:
    """Tell why an artifact woke an agent, or did not.

    By the code that matches. Whether it did is what happened; which rule refused it is judged by the rules of today.
    """
    board, wanted = call.app[BOARD], call.query
    agent = board.agents.spelled(wanted.agent)
    load = None if agent is None else call.app[DAEMON].occupancy().get(agent.name)
    explanation = await explain(board, wanted.artifact, wanted.agent, paused=load is not None and load.paused)
    return orjson.dumps(explanation.document())
