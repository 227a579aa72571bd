"""`/api/v1/ws`: the log over WebSocket, and publishing and cancelling beside it.

A message is a JSON object with an `action`. What the client sends is answered in its order, one after another; a bad
message gets an error, and the socket stays open.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import orjson
from aiohttp import web
from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from flockd.api import json_body
from flockd.api.bodies import ArtifactBody, BodyModel, empty_list
from flockd.api.event_filters import event_filter
from flockd.api.keys import BOARD, DAEMON, METRICS, SETTINGS, STREAMS
from flockd.api.publication import accepted, publication
from flockd.api.validation import validated
from flockd.api.wire_types import Id
from flockd.errors import Conflict, FlockdError, InvalidInput, NotFound, TooLarge, Unavailable, nearest
from flockd.routing import Call
from flockd.streams.cursor import start
from flockd.streams.encode import WebSocketMessages
from flockd.streams.subscription import Subscription
from flockd.streams.websocket import Socket, websocket

log = logging.getLogger(__name__)

ID_CHARS = 200
"""The longest name of a subscription or a message: it comes back with every event."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=ID_CHARS)]
Words = Annotated[list[str], BeforeValidator(_listed)]
Ids = Annotated[list[Id], BeforeValidator(_listed)]


class FilterBody(BodyModel):
    """As the query of `/api/v1/events`; each value may be a string or a list of them."""

    kind: Words = empty_list("Kinds of events.")
    agent: Words = empty_list("Of these agents.")
    correlation_id: Ids = empty_list("Of these workflows.")
    type: Words = empty_list("With an artifact of these types.")
    produced_by: Words = empty_list("With an artifact by these agents.")
    tag: Words = empty_list("With an artifact that has all of these tags.")
    partition_key: Words = empty_list("With an artifact of these partition keys.")
    where: Words = empty_list("With an artifact whose payload makes this true.")


class Message(BodyModel):
    """What all messages have."""

    action: str
    id: Name | None = Field(None, description="Comes back with the answer.")


class Subscribe(Message):
    """Follow the log, under a name of the client's."""

    id: Name
    filter: FilterBody = Field(default_factory=FilterBody)
    after: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] | None = None
    from_: Literal["start"] | None = Field(None, alias="from")


class Unsubscribe(Message):
    """Follow it no longer."""

    id: Name


class Publish(Message):
    """Put an artifact on the board."""

    artifact: dict[str, Any] = Field(description="The body of POST /api/v1/artifacts.")


class Cancel(Message):
    """End a workflow or a run."""

    correlation_id: Id | None = None
    run_id: Id | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Cancel:
        if (self.correlation_id is None) == (self.run_id is None):
            raise PydanticCustomError("one_of", "Name either a correlation_id or a run_id")
        return self


class Ping(Message):
    """Ask for a pong."""


async def open_socket(call: Call[None, None]) -> web.StreamResponse:
    """Open a WebSocket.

    For any number of subscriptions to the log, and for publishing and cancelling. Pages of other sites are refused.
    """
    app = call.app
    return await websocket(call.request, app[STREAMS], lambda socket: Conversation(app, socket).run())


