"""Agents that are services of others, while they are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from flockd.domain.agent import Agent
from flockd.engines.http.engine import HttpEngine
from flockd.engines.http.target import Target
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes, TypeChoice
from flockd.flock.gathering import read_gathering
from flockd.flock.options import GatherOptions, build_agent


class DeclaredService(NamedTuple):
    """A service as an agent, and what posts to it."""

    agent: Agent
    engine: HttpEngine


def read_service(
    name: str,
    *,
    consumes: TypeChoice | Iterable[TypeChoice],
    publishes: TypeChoice | Iterable[TypeChoice],
    url: str,
    headers: Mapping[str, str] | None,
    secret_env: str | None,
    allow_private: bool,
    options: GatherOptions,
    types: DeclaredTypes,
) -> DeclaredService:
    """The agent of a service; models that are new become types by that. Raises DeclarationError."""
    owner = f"agent {name}"
    try:
        target = Target(url, {} if headers is None else headers, secret_env, allow_private)
    except ValueError as error:
        raise DeclarationError(f"{owner}: {error}") from None
    gathering = read_gathering(owner, options.get("join"), options.get("batch"))
    inputs = types.names(owner, "consumes", consumes)
    if gathering is not None and not inputs:
        raise DeclarationError(f"{owner}: consumes= is empty, and it gathers: name what it takes")
    mode: Literal["all", "any"] = "any" if len(inputs) > 1 and options.get("join") is None else "all"
    agent = build_agent(
        name,
        options,
        takes=[types.named(owner, each) for each in inputs],
        mode=mode,
        gathering=gathering,
        publishes=tuple(dict.fromkeys(types.names(owner, "publishes", publishes))),
        document=None,
        kind=HttpEngine.kind,
    )
    return DeclaredService(
        agent, HttpEngine(name, target, agent.outputs, timeout_seconds=agent.timeout_seconds)
    )
