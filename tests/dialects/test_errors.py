"""Errors on every route of every dialect: the checks of the native routes, and what is said of the fields of each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flockd.dialects import routes
from flockd.dialects.flows.routes import flow_routes
from flockd.routing import Route
from tests.api import test_errors as native

from . import flow_flock
from .conftest import Serve, Served

FLOCK = flow_flock.make_flock(flow_flock.Gate())
# A flow that there is: of one that there is not, the body is not looked at.
EVERY = [
    replace(route, path=route.path.replace("{flow_name}", "Poem_Flow"))
    for route in routes(FLOCK.agents(), FLOCK.types())
]
Check = Callable[[Any, Route], Awaitable[None]]

of_every_route = pytest.mark.parametrize("route", EVERY, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Those of the native checks."""
    return {"limits": {"body_bytes": 4096, "bulk_body_bytes": 16384, "json_depth": 10}}


@pytest.fixture
async def api(serve: Serve) -> Served:
    return await serve(flow_flock.make_flock(flow_flock.Gate()))


@of_every_route
@pytest.mark.parametrize(
    "check",
    [
        native.test_another_method_is_405,
        native.test_what_goes_on_behind_it_is_404,
        native.test_a_slash_at_the_end_changes_nothing,
        native.test_a_parameter_that_is_not_there,
        native.test_every_answer_has_the_security_headers,
    ],
)
async def test_every_route(api: Served, route: Route, check: Check) -> None:
    await check(api, route)


@pytest.mark.parametrize(
    "route", [route for route in EVERY if route.body is not None], ids=lambda one: one.path
)
@pytest.mark.parametrize(
    "check",
    [
        native.test_bodies_that_cannot_be_read,
        native.test_the_wrong_media_type_says_which_is_right,
        native.test_a_body_that_is_too_large,
    ],
)
async def test_every_body(api: Served, route: Route, check: Check) -> None:
    await check(api, route)


# -- each field ---------------------------------------------------------------------------------------------

OWN_TAGS = {route.tag for route in flow_routes(FLOCK.agents(), FLOCK.types())}
"""Of flows: the model of a flow's request says what its fields may be, and that may be more than its schema says."""
BODIES: dict[str, dict[str, Any]] = {
    "/run/agent": {"agent_name": "poem_flow"},
    "/run/flock": {"agent_name": "poem_flow"},
    "/run/batch": {"agent_name": "poem_flow", "batch_inputs": [{}]},
    "/execute-workflow": {"requirements": "Create a calculator"},
    "/custom/execute": {"requirements": "Create a calculator", "workflow_type": "full"},
}
"""A good body of each route that has fields, but for its prefix."""
VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, "", "no", [], [0], {}, {"no": 0})


def fields_of(route: Route) -> dict[str, Any]:
    """The JSON Schema of each field of a body, as the document has it."""
    assert route.body is not None
    schema = route.body.model_json_schema()
    definitions = schema.get("$defs", {})
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return {name: {"$defs": definitions, **field} for name, field in schema.get("properties", {}).items()}


WITH_FIELDS = [
    pytest.param(route, name, schema, id=f"{route.path}-{name}")
    for route in EVERY
    if route.body is not None and route.tag not in {"executions", *OWN_TAGS}
    for name, schema in fields_of(route).items()
]


@pytest.mark.parametrize(("route", "name", "schema"), WITH_FIELDS)
async def test_what_a_field_may_not_be_is_refused_by_its_name(
    api: Served, route: Route, name: str, schema: Any
) -> None:
    good = BODIES[re.sub("^/api(/v.)?", "", route.path)]
    allowed = Draft202012Validator(schema)
    wrong = [value for value in VALUES if not allowed.is_valid(value)]
    assert len(wrong) > 3
    for value in wrong:
        problem = (await api.post(route.path, {**good, name: value})).problem(400, "INVALID_INPUT")
        (field,) = {error["field"] for error in problem["details"]["errors"]}
        assert field == name or field.startswith(f"{name}."), (value, problem)
        assert problem["details"]["field"] == field
    assert (await api.get("/api/v1/correlations")).ok()["total"] == 0


@pytest.mark.parametrize(
    "route", [route for route in EVERY if route.query is not None], ids=lambda one: one.path
)
async def test_what_a_parameter_may_not_be_is_refused_by_its_name(api: Served, route: Route) -> None:
    assert route.query is not None
    for name, field in route.query.model_fields.items():
        if field.annotation == str | None:
            continue  # any text
        path = native.path_of(route)
        for query in (f"{name}=no", f"{name}=", f"{name}=-1", f"{name}=1.5", f"{name}=true&{name}=true"):
            problem = (await api.get(f"{path}?{query}")).problem(400, "INVALID_INPUT")
            assert problem["details"]["field"] == name, query
