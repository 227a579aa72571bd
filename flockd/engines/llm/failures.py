"""What a provider's failure means: whether the request is sent again, what it took, and what people are told.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnexpectedModelBehavior,
)

from flockd.engines.confidential import without_secrets

_BUSY = frozenset({408, 429})
_FINAL = frozenset({400, 401, 403, 404, 413, 422})
"""What the provider refuses whenever it is asked: the request is wrong or too long, or the key or the model is."""
_MESSAGE_CHARACTERS = 500


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
    status: int | None = None
    """Of HTTP, where the provider refused the request."""
    is_final: bool = False
    """Whether it would refuse the request in a later attempt, too."""


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
        status = error.status_code
        return Failure(
            f"refused the request ({status}): {said}",
            again=(status in _BUSY or status >= 500) and not isinstance(error, ModelQuotaExceededError),
            after=error.retry_after,
            untaken=True,
            status=status,
            is_final=status in _FINAL and not _may_pass(error),
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


def _may_pass(error: ModelHTTPError) -> bool:
    """Whether the provider says more than its status does: that this is about now, and not about the request."""
    return (
        error.retry_after is not None
        or error.provider_retry_hint is True
        or error.in_stream  # its status is but what the library makes of it
        or isinstance(
            error, (ModelQuotaExceededError, ModelRateLimitError, ModelServerError, ModelUnavailableError)
        )
    )


def _message(error: BaseException, key_variable: str | None) -> str:
    """What the provider said, else what went wrong below; without secrets, on one line."""
    said = _said(getattr(error, "body", None)) if isinstance(error, ModelAPIError) else None
    if said is None:
        while (error.__cause__ or error.__context__) is not None and not isinstance(error, ModelHTTPError):
            error = error.__cause__ or error.__context__ or error
        said = str(error) or type(error).__name__
    said = without_secrets(said, key_variable)  # first, since one may have line breaks in it
    return " ".join(said.split())[:_MESSAGE_CHARACTERS]


def _said(body: object) -> str | None:
    """The sentence in the body of an error, which providers wrap in their ways."""
    match body:
        case {"message": str(text)} | {"error": {"message": str(text)}} | {"error": str(text)} if text:
            return text
        case {"detail": str(text)} | str(text) if text:
            return text
    return None
