"""What an author says of the service that an agent is, and what the environment adds to it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flockd.engines.address import url_problem
from flockd.engines.confidential import without
from flockd.engines.signing import key_of

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PRINTABLE = re.compile(r"[\t\x20-\x7e]+")
_OWN = frozenset(
    ("connection", "content-encoding", "content-length", "content-type", "expect", "host", "idempotency-key",
     "te", "trailer", "transfer-encoding", "upgrade",
     "webhook-id", "webhook-timestamp", "webhook-signature")
)  # fmt: skip
"""Headers that each request has anyway, or that belong to its connection."""


class Secrets(NamedTuple):
    """What a request needs of the environment. Never stored, logged or shown."""

    headers: dict[str, str]
    key: str | None
    """What signs it."""

    def redacted(self, text: str) -> str:
        """A text of the service without what was told to it in confidence."""
        return without(text, [*self.headers.values(), *([self.key] if self.key else [])])


@dataclass(frozen=True, slots=True)
class Target:
    """A service. Raises ValueError with a sentence for what can be seen to be wrong before anything is sent."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of each request: header → name of the environment variable that holds its value."""
    secret_env: str | None = None
    """The environment variable with the secret that signs each request."""
    allow_private: bool = False
    """Whether the service may be at a private address."""

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):
            raise ValueError(f"url is {self.url!r}: write https://host/path")
        if type(self.allow_private) is not bool:
            raise ValueError(f"allow_private is {self.allow_private!r}: give it True or False")
        if problem := url_problem(self.url, allow_private=self.allow_private):
            raise ValueError(f"url: {problem}")
        if not isinstance(self.headers, Mapping):
            raise ValueError('headers is no table: write headers = {Authorization = "NAME_OF_A_VARIABLE"}')
        given: Mapping[Any, object] = self.headers
        for header, variable in given.items():
            if not isinstance(header, str) or not _HEADER.fullmatch(header):
                raise ValueError(f"headers has {header!r}, which is no name of a header")
            if header.lower() in _OWN:
                raise ValueError(f"headers has {header}, which flockd sets itself: take it away")
            _check_variable(f"headers has for {header}", variable)
        if self.secret_env is not None:
            _check_variable("secret_env is", self.secret_env)

    def secrets(self) -> Secrets:
        """What the environment holds now. Raises ValueError with a sentence that names the variable that it lacks."""
        headers = {
            header: _value(variable, f"the header {header}") for header, variable in self.headers.items()
        }
        if self.secret_env is None:
            return Secrets(headers, None)
        key = _value(self.secret_env, "the signature")
        try:
            key_of(key)
        except ValueError as error:
            raise ValueError(f"the secret in the environment variable {self.secret_env}: {error}") from None
        return Secrets(headers, key)


def _check_variable(what: str, variable: object) -> None:
    """Raise ValueError for what is no name of a variable, without quoting it: it may be the value itself."""
    if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
        raise ValueError(
            f"{what} something that is no name of an environment variable: write its name, and put the value "
            "into the environment"
        )


def _value(variable: str, what: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ValueError(f"the environment variable {variable} is not set, which holds {what}")
    if not _PRINTABLE.fullmatch(value):
        raise ValueError(f"the environment variable {variable} has characters that {what} cannot have")
    return value
