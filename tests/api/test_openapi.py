"""The OpenAPI documents say what the table of routes says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from flockd import api as native
from flockd import dialects
from flockd.routing import reserved_names

from .conftest import Api

ROUTES = (*native.ROUTES, *dialects.TABLES)
"""Of a daemon without flows."""

VERSIONS = {"/openapi.json": "3.1.0", "/openapi-3.0.json": "3.0.3"}


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def walk(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(child)


@pytest.mark.parametrize(("path", "version"), VERSIONS.items())
async def test_the_document_is_valid_and_complete(api: Api, path: str, version: str) -> None:
    document = (await api.get(path)).ok()
    validate(document)
    assert document["openapi"] == version
    found = {(method, path) for method, path, _ in operations(document)}
    assert found == {(route.method, route.path) for route in ROUTES if route.documented}


async def test_each_operation_is_described(api: Api) -> None:
    document = (await api.get("/openapi.json")).ok()
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert len(operation["tags"]) == 1
        assert all(one["description"] for one in operation["parameters"]), path
        assert "500" in operation["responses"]
        headers = {one["name"] for one in operation["parameters"] if one["in"] == "header"}
        (route,) = [route for route in ROUTES if (route.method, route.path) == (method, path)]
        assert "X-Request-ID" in headers
        assert ("X-Idempotency-Key" in headers) is (route.publishes or route.keyed)
        assert ("X-Correlation-ID" in headers) is route.publishes


async def test_each_answer_has_a_model_or_a_media_type(api: Api) -> None:
    document = (await api.get("/openapi.json")).ok()
    for _, path, operation in operations(document):
        if "101" in operation["responses"]:
            continue  # a WebSocket
        content = operation["responses"]["200"]["content"]
        assert content.get("application/json", {"schema": {"$ref": ""}})["schema"].keys() == {"$ref"}, path
        assert content
    models = document["components"]["schemas"]
    assert all("description" in model for model in models.values())


async def test_the_older_document_has_no_newer_words(api: Api) -> None:
    document = (await api.get("/openapi-3.0.json")).ok()
    schemas = [one for one in walk(document) if isinstance(one, dict)]
    assert not [one for one in schemas if one.get("type") == "null" or isinstance(one.get("type"), list)]
    assert not [one for one in schemas if "$ref" in one and len(one) > 1]
    assert not [one for one in schemas if "const" in one or "prefixItems" in one]


def test_names_of_routes_are_reserved() -> None:
    assert {"artifacts", "agents", "runs", "correlations", "types", "events", "admin"} <= set(
        reserved_names(ROUTES)
    )
