"""The agents as this dialect lists them: what they take and give as fields, and whom they hand over to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from flockd.api.keys import BOARD
from flockd.dialects.runs.input_form import resolved
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import Types
from flockd.domain.fields import written_fields
from flockd.routing import Call


async def list_flock_agents(call: Call[None, None]) -> bytes:
    """List agents with their fields.

    Flows are listed, too.
    """
    board = call.app[BOARD]
    agents = sorted(board.agents.values(), key=lambda agent: agent.name)
    return orjson.dumps({"agents": [_document(agent, board.types) for agent in agents]})


def _document(agent: Agent, types: Types) -> dict[str, Any]:
    subscription, woken = agent.subscription, agent.hand_off
    # Bare inputs of an agent that takes any of several types are those of the first (see InputForm).
    inputs = subscription.types if subscription.mode == "all" else subscription.types[:1]
    return {
        "name": agent.name,
        "description": agent.description,
        "input_schema": _fields(inputs, types),
        "output_schema": _fields(agent.outputs, types) if agent.outputs else None,
        "hand_off": list(woken) if len(woken) > 1 else woken[0] if woken else None,
    }


def _fields(names: Iterable[str], types: Types) -> str:
    """The fields of one type; several types each as a field of its own, as `inputs` and `result` have them."""
    several = list(dict.fromkeys(names))
    if len(several) == 1:
        schema = types[several[0]].schema
        return written_fields(resolved(schema, schema))
    fields = {
        name: {"type": "object", "description": " ".join((types[name].description or "").split())}
        for name in several
    }
    return written_fields({"properties": fields})
