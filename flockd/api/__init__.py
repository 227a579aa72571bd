"""The native REST API, and what all families of routes share: endpoints, errors, the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from flockd.api.endpoint import add_routes
from flockd.api.keys import METRICS, SETTINGS, ApiSettings
from flockd.api.metrics import Metrics
from flockd.api.middleware import add_headers, problems
from flockd.api.routes import ROUTES
from flockd.api.schema import DOCUMENTS, Documents
from flockd.routing import Route

__all__ = ["ROUTES", "ApiSettings", "setup"]


def setup(app: web.Application, settings: ApiSettings, tables: Sequence[Route] = ()) -> Metrics:
    """Put the native routes, and further tables of others, on an application that has no routes yet.

    Before it serves, somebody has to give it its BOARD, READS, HUB and DAEMON (`flockd.api.keys`).
    """
    routes = (*ROUTES, *tables)
    app[SETTINGS] = settings
    app[METRICS] = metrics = Metrics()
    app.middlewares.append(problems)
    app.on_response_prepare.append(add_headers)
    add_routes(app, routes, settings)
    app[DOCUMENTS] = Documents(routes, settings)
    return metrics
