"""Workflows that are declared: a name, the type that starts one, and the phases by which people follow it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a workflow, done when an artifact of each of its types is there."""

    name: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """What is asked for by name: publishing an artifact of `start` sets it off, subscriptions do the rest."""

    name: str
    start: str
    """An artifact type."""
    phases: tuple[Phase, ...]
    """In the order in which they are shown; at least one."""
    description: str = ""
