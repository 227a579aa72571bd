"""What an agent that thinks with a language model sees of the board, beside its inputs: never all of it by accident."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from flockd.domain.artifact import Artifact
from flockd.engines.base import Context
from flockd.engines.llm.thinking import Seen, Thinking


async def seen(thinking: Thinking, context: Context, generation: int = 0) -> str:
    """What the model is told of the board, ready for its prompt; empty where there is nothing.

    Only what `context.query` gives, so nothing that the agent may not see. It is a step of the run (`seen/…`), so that
    an attempt which goes on after a crash asks its model the same; one of another `generation` looks anew.
    Raises ValueError where it is larger than a step may be.
    """
    if thinking.context is None:
        return ""
    step = f"seen/{generation}"
    recorded = await context.memory.recall(step)
    if recorded is None:
        recorded = orjson.dumps(await _look(thinking.context, context, thinking.context_bytes))
        await context.memory.record(step, recorded)
    text: str = orjson.loads(recorded)
    return text


async def _look(query: Seen, context: Context, most_bytes: int) -> str:
    inputs = {one.id for one in context.inputs}
    limit = query.limit + len(inputs) + 1  # one more than is shown says whether there are more
    found = await context.query(query.type, query.where, limit, query.scope)
    others = [one for one in found if one.id not in inputs]
    return render(others[-query.limit :], most_bytes, has_older=len(others) > query.limit)


def render(artifacts: Sequence[Artifact], most_bytes: int, *, has_older: bool) -> str:
    """Artifacts as lines of JSON, in their order: the newest of them that fit into so many bytes together.

    A line for each, whatever is in the payload: JSON has no line break inside a value, so no artifact can pass for
    another. `has_older`: there are some before these.
    """
    lines: list[str] = []
    room = most_bytes
    for artifact in reversed(artifacts):
        line = _line(artifact)
        if len(line) < room:
            room -= len(line) + 1
            lines.append(line.decode())
    left_out = len(artifacts) - len(lines)
    if not artifacts:
        return ""
    told = ["On the board beside your input, oldest first, one JSON object a line:", *reversed(lines)]
    if left_out:
        told.append(
            f"({left_out} more of them {'is' if left_out == 1 else 'are'} left out: too large together.)"
        )
    if has_older:
        told.append("(Older ones are left out.)")
    return "\n".join(told)


def _line(artifact: Artifact) -> bytes:
    return orjson.dumps(
        {
            "type": artifact.type,
            "produced_by": artifact.produced_by,
            "payload": orjson.loads(artifact.payload),  # decoded: a stored payload may be on several lines
        }
    )
