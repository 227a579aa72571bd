"""What a batch's client wants of its results, kept in the batch's row."""

from __future__ import annotations

from typing import NamedTuple

import orjson


class BatchOptions(NamedTuple):
    """The fields of these names in the request."""

    return_errors: bool
    write_to_csv: str | None

    @classmethod
    def load(cls, stored: bytes) -> BatchOptions:
        """From a row. What is not there was started by somebody else, who had no options."""
        options = orjson.loads(stored)
        return cls(bool(options.get("return_errors")), options.get("write_to_csv"))

    def dump(self) -> bytes:
        return orjson.dumps(self._asdict())
