"""The agent of most of these tests: it reads a text and says what it finds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from flockd.domain.artifact_type import ArtifactType
from flockd.engines.base import Output
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.llm.thinking import Thinking
from flockd.engines.outside import Outside

from .attempts import Attempt, Kept, NoThreads, artifact

TEXT = {"text": "Flock makes building agents easy and fun!"}
GOOD = '{"sentiment":"good","keywords":["agents"]}'


class Verdict(BaseModel):
    sentiment: str
    keywords: list[str]


VERDICT = ArtifactType("Verdict", Verdict)


def reader(*outputs: ArtifactType, default_model: str | None = None, **thinking: Any) -> LlmEngine:
    """The agent, with these options; it publishes a Verdict unless something else is said."""
    return LlmEngine(
        "reader",
        Thinking(**thinking),
        {one.name: one for one in outputs or (VERDICT,)},
        default_model=default_model,
    )


def attempt_of(outside: Outside, text: str = TEXT["text"], *, kept: Kept | None = None) -> Attempt:
    """An attempt on one text."""
    return Attempt(outside, artifact("Text", {"text": text}), kept=kept)


async def work(engine: LlmEngine, attempt: Attempt) -> list[Output]:
    """The attempt, to its end."""
    return await engine.run([], attempt.context, NoThreads())


async def verdict_of(engine: LlmEngine, attempt: Attempt) -> Verdict:
    (output,) = await work(engine, attempt)
    assert output.type == "Verdict"
    assert isinstance(output.value, Verdict)
    return output.value
