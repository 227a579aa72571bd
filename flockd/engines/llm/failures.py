"""What a provider's failure means: whether the request is sent again, what it took, and what people are told.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)

_BUSY = frozenset({408, 429})
_MESSAGE_CHARACTERS = 500
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SECRET_CHARACTERS = 8
"""A shorter value is no secret that could be told from other words."""


class Failure(NamedTuple):
    """One request that got no answer."""

    what: str
    """A clause that follows the name of the model."""
    again: bool
    """Whether it may be sent again at once, or after `after`."""
    after: float | None = None
    """Seconds that the provider asked everybody to wait."""
    untaken: bool = False
    """Whether it is known that no tokens were taken."""


def failure_of(error: Exception, *, begun: bool, timeout_seconds: float) -> Failure:
    """What became of a request; `begun`: some of its answer had come."""
    if isinstance(error, TimeoutError) or (isinstance(error, ModelTimeoutError) and error.phase == "read"):
        return Failure(f"did not answer within {timeout_seconds:g} s (timeout_seconds)", again=False)
    if begun:
        return Failure(f"broke off in the middle of its answer: {_message(error)}", again=False)
    if isinstance(error, ModelHTTPError):
        refused_for_now = error.status_code in _BUSY or error.status_code >= 500
        return Failure(
            f"refused the request ({error.status_code}): {_message(error)}",
            again=refused_for_now and not isinstance(error, ModelQuotaExceededError),
            after=error.retry_after,
            untaken=True,
        )
    if isinstance(error, ModelConnectionError):
        return Failure(
            f"could not be reached: {_message(error)}",
            again=True,
            untaken=error.phase in ("pool", "connect"),
        )
    if isinstance(error, (ModelAPIError, UnexpectedModelBehavior)):
        return Failure(f"gave no answer: {_message(error)}", again=False)
    return Failure(f"could not be asked: {type(error).__name__}: {_message(error)}", again=False)


def _message(error: BaseException) -> str:
    """What the provider said, else what went wrong below; without secrets, on one line."""
    said = _said(getattr(error, "body", None)) if isinstance(error, ModelAPIError) else None
    if said is None:
        while (error.__cause__ or error.__context__) is not None and not isinstance(error, ModelHTTPError):
            error = error.__cause__ or error.__context__ or error
        said = str(error) or type(error).__name__
    return without_secrets(" ".join(said.split()))[:_MESSAGE_CHARACTERS]


def _said(body: object) -> str | None:
    """The sentence in the body of an error, which providers wrap in their ways."""
    match body:
        case {"message": str(text)} | {"error": {"message": str(text)}} | {"error": str(text)} if text:
            return text
        case {"detail": str(text)} | str(text) if text:
            return text
    return None


def without_secrets(text: str) -> str:
    """The text without the values of environment variables that are named like secrets."""
    for name, value in os.environ.items():
        if len(value) >= _SECRET_CHARACTERS and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return text
