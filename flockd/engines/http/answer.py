"""What the answer of a service means: artifacts, "not now", or a failure that says why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

from flockd.engines.base import Output
from flockd.errors import AgentFailed

_FOR_NOW = frozenset({408, 409, 421, 423, 425, 429})
"""Refusals (4xx) that may pass without anybody's doing: too slow, too early, too often, over the wrong connection, or
something is locked. To one 409 above all: an earlier attempt is still at work there, under the same idempotency key."""
_SAID_CHARACTERS = 500
"""What is kept of a service's own words about its failure."""
_SAYING = ("detail", "message", "error_description", "error", "title")
"""Where JSON errors have their sentence, the first that is there: problem+json, FastAPI, OAuth and most others."""


class Answer(NamedTuple):
    """What a service answered."""

    status: int
    reason: str
    media_type: str
    retry_after: str | None
    location: str | None
    body: bytes
    """Of an error, its beginning."""


class Unanswered(Exception):
    """There is no answer; the message is the rest of a sentence that begins with the service."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        """`is_final`: asked again, the service would answer the same."""
        super().__init__(message)
        self.is_final = is_final


def outputs_of(answer: Answer, agent: str, publishes: Sequence[str]) -> list[Output]:
    """The artifacts of a good answer, not yet validated. Raises AgentFailed.

    It is the payload of the agent's only type, or `{"artifacts": [{"type", "payload"}, …]}`; nothing is published where
    it is empty, or where the agent publishes nothing.
    """
    if not answer.body or answer.status == 204 or not publishes:
        return []
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError as malformed:
        kind = f" ({answer.media_type})" if answer.media_type != "application/json" else ""
        raise AgentFailed(
            f"the service of {agent} answered with what is not JSON{kind}: {malformed}"
        ) from None
    if isinstance(document, dict) and document.keys() == {"artifacts"}:
        return _listed(document["artifacts"], agent, publishes)
    if len(publishes) > 1:
        raise AgentFailed(
            f"the service of {agent} answered with JSON that does not say whether it is "
            f'{" or ".join(publishes)}: answer {{"artifacts": [{{"type": "{publishes[0]}", "payload": …}}]}}'
        )
    return [Output(publishes[0], answer.body)]


def _listed(artifacts: Any, agent: str, publishes: Sequence[str]) -> list[Output]:
    if not isinstance(artifacts, list):
        raise AgentFailed(f"the service of {agent} answered with artifacts that are no list")
    outputs = []
    for index, artifact in enumerate(artifacts):
        if not isinstance(artifact, dict) or not {"type", "payload"} <= artifact.keys():
            raise AgentFailed(
                f"the service of {agent} answered with artifacts.{index}, which is not an object with type and payload"
            )
        if artifact["type"] not in publishes:
            raise AgentFailed(
                f"the service of {agent} answered with a {str(artifact['type'])[:128]}, which it does not publish: "
                f"declare it in publishes ({', '.join(publishes)})"
            )
        outputs.append(Output(artifact["type"], artifact["payload"]))
    return outputs


def pause_seconds(answer: Answer, now: float) -> float | None:
    """For how long a service asks to be left alone, `now` (seconds since the epoch). None: it does not say so."""
    if answer.status not in (429, 503) or answer.retry_after is None:
        return None
    said = answer.retry_after.strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except ValueError:
        return None


def is_final(answer: Answer) -> bool:
    """Whether a service refuses a request for good: it was understood, and it does not say when to come back."""
    return 400 <= answer.status < 500 and answer.status not in _FOR_NOW and answer.retry_after is None


def refusal(answer: Answer, redacted: Callable[[str], str]) -> str:
    """An answer that is no success, as the rest of a sentence that begins with the service.

    `redacted` takes out of its words what was told to it in confidence, before they are cut.
    """
    status = f"{answer.status} {answer.reason}".strip()
    if 300 <= answer.status < 400:
        where = f" to {redacted(answer.location)[:_SAID_CHARACTERS]}" if answer.location else ""
        return f"answered {status}, a redirect{where}, and none is followed: declare the url that answers"
    said = _said(answer.body, redacted)
    return f"answered {status}: {said}" if said else f"answered {status}"


def _said(body: bytes, redacted: Callable[[str], str]) -> str:
    """The service's own words, on one line and bounded."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace")
    else:
        text = _sentence(document)
    words = redacted(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
    return words if len(words) <= _SAID_CHARACTERS else words[:_SAID_CHARACTERS] + "…"


def _sentence(document: Any) -> str:
    if isinstance(document, str):
        return document
    if isinstance(document, dict):
        for key in _SAYING:
            said = document.get(key)
            if isinstance(said, dict):  # {"error": {"message": …}}
                said = said.get("message")
            if isinstance(said, str) and said:
                return said
    return orjson.dumps(document).decode()
