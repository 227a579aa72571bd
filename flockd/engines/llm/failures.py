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
_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
"""Who an address is for, and the password."""


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


class TooLong(Exception):
    """An answer that was left, since it grew beyond what is kept. The message is a clause as in `Failure.what`."""


def failure_of(
    error: Exception, *, begun: bool, timeout_seconds: float, key_variable: str | None = None
) -> Failure:
    """What became of a request; `begun`: some of its answer had come. `key_variable` holds the key that was sent."""
    said = _message(error, key_variable)
    if isinstance(error, TooLong):
        return Failure(said, again=False)
    if isinstance(error, TimeoutError) or (isinstance(error, ModelTimeoutError) and error.phase == "read"):
        return Failure(f"did not answer within {timeout_seconds:g} s (timeout_seconds)", again=False)
    if begun:
        return Failure(f"broke off in the middle of its answer: {said}", again=False)
    if isinstance(error, ModelHTTPError):
        refused_for_now = error.status_code in _BUSY or error.status_code >= 500
        return Failure(
            f"refused the request ({error.status_code}): {said}",
            again=refused_for_now and not isinstance(error, ModelQuotaExceededError),
            after=error.retry_after,
            untaken=True,
        )
    if isinstance(error, ModelConnectionError):
        return Failure(
            f"could not be reached: {said}",
            again=True,
            untaken=error.phase in ("pool", "connect"),
        )
    if isinstance(error, (ModelAPIError, UnexpectedModelBehavior)):
        return Failure(f"gave no answer: {said}", again=False)
    return Failure(f"could not be asked: {type(error).__name__}: {said}", again=False)


def _message(error: BaseException, key_variable: str | None) -> str:
    """What the provider said, else what went wrong below; without secrets, on one line."""
    said = _said(getattr(error, "body", None)) if isinstance(error, ModelAPIError) else None
    if said is None:
        while (error.__cause__ or error.__context__) is not None and not isinstance(error, ModelHTTPError):
            error = error.__cause__ or error.__context__ or error
        said = str(error) or type(error).__name__
    return without_secrets(" ".join(said.split()), key_variable)[:_MESSAGE_CHARACTERS]


def _said(body: object) -> str | None:
    """The sentence in the body of an error, which providers wrap in their ways."""
    match body:
        case {"message": str(text)} | {"error": {"message": str(text)}} | {"error": str(text)} if text:
            return text
        case {"detail": str(text)} | str(text) if text:
            return text
    return None


def without_secrets(text: str, key_variable: str | None = None) -> str:
    """The text without the values of environment variables that are named like secrets, or as `key_variable`, and
    without what stands before the host of an address.
    """
    for name, value in os.environ.items():
        if len(value) >= _SECRET_CHARACTERS and (name == key_variable or _SECRET_NAME.search(name)):
            text = text.replace(value, "***")
    return _LOGIN.sub("***@", text)
