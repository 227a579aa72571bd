"""The routes of flows."""
# ruff: noqa: E501  (one line each, however long)

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from flockd.dialects.flows import executions, shapes
from flockd.dialects.flows.executions import FlowHandlers, flows
from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact_type import Types
from flockd.errors import NotFound
from flockd.routing import Route

# fmt: off
EXECUTION_ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/v1/executions", executions.list_executions, "executions", query=shapes.ExecutionPage, response=shapes.Executions),
    Route("GET", "/api/v1/executions/{execution_id}", executions.get_execution, "executions", response=shapes.ExecutionStatusResponse, errors=(NotFound,)),

    # For every spelling of a flow's name; each flow is documented by routes of its own.
    Route("POST", "/api/v1/{flow_name}/execute", executions.execute_flow, "executions", body=shapes.AnyRequest, response=shapes.ExecutionResponse, errors=(NotFound,), publishes=True, documented=False),
    Route("GET", "/api/v1/{flow_name}/execution/{execution_id}", executions.flow_execution, "executions", response=shapes.ExecutionStatusResponse, errors=(NotFound,), documented=False),
)
"""Those that every daemon has."""
# fmt: on


def flow_routes(agents: Agents, types: Types) -> tuple[Route, ...]:
    """The routes of each flow, under its name with `-`. Their first segments are names of flows, and not reserved."""
    return tuple(route for flow in flows(agents) for route in _routes(flow, types))


def _routes(flow: Agent, types: Types) -> Iterator[Route]:
    name = flow.name.replace("_", "-")
    (request,), result = flow.subscription.types, flow.outputs[0]
    handlers = FlowHandlers(flow)
    yield Route(
        "POST",
        f"/api/v1/{name}/execute",
        handlers.execute,
        name,
        body=shapes.request_model(flow, _model(types, request)),
        response=shapes.ExecutionResponse,
        publishes=True,
        operation=f"execute_flow_{flow.name}",
        about=f"Execute {flow.name}.\n\n{flow.description}",
    )
    yield Route(
        "GET",
        f"/api/v1/{name}/execution/{{execution_id}}",
        handlers.execution,
        name,
        response=shapes.status_model(flow, _model(types, result)),
        errors=(NotFound,),
        operation=f"execution_of_flow_{flow.name}",
        about=f"Tell how an execution of {flow.name} stands.",
    )


def _model(types: Types, name: str) -> type[BaseModel]:
    model = types[name].model
    assert isinstance(model, type) and issubclass(model, BaseModel), "a flow is declared with pydantic models"
    return model
