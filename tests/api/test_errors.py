"""Errors: one body for all of them, on every route of the table."""

from __future__ import annotations

import logging
import re
from uuid import uuid4

import pytest

from flockd.api import ROUTES
from flockd.api.keys import READS
from flockd.errors import UpgradeRequired
from flockd.routing import Route

from .conftest import UUID7, Api

PART = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
NAMES = {"path": "vendor/none.js", "name": "clerk"}
STREAM = "/api/v1/events"

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
with_body = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body is not None], ids=lambda route: route.path
)


def path_of(route: Route) -> str:
    return PART.sub(lambda part: NAMES.get(part[1], str(uuid4())), route.path)


@every_route
async def test_another_method_is_405(api: Api, route: Route) -> None:
    answer = await api.request("PATCH", path_of(route))
    assert "PATCH" in answer.problem(405, "METHOD_NOT_ALLOWED")["detail"]
    assert route.method in answer.headers["Allow"].split(", ")


async def test_a_literal_path_is_never_taken_for_an_id(api: Api) -> None:
    for path in ("/api/v1/artifacts/sync", "/api/v1/artifacts/bulk"):
        answer = await api.get(path)
        answer.problem(405, "METHOD_NOT_ALLOWED")
        assert answer.headers["Allow"] == "POST"


@every_route
async def test_what_goes_on_behind_it_is_404(api: Api, route: Route) -> None:
    if "path:" not in route.path:
        (await api.request(route.method, path_of(route).rstrip("/") + "/no/such/thing")).problem(
            404, "NOT_FOUND"
        )


@every_route
async def test_a_slash_at_the_end_changes_nothing(api: Api, route: Route) -> None:
    path = path_of(route)
    if path in ("/", STREAM):
        return
    body = {} if route.body is not None else None
    plain = await api.request(route.method, path, json=body)
    slashed = await api.request(route.method, path + "/", json=body)
    assert (slashed.status, slashed.headers["Content-Type"]) == (plain.status, plain.headers["Content-Type"])


@every_route
async def test_a_parameter_that_is_not_there(api: Api, route: Route) -> None:
    answer = await api.request(route.method, path_of(route) + "?no_such=1", json={} if route.body else None)
    if route.any_query:
        assert answer.status in {200, 404}
    else:
        problem = answer.problem(400, "INVALID_INPUT")
        assert "no_such" in [error["field"] for error in problem["details"]["errors"]]


@with_body
async def test_bodies_that_cannot_be_read(api: Api, route: Route) -> None:
    path, json = path_of(route), {"Content-Type": "application/json"}
    malformed = await api.request("POST", path, data=b'{"type":\n "Order",}', headers=json)
    problem = malformed.problem(400, "INVALID_INPUT")
    assert (problem["details"]["line"], problem["details"]["column"]) == (2, 9)
    for data in (b'{"a": NaN}', b'{"a": Infinity}', b'"\xff"', b'"\\ud800"', b"{} {}", b"", b"null", b"[]"):
        (await api.request("POST", path, data=data, headers=json)).problem(400, "INVALID_INPUT")
    deep = b'{"payload":' + b"[" * 10 + b"]" * 10 + b"}"
    problem = (await api.request("POST", path, data=deep, headers=json)).problem(400, "INVALID_INPUT")
    assert "limits.json_depth" in problem["detail"]
    (await api.post(path)).problem(400, "INVALID_INPUT")


@with_body
async def test_the_wrong_media_type_says_which_is_right(api: Api, route: Route) -> None:
    for headers in (
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ):
        answer = await api.request("POST", path_of(route), data=b"{}", headers=headers)
        problem = answer.problem(415, "UNSUPPORTED_MEDIA_TYPE")
        assert problem["detail"].startswith("Send the header Content-Type: application/json")


async def test_media_types_that_are_json(api: Api) -> None:
    for media in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"):
        headers = {"Content-Type": media}
        (await api.request("POST", "/api/v1/artifacts", data=b'{"type": "Order"}', headers=headers)).ok()


@with_body
async def test_a_body_that_is_too_large(api: Api, route: Route) -> None:
    limit, setting = (16384, "bulk_body_bytes") if route.bulk else (4096, "body_bytes")
    data, headers = b'{"x":"' + b"x" * limit + b'"}', {"Content-Type": "application/json"}
    answer = await api.request("POST", path_of(route), data=data, headers=headers)
    assert f"limits.{setting}" in answer.problem(413, "TOO_LARGE")["detail"]


async def test_a_body_of_unknown_length_is_bounded_too(api: Api) -> None:
    async def endless() -> object:
        while True:
            yield b" " * 1024

    async with api.client.post(
        "/api/v1/artifacts", data=endless(), headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 413


async def test_nesting_up_to_the_limit_is_read(api: Api) -> None:
    for depth, said in ((10, "payload.n"), (11, "limits.json_depth")):
        nested = b"[" * (depth - 2) + b"]" * (depth - 2)
        data, headers = (
            b'{"type": "Order", "payload": {"n": ' + nested + b"}}",
            {"Content-Type": "application/json"},
        )
        answer = await api.request("POST", "/api/v1/artifacts", data=data, headers=headers)
        assert said in answer.problem(400, "INVALID_INPUT")["detail"]


async def test_routes_without_a_body_need_no_media_type_and_take_no_fields(api: Api) -> None:
    path = "/api/v1/admin/verify"
    (await api.post(path)).ok()
    (await api.post(path, {})).ok()
    (await api.post(path, {"now": True})).problem(400, "INVALID_INPUT")
    (await api.request("POST", path, data=b"x", headers={"Content-Type": "text/plain"})).problem(
        415, "UNSUPPORTED_MEDIA_TYPE"
    )


async def test_the_callers_request_id_comes_back(api: Api) -> None:
    for path in ("/health", "/no/such/thing"):
        assert (await api.get(path, **{"X-Request-ID": "trace:1/a.b"})).headers[
            "X-Request-ID"
        ] == "trace:1/a.b"
        for unsafe in ("x" * 129, "a b", "<script>", ""):
            assert UUID7.fullmatch((await api.get(path, **{"X-Request-ID": unsafe})).headers["X-Request-ID"])


@every_route
async def test_every_answer_has_the_security_headers(api: Api, route: Route) -> None:
    answer = await api.request(route.method, path_of(route) + "?no_such=1")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "X-Request-ID" in answer.headers


async def test_an_internal_error_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(run_id: str) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(api.client.app[READS], "run", broken)  # type: ignore[index]
    with caplog.at_level(logging.ERROR, "flockd.api"):
        answer = await api.get(f"/api/v1/runs/{uuid4()}")
    problem = answer.problem(500, "INTERNAL")
    assert "secret" not in str(problem)
    (record,) = caplog.records
    assert problem["request_id"] in record.getMessage()
    assert "the secret is 42" in str(record.exc_info)


def needs_query(route: Route) -> bool:
    return route.query is not None and any(field.is_required() for field in route.query.model_fields.values())


async def test_head_is_get_without_the_body(api: Api) -> None:
    for route in ROUTES:
        if route.method != "GET" or "{" in route.path or UpgradeRequired in route.errors:
            continue
        if not needs_query(route):
            head = await api.request("HEAD", route.path)
            assert (head.status, head.body) == (200, b""), route.path
