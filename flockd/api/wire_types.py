"""The types of single values on the wire, shared by bodies, queries and answers."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from flockd.domain.identity import parse_id
from flockd.domain.moment import parse_iso

_WHOLE = re.compile(r"-?[0-9]{1,40}")


def _id(value: Any) -> str:
    found = parse_id(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("uuid", "Must be a UUID")
    return found


def _moment(value: Any) -> int:
    try:
        return parse_iso(value)
    except (ValueError, TypeError, OverflowError):
        raise PydanticCustomError(
            "datetime", "Must be an ISO 8601 time such as 2026-11-21T02:00:00Z (without a zone it is UTC)"
        ) from None


def _whole(value: Any) -> Any:
    """A query's text as a number. pydantic alone would take `1_0`, ` 5 ` and `3.0`, too."""
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise PydanticCustomError("int_parsing", "Must be a whole number")
    return value


def _truth(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false", "1", "0"):
        raise PydanticCustomError("bool_parsing", "Must be true or false")
    return value


Id = Annotated[str, BeforeValidator(_id), WithJsonSchema({"type": "string", "format": "uuid"})]
"""A UUID in any of its spellings; the canonical text."""

Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An ISO 8601 time as milliseconds since the epoch; a naive one is UTC."""

QueryInt = Annotated[int, BeforeValidator(_whole)]
QuerySeq = Annotated[int, Field(ge=0, le=2**63 - 1), BeforeValidator(_whole)]
QueryBool = Annotated[bool, BeforeValidator(_truth)]

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-21T02:00:00.000Z"])]
"""The wire form of a time, UTC."""
