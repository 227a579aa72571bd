"""The type of a route. Tables of routes drive the routing, the validation and the OpenAPI document alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from flockd.errors import FlockdError

if TYPE_CHECKING:
    from aiohttp import web

Query = TypeVar("Query", bound="BaseModel | None")
Body = TypeVar("Body", bound="BaseModel | bytes | None")

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Call(Generic[Query, Body]):
    """One request whose input has been checked: what a handler gets."""

    request: web.Request
    query: Query
    """An instance of the route's query model, None where it has none."""
    body: Body
    """An instance of the route's body model; bytes where they came as another of its media; else None."""
    parsed: Any
    """The JSON of the body as plain data: what an idempotency key is bound to."""

    @property
    def app(self) -> web.Application:
        return self.request.app

    def part(self, name: str) -> str:
        """A variable part of the path, decoded."""
        return self.request.match_info[name]


Handler = Callable[[Call[Any, Any]], Awaitable["bytes | web.StreamResponse"]]
"""Takes what was checked; returns the JSON of a 200, or any other response; raises FlockdError."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a table of routes."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """With `{name}` for a variable part. GET answers HEAD too; a slash at the end changes nothing."""
    handler: Handler
    """Its name is the operation id, the first line of its docstring the summary, unless they are given."""
    tag: str
    query: type[BaseModel] | None = None
    """None: a query string is refused."""
    body: type[BaseModel] | None = None
    """None: a body is refused, unless it is an empty object."""
    response: type[BaseModel] | None = None
    """Of a 200; only documents it."""
    errors: tuple[type[FlockdError], ...] = ()
    """Those that are particular to this route; what any route may answer is not repeated."""
    publishes: bool = False
    """Puts something new on the board: honours idempotency keys and X-Correlation-ID; starts work."""
    keyed: bool = False
    """Honours idempotency keys, though it publishes nothing."""
    starts_work: bool = False
    """Refused while the daemon starts or drains."""
    bulk: bool = False
    """The body may have `limits.bulk_body_bytes` instead of `limits.body_bytes`."""
    body_media: tuple[str, ...] = (JSON,)
    """What the body may be. Anything but JSON reaches the handler as bytes."""
    response_media: tuple[str, ...] = (JSON,)
    no_content: str | None = None
    """When it answers 204; only documents it. None: never."""
    any_query: bool = False
    """A query string is the business of whoever reads the page, and not looked at."""
    documented: bool = True
    """Whether it is an operation of the OpenAPI document."""
    operation: str | None = None
    """The operation id, where several routes have one handler."""
    about: str | None = None
    """Instead of the handler's docstring."""

    @property
    def operation_id(self) -> str:
        if self.operation is not None:
            return self.operation
        return getattr(self.handler, "__name__", self.path)

    @property
    def summary(self) -> str:
        return (self._about or self.operation_id).strip().splitlines()[0].rstrip(".")

    @property
    def description(self) -> str:
        return " ".join(" ".join(self._about.strip().splitlines()[1:]).split())

    @property
    def _about(self) -> str:
        return self.about or self.handler.__doc__ or ""


def reserved_names(routes: Iterable[Route]) -> set[str]:
    """The first segments under /api/v1 that have routes: agents and flows may not be called so."""
    prefix = "/api/v1/"
    firsts = {
        route.path.removeprefix(prefix).split("/")[0] for route in routes if route.path.startswith(prefix)
    }
    return {first for first in firsts if not first.startswith("{")}
