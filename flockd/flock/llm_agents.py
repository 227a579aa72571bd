"""Agents that think with a language model, while they are declared: what wakes them, what they make, how they think."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, NamedTuple

from flockd.domain.agent import Agent
from flockd.domain.gathering import BatchSpec
from flockd.engines.llm.engine import LlmEngine
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes, TypeChoice
from flockd.flock.gathering import read_gathering
from flockd.flock.options import GatherOptions, build_agent
from flockd.flock.thinking import ThinkingOptions, read_budget, read_thinking


class LlmOptions(GatherOptions, ThinkingOptions, total=False):
    """What `flock.llm_agent(…)` takes beside the name and the types; each has a default."""


class DeclaredLlm(NamedTuple):
    """An agent that thinks with a language model, and what thinks for it."""

    agent: Agent
    engine: LlmEngine


def read_llm_agent(
    name: str,
    options: LlmOptions,
    types: DeclaredTypes,
    *,
    consumes: TypeChoice | Iterable[TypeChoice],
    publishes: TypeChoice | Iterable[TypeChoice],
    default_model: str | None,
) -> DeclaredLlm:
    """The agent that these options describe; models that are new become types by that. Raises DeclarationError.

    Several types in `consumes` are alternatives, with `join` one of each. `default_model` is that of its flock.
    """
    owner = f"agent {name}"
    inputs = types.names(owner, "consumes", consumes)
    if not inputs:
        raise DeclarationError(f"{owner}: consumes= is empty: name what wakes it")
    outputs = tuple(dict.fromkeys(types.names(owner, "publishes", publishes)))
    if not outputs:
        raise DeclarationError(f"{owner}: publishes= is empty: name what the model is to make")
    gathering = read_gathering(owner, options.get("join"), options.get("batch"))
    mode: Literal["all", "any"] = "any" if len(inputs) > 1 and options.get("join") is None else "all"
    thinking = read_thinking(owner, options, types)
    agent = build_agent(
        name,
        options,
        takes=[types.named(owner, each) for each in inputs],
        mode=mode,
        gathering=gathering,
        publishes=outputs,
        document=thinking.instructions,
        kind=LlmEngine.kind,
    )
    engine = LlmEngine(
        name,
        thinking,
        {each: types.named(owner, each) for each in outputs},
        default_model=default_model,
        in_batches=isinstance(gathering, BatchSpec),
    )
    return DeclaredLlm(replace(agent, budget=read_budget(owner, options.get("budget"))), engine)
