"""The dialects: families of routes that other systems' clients know, each a translator in front of the native verbs."""

from __future__ import annotations

from flockd.dialects.flows.routes import EXECUTION_ROUTES, flow_routes
from flockd.dialects.runs.routes import RUNS_ROUTES
from flockd.dialects.workflows.routes import WORKFLOW_ROUTES
from flockd.domain.agent import Agents
from flockd.domain.artifact_type import Types
from flockd.routing import Route

TABLES: tuple[Route, ...] = (*RUNS_ROUTES, *EXECUTION_ROUTES, *WORKFLOW_ROUTES)
"""The routes that every daemon has."""


def routes(agents: Agents, types: Types) -> tuple[Route, ...]:
    """The routes of a daemon with these agents: each flow has some of its own."""
    return (*TABLES, *flow_routes(agents, types))
