"""Every error a caller can meet, as one tree: class = stable code and HTTP status, docstring = default sentence.

Handlers and verbs raise these; one middleware (`flockd.api.middleware`) makes the wire shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class FieldProblem(NamedTuple):
    """One thing wrong with one field: dotted path, sentence, machine-readable code."""

    field: str
    message: str
    code: str


class FlockdError(Exception):
    """Something went wrong inside flockd."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = dict(details) if details else None
        self.headers = dict(headers) if headers else {}
        super().__init__(self.message)


class InvalidInput(FlockdError):
    """The request is not valid."""

    code = "INVALID_INPUT"
    status = 400

    @classmethod
    def of(cls, problems: Sequence[FieldProblem], message: str | None = None) -> InvalidInput:
        """The error for one or more bad fields; `field` and `issue` in the details are those of the first."""
        first = problems[0]
        return cls(
            message or (f"{first.field}: {first.message}" if first.field else first.message),
            details={
                "field": first.field,
                "issue": first.message,
                "errors": [problem._asdict() for problem in problems],
            },
        )

    @classmethod
    def field(cls, field: str, issue: str, code: str = "invalid", message: str | None = None) -> InvalidInput:
        return cls.of([FieldProblem(field, issue, code)], message)


class Forbidden(FlockdError):
    """This is not allowed."""

    code = "FORBIDDEN"
    status = 403


class NotFound(FlockdError):
    """Not found."""

    code = "NOT_FOUND"
    status = 404


class MethodNotAllowed(FlockdError):
    """This method is not allowed here."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class Conflict(FlockdError):
    """The object's state does not allow this."""

    code = "CONFLICT"
    status = 409


class TooLarge(FlockdError):
    """The request is larger than a limit allows."""

    code = "TOO_LARGE"
    status = 413


class UnsupportedMediaType(FlockdError):
    """Send the header Content-Type: application/json."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class IdempotencyMismatch(FlockdError):
    """This idempotency key was used before with another request body."""

    code = "IDEMPOTENCY_MISMATCH"
    status = 422


class UpgradeRequired(FlockdError):
    """This route speaks WebSocket: send the headers Connection: Upgrade and Upgrade: websocket."""

    code = "UPGRADE_REQUIRED"
    status = 426

    def __init__(self) -> None:
        super().__init__(
            headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        )


class BudgetExceeded(FlockdError):
    """A budget is spent."""

    code = "BUDGET_EXCEEDED"
    status = 429


class AgentFailed(FlockdError):
    """The agent failed."""

    code = "AGENT_FAILED"
    status = 500

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        kind: str | None = None,
        is_final: bool = False,
    ) -> None:
        """`kind`: what an agent's `backoff` may call it. `is_final`: trying again cannot help."""
        super().__init__(message, details=details)
        self.kind = kind
        self.is_final = is_final


class Unavailable(FlockdError):
    """The daemon cannot take work right now; try again."""

    code = "UNAVAILABLE"
    status = 503

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after_seconds: int = 1,
    ) -> None:
        super().__init__(message, details=details, headers={"Retry-After": str(retry_after_seconds)})


class Overloaded(Unavailable):
    """The queue of commands is full; try again."""

    code = "OVERLOADED"


class OutcomeUnknown(Unavailable):
    """The store failed while committing; nobody knows whether this was stored. Repeat it under its idempotency key."""

    code = "OUTCOME_UNKNOWN"


class TimedOut(FlockdError):
    """The work did not finish in time; it goes on."""

    code = "TIMEOUT"
    status = 504


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely meant, or None (case and `-`/`_` do not count)."""
    folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None
