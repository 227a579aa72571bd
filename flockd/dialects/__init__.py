"""The dialects: families of routes that other systems' clients know, each a translator in front of the native verbs."""

from __future__ import annotations

from flockd.domain.agent import Agents
from flockd.routing import Route

TABLES: tuple[Route, ...] = ()
"""The routes that every daemon has."""


def routes(agents: Agents) -> tuple[Route, ...]:
    """The routes of a daemon with these agents: each flow has some of its own."""
    return TABLES
