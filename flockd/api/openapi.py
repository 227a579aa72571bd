"""The OpenAPI 3.1 document, made from tables of routes and the models that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from flockd.api.answers import Problem
from flockd.api.bodies import BulkBody
from flockd.api.idempotency import IDEMPOTENCY_KEY, KEY, X_IDEMPOTENCY_KEY
from flockd.api.keys import ApiSettings
from flockd.api.middleware import X_REQUEST_ID
from flockd.api.problem import PROBLEM_JSON
from flockd.api.publication import X_CORRELATION_ID
from flockd.errors import (
    Conflict,
    FlockdError,
    IdempotencyMismatch,
    InvalidInput,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from flockd.routing import JSON, Route
from flockd.streams.cursor import LAST_EVENT_ID

Json = dict[str, Any]

DESCRIPTION = (
    "Publish typed artifacts; the agents that subscribe to them wake up, and what they produce goes back on "
    "the board. A 200 to a publication means that it is on disk. Every error is an application/problem+json."
)
_REF = "#/components/schemas/{model}"
_PART = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_PARTS: dict[str, Json] = {
    "artifact_id": {"description": "The id of an artifact.", "schema": {"type": "string", "format": "uuid"}},
    "run_id": {"description": "The id of a run.", "schema": {"type": "string", "format": "uuid"}},
    "correlation_id": {
        "description": "The id of a workflow.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "execution_id": {
        "description": "The id of an execution.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "question_id": {"description": "The id of a question.", "schema": {"type": "string", "format": "uuid"}},
    "session_id": {"description": "The id of a session.", "schema": {"type": "string", "format": "uuid"}},
    "batch_id": {"description": "The id of a batch.", "schema": {"type": "string", "format": "uuid"}},
    "name": {
        "description": "The name of an agent; case, - and _ do not count.",
        "schema": {"type": "string", "minLength": 1},
    },
}
_TAGS = {
    "artifacts": "Publish and read typed values.",
    "agents": "Who is woken by them.",
    "correlations": "Workflows: everything that grew from one publication.",
    "runs": "Each piece of work of an agent.",
    "questions": "What runs ask people.",
    "types": "What artifacts may be.",
    "events": "The log, live.",
    "flock": "Runs and batches, by the routes of Flock's REST server; under /api, too.",
    "executions": "Executions of flows; each flow has a tag of its own.",
    "workflows": "Workflows that are asked for by name, and how far they are.",
    "admin": "Checking, copying and emptying the board.",
    "operations": "For probes and dashboards.",
    "pages": "For people.",
}


def document(routes: Sequence[Route], version: str, settings: ApiSettings) -> Json:
    """The whole document. Operations are the routes that are `documented`, limits those that are set."""
    shown = [route for route in routes if route.documented]
    models = dict.fromkeys(model for route in shown for model in _models(route))
    refs, definitions = models_json_schema(list(models), ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in shown:
        paths.setdefault(_PART.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(route, refs)
    used = dict.fromkeys(route.tag for route in shown)
    found = {
        "openapi": "3.1.0",
        "info": {"title": settings.name, "version": version, "description": DESCRIPTION},
        "tags": [{"name": tag, "description": _TAGS.get(tag, "")} for tag in used],
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }
    _set_limits(found, settings)
    _require_discriminators(found)
    return found


Refs = Mapping[Any, Json]
"""By (model, mode)."""


def _models(route: Route) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    if route.body is not None:
        yield route.body, "validation"
    if route.response is not None:
        yield route.response, "serialization"
    yield Problem, "serialization"


def _operation(route: Route, refs: Refs) -> Json:
    operation: Json = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route, refs),
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _body_content(route, refs)}
    return operation


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in _PART.findall(route.path):
        known = _PARTS.get(name, {"schema": {"type": "string", "minLength": 1}})
        yield {"name": name, "in": "path", "required": True, **known}


def _query_parameters(route: Route) -> Iterator[Json]:
    if route.query is None:
        return
    schema = route.query.model_json_schema()
    definitions = schema.get("$defs", {})
    for name, described in schema["properties"].items():
        bare = {
            key: value for key, value in described.items() if key not in ("description", "title", "examples")
        }
        parameter = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": described.get("description", ""),
            "schema": _resolved(_without_null(bare), definitions),
        }
        if parameter["schema"].get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        yield parameter


def _without_null(schema: Json) -> Json:
    """A parameter is left out, never null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if not branches:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return rest | branches[0] if len(branches) == 1 else rest | {"anyOf": branches}


