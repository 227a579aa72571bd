"""From a request to a `Publication`, and from a `Published` to its answer."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from flockd.api.bodies import ArtifactBody, InputBody
from flockd.api.keys import ApiSettings
from flockd.board import Publication, Published
from flockd.domain.identity import parse_id
from flockd.domain.priority import Priority
from flockd.domain.visibility import PUBLIC
from flockd.errors import InvalidInput

X_CORRELATION_ID = "X-Correlation-ID"


def publication(body: InputBody, settings: ApiSettings, prefix: str = "") -> Publication:
    """One artifact as the board takes it. Raises InvalidInput past the limits for tags."""
    if body.tags:
        _check_tags(body.tags, settings, prefix)
    return Publication(
        type=body.type,
        payload=orjson.dumps(body.payload),
        tags=tuple(dict.fromkeys(body.tags)),
        partition_key=body.partition_key,
        visibility=body.visibility or PUBLIC,
        correlation_id=body.correlation_id if isinstance(body, ArtifactBody) else None,
        priority=priority(body.priority) if isinstance(body, ArtifactBody) else None,
    )


def priority(word: str | None) -> Priority | None:
    return None if word is None else Priority[word]


def correlation_id(request: web.Request, given: str | None) -> str | None:
    """The one of the body, or that of the header. Raises InvalidInput where they differ."""
    header = request.headers.get(X_CORRELATION_ID)
    if header is None:
        return given
    found = parse_id(header)
    if found is None:
        raise InvalidInput.field(X_CORRELATION_ID, "Must be a UUID", "uuid")
    if given is not None and given != found:
        raise InvalidInput.field(
            "correlation_id",
            f"The body and the header {X_CORRELATION_ID} name different workflows",
            "ambiguous",
        )
    return found


def accepted(published: Published) -> dict[str, Any]:
    """The answer to a publication that is durable."""
    return {
        "status": "accepted",
        "artifact_id": published.artifact_id,
        "correlation_id": published.correlation_id,
        "seq": published.seq,
    }


def _check_tags(tags: list[str], settings: ApiSettings, prefix: str) -> None:
    if len(tags) > settings.tags_per_artifact:
        issue = f"At most {settings.tags_per_artifact} tags (limits.tags_per_artifact)"
        raise InvalidInput.field(f"{prefix}tags", issue, "too_many")
    for index, tag in enumerate(tags):
        if len(tag) > settings.tag_chars:
            issue = f"At most {settings.tag_chars} characters (limits.tag_chars)"
            raise InvalidInput.field(f"{prefix}tags.{index}", issue, "too_long")
