"""Gathering: agents whose runs take several artifacts that need not be of one workflow, by a key or by number.

What is gathered waits for a bounded time, holds its correlations open meanwhile, and never mixes tenants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from flockd.domain.duration import seconds
from flockd.domain.predicate import compile_path

_KEY_CHARACTERS = 500
"""Of one key; it is part of an index."""
BATCH_MOST = 1000
"""Artifacts of one batch: they are the inputs of one run, held in memory together."""

NO_KEY = ""
"""The key of a batch that has none: all of a tenant are one."""


class JoinSpec:
    """An AND over a key of the payload: one artifact of each type whose keys are equal, from any workflow.

    `by` is a field path (`order.id`), or one per type; `within` is how long an artifact waits for its partners. What
    finds none in that time is told in `join.expired`. Raises ValueError.
    """

    def __init__(self, by: str | Mapping[str, str], within: str | float | timedelta) -> None:
        if not isinstance(by, (str, Mapping)):
            raise ValueError(f"the key of a join is a field path, or one for each type, not {by!r}")
        self.by = by if isinstance(by, str) else dict(by)
        self.within_ms = int(seconds(within) * 1000)
        paths = {"": by} if isinstance(by, str) else dict(by)
        self._paths: dict[str, Callable[[Any], Any]] = {
            name: _compiled(name, path) for name, path in paths.items()
        }

    def __repr__(self) -> str:
        return f"JoinSpec(by={self.by!r}, within={self.within_ms / 1000:g})"

    def document(self) -> dict[str, Any]:
        """The wire form."""
        return {"by": self.by, "within_seconds": self.within_ms / 1000}

    def key_of(self, type: str, document: Any) -> str | None:
        """The key of a payload; None where it has none."""
        path = self._paths.get(type) or self._paths.get("")
        return None if path is None else key_text(path(document))

    def lacks(self, types: tuple[str, ...]) -> list[str]:
        """The types that have no path to their key."""
        return [name for name in types if name not in self._paths and "" not in self._paths]


class BatchSpec:
    """Several artifacts at once: `size` of them, or what is there when the first has waited for `timeout`.

    With `by`, a field path, those of one key. Raises ValueError.
    """

    def __init__(self, size: int, timeout: str | float | timedelta, by: str | None = None) -> None:
        if type(size) is not int or not 1 <= size <= BATCH_MOST:
            raise ValueError(f"the size of a batch is 1 to {BATCH_MOST}, not {size!r}")
        self.size = size
        self.within_ms = int(seconds(timeout) * 1000)
        self.by = by
        self._path = None if by is None else _compiled("", by)

    def __repr__(self) -> str:
        by = "" if self.by is None else f", by={self.by!r}"
        return f"BatchSpec(size={self.size}, timeout={self.within_ms / 1000:g}{by})"

    def document(self) -> dict[str, Any]:
        """The wire form."""
        return {"size": self.size, "timeout_seconds": self.within_ms / 1000, "by": self.by}

    def key_of(self, type: str, document: Any) -> str | None:
        """The key of a payload; None where it has none."""
        return NO_KEY if self._path is None else key_text(self._path(document))


Gathering = JoinSpec | BatchSpec


def _compiled(type: object, path: object) -> Callable[[Any], Any]:
    """The key's path of a type; "" is any."""
    if not isinstance(type, str):
        raise ValueError(
            f'a join has its paths by the names of types, such as {{"Order": "id"}}, not by {type!r}'
        )
    if not isinstance(path, str):
        raise ValueError(f'a key is a field path, such as "order.id", not {path!r}')
    return compile_path(path)


def key_text(value: Any) -> str | None:
    """A key as it is stored: equal for equal JSON values; None for what is no key (null, a list, an object)."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)  # as JSON, 1 and 1.0 are one number
    text = orjson.dumps(value).decode()
    return text if len(text) <= _KEY_CHARACTERS else None