def _resolved(schema: Any, definitions: Json) -> Any:
    """With references written out: parameters have no definitions of their own."""
    if isinstance(schema, list):
        return [_resolved(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _resolved(value, definitions) for key, value in schema.items()}


def _set_limits(document: Json, settings: ApiSettings) -> None:
    """What models cannot say, since it is configured."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if (parameter["in"], parameter["name"]) == ("query", "offset"):
                    parameter["schema"]["maximum"] = settings.offset_max
    for name, schema in document["components"]["schemas"].items():
        properties = schema.get("properties", {})
        if name.endswith("Body") and "tags" in properties:
            properties["tags"]["maxItems"] = settings.tags_per_artifact
            properties["tags"]["items"]["maxLength"] = settings.tag_chars
        if name == BulkBody.__name__:
            properties["items"]["maxItems"] = settings.bulk_items


def _require_discriminators(document: Json) -> None:
    """A field with a default is not required, but without this one nobody knows which model is meant."""
    schemas = document["components"]["schemas"]
    for schema in list(schemas.values()):
        for branch in _unions(schema):
            discriminator = branch["discriminator"]
            for ref in discriminator["mapping"].values():
                model = schemas[ref.rpartition("/")[2]]
                model["required"] = sorted({*model.get("required", ()), discriminator["propertyName"]})


def _unions(schema: Any) -> Iterator[Json]:
    if isinstance(schema, dict):
        if "discriminator" in schema:
            yield schema
        for child in schema.values():
            yield from _unions(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from _unions(child)


def _header_parameters(route: Route) -> Iterator[Json]:
    yield _header(
        X_REQUEST_ID, "Comes back if it is 1 to 128 safe characters, and stands in the log beside errors."
    )
    if route.publishes or route.keyed:
        meaning = "The same key with the same body is the same request: it takes effect once."
        yield _header(X_IDEMPOTENCY_KEY, meaning, pattern=f"^{KEY}$")
        yield _header(IDEMPOTENCY_KEY, f"As {X_IDEMPOTENCY_KEY}.", pattern=f"^{KEY}$")
    if route.publishes:
        yield _header(X_CORRELATION_ID, "The workflow, as `correlation_id` in the body.", format="uuid")
    if "text/event-stream" in route.response_media:
        yield _header(LAST_EVENT_ID, "The seq after which the stream goes on; it wins over `after`.")


def _header(name: str, description: str, **keywords: str) -> Json:
    schema = {"type": "string", **keywords}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _body_content(route: Route, refs: Refs) -> Json:
    assert route.body is not None
    ref = refs[route.body, "validation"]
    text = {"schema": {"type": "string", "description": "One item per line."}}
    return {media: {"schema": ref} if media == JSON else text for media in route.body_media}


def _responses(route: Route, refs: Refs) -> Json:
    problem = {PROBLEM_JSON: {"schema": refs[Problem, "serialization"]}}
    request_id = {X_REQUEST_ID: {"schema": {"type": "string"}, "description": "Of this request."}}
    if route.response is not None:
        content: Json = {JSON: {"schema": refs[route.response, "serialization"]}}
    else:
        content = {media: {"schema": {"type": "string"}} for media in route.response_media}
    responses: Json = {"200": {"description": "Done.", "headers": dict(request_id), "content": content}}
    if not content:
        responses = {"101": {"description": "The WebSocket is open.", "headers": dict(request_id)}}
    if route.publishes or route.keyed:
        responses["200"]["headers"]["Idempotency-Replayed"] = {
            "schema": {"type": "string", "enum": ["true"]},
            "description": "Present where this key was used before: nothing new was stored.",
        }
    if route.no_content is not None:
        responses["204"] = {"description": route.no_content, "headers": dict(request_id)}
    for error in _errors(route):
        status = str(error.status)
        sentence = HTTPStatus(error.status).phrase + ": " + (error.__doc__ or "").strip().splitlines()[0]
        responses.setdefault(
            status, {"description": sentence, "headers": dict(request_id), "content": problem}
        )
    return dict(sorted(responses.items()))


def _errors(route: Route) -> Iterator[type[FlockdError]]:
    """The route's own, and what its inputs can bring about."""
    yield from route.errors
    if route.publishes:
        yield from (Conflict, TooLarge)
    if route.publishes or route.keyed:
        yield IdempotencyMismatch
    if route.publishes or route.starts_work:
        yield Unavailable
    if not route.any_query or route.body is not None:
        yield InvalidInput
    if route.method != "GET":
        yield TooLarge
        yield UnsupportedMediaType
    yield FlockdError