class Conversation:
    """One client's, over one socket."""

    def __init__(self, app: web.Application, socket: Socket) -> None:
        self._app = app
        self._streams = app[STREAMS]
        self._socket = socket
        self._subscriptions: dict[str, Subscription] = {}
        self._actions: dict[str, tuple[type[Message], Callable[[Any], Awaitable[None]]]] = {
            "subscribe": (Subscribe, self._subscribe),
            "unsubscribe": (Unsubscribe, self._unsubscribe),
            "publish": (Publish, self._publish),
            "cancel": (Cancel, self._cancel),
            "ping": (Ping, self._ping),
        }

    async def run(self) -> None:
        """Answer message after message, until the client closes the socket."""
        while (message := await self._socket.receive()) is not None:
            given: Any = None
            try:
                if isinstance(message, bytes):
                    raise InvalidInput("Messages are text; this one was binary")
                given = self._parsed(message)
                await self._act(given)
            except FlockdError as error:
                self._refuse(given, error)
            except ConnectionError:
                raise
            except Exception:
                log.exception("a message over WebSocket failed")
                self._refuse(given, FlockdError("An internal error; the log has it"))

    def _parsed(self, message: str) -> Any:
        depth_max = self._app[SETTINGS].json_depth + 1  # of the artifact in it
        return json_body.parse(message.encode(), depth_max)

    async def _act(self, given: Any) -> None:
        if not isinstance(given, dict):
            raise InvalidInput("A message is a JSON object")
        action = given.get("action")
        known = self._actions.get(action) if isinstance(action, str) else None
        if known is None:
            near = nearest(action, self._actions) if isinstance(action, str) else None
            hint = f"; did you mean {near}?" if near else f": one of {', '.join(self._actions)}"
            raise InvalidInput.field("action", f"There is no such action{hint}", "unknown_action")
        model, act = known
        await act(validated(model, given))

    # -- what a client may ask for ----------------------------------------------------------------------------------

    async def _subscribe(self, message: Subscribe) -> None:
        streams, limits = self._streams, self._streams.limits
        if message.id in self._subscriptions:
            raise Conflict(f"There is a subscription {message.id} on this socket")
        if len(self._subscriptions) >= limits.subscriptions_per_socket:
            raise Unavailable(
                f"{limits.subscriptions_per_socket} subscriptions are open on this socket "
                "(streams.subscriptions_per_socket)"
            )
        wanted = event_filter(
            message.filter, message.filter.correlation_id, self._app[BOARD].agents, limits, "filter."
        )
        begin = start(
            streams.hub, after=message.after, from_start=message.from_ == "start", last_event_id=None
        )
        connection = self._socket.connection
        subscription = Subscription(
            connection, wanted, WebSocketMessages(message.id), position=begin.position
        )
        self._subscriptions[message.id] = subscription
        self._acknowledge(message)
        streams.open(subscription, gap=begin.gap)

    async def _unsubscribe(self, message: Unsubscribe) -> None:
        subscription = self._subscriptions.pop(message.id, None)
        if subscription is None:
            raise NotFound(f"There is no subscription {message.id} on this socket")
        self._streams.close(subscription)
        self._acknowledge(message)

    async def _publish(self, message: Publish) -> None:
        app, settings = self._app, self._app[SETTINGS]
        state = app[DAEMON].state
        if state != "ready":
            raise Unavailable(f"The daemon is {state}; try again")
        if len(orjson.dumps(message.artifact)) > settings.body_bytes:
            raise TooLarge(
                f"The artifact is larger than {settings.body_bytes} bytes (limits.body_bytes)",
                details={"limit": settings.body_bytes},
            )
        body = validated(ArtifactBody, message.artifact, "artifact")
        published = await app[BOARD].publish(publication(body, settings, "artifact."))
        self._acknowledge(message, accepted(published))

    async def _cancel(self, message: Cancel) -> None:
        board = self._app[BOARD]
        if message.correlation_id is not None:
            correlation = await board.cancel_correlation(message.correlation_id)
            found = {"correlation_id": correlation.id, "state": correlation.wire_state}
        else:
            assert message.run_id is not None
            run = await board.cancel_run(message.run_id)
            found = {"run_id": run.id, "state": run.state.value}
        self._acknowledge(message, found)

    async def _ping(self, message: Ping) -> None:
        self._answer({"type": "pong"} if message.id is None else {"type": "pong", "id": message.id})

    # -- answers ----------------------------------------------------------------------------------------------------

    def _acknowledge(self, message: Message, fields: dict[str, Any] | None = None) -> None:
        self._answer({"type": "ack", "id": message.id, **(fields or {})})

    def _refuse(self, given: Any, error: FlockdError) -> None:
        self._app[METRICS].rejected(error.code)
        given_id = given.get("id") if isinstance(given, dict) else None
        shown = given_id if isinstance(given_id, str) and len(given_id) <= ID_CHARS else None
        self._answer({"type": "error", "id": shown, "error": error.code, "message": error.message})

    def _answer(self, document: dict[str, Any]) -> None:
        self._socket.send(orjson.dumps(document))
