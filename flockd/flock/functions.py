"""Agents that are functions, while they are declared: what a signature and its options say together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from flockd.domain.agent import Agent
from flockd.engines.fan_out import FanOut
from flockd.engines.function import FunctionEngine
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes
from flockd.flock.gathering import read_gathering
from flockd.flock.options import AgentOptions, build_agent
from flockd.flock.signature import read_signature

_FAN_OUT = "fan_out=FanOut(min=1, max=10)"


class DeclaredFunction(NamedTuple):
    """A function as an agent, and what calls it."""

    agent: Agent
    engine: FunctionEngine


def read_function(
    name: str,
    function: Callable[..., Any],
    options: AgentOptions,
    types: DeclaredTypes,
    local_names: Mapping[str, Any],
) -> DeclaredFunction:
    """The agent of a function; models that are new become types by that. Raises DeclarationError.

    `local_names` are those of the scope that declares it, for models that are local to it.
    """
    owner = f"agent {name}"
    consumes, publishes = options.get("consumes"), options.get("publishes")
    gathering = read_gathering(owner, options.get("join"), options.get("batch"))
    is_batch = options.get("batch") is not None
    signature = read_signature(
        owner,
        function,
        types.is_type,
        local_names=local_names if "<locals>" in getattr(function, "__qualname__", "") else {},
        consumes_given=consumes is not None,
        publishes_given=publishes is not None,
        is_batch=is_batch,
    )
    inputs = types.names(owner, "consumes", signature.consumes if consumes is None else consumes)
    _check_wakes(owner, signature.parameters, inputs, options)
    mode: Literal["all", "any"] = "any" if len(inputs) > len(signature.parameters) else "all"
    outputs = types.names(owner, "publishes", signature.publishes if publishes is None else publishes)
    lists = (
        [types.names(owner, "publishes", each) for each in signature.lists]
        if publishes is None
        else [(output,) for output in dict.fromkeys(outputs)]
    )
    agent = build_agent(
        name,
        options,
        takes=[types.named(owner, each) for each in inputs],
        mode=mode,
        gathering=gathering,
        publishes=tuple(dict.fromkeys(outputs)),
        document=inspect.getdoc(function),
        kind=FunctionEngine.kind,
    )
    engine = FunctionEngine(
        function,
        parameters=signature.parameters,
        context=signature.context,
        outputs={output: types.named(owner, output).model for output in agent.outputs},
        is_batch=is_batch,
        fan_out=_fan_out(owner, options.get("fan_out"), lists),
        lists=lists,
    )
    return DeclaredFunction(agent, engine)


def _check_wakes(owner: str, parameters: Sequence[str], inputs: Sequence[str], options: AgentOptions) -> None:
    """Raise DeclarationError where what wakes a function is not what it takes."""
    taken = " and ".join(parameters)
    if options.get("schedule") is not None:
        if parameters or inputs:
            raise DeclarationError(
                f"{owner}: schedule= starts it without artifacts, but it takes {taken or ' and '.join(inputs)}: "
                "take that away, or publish an artifact with flock.schedule(…)"
            )
    elif not inputs and options.get("consumes") is None:
        raise DeclarationError(
            f"{owner}: it takes no artifact: give it a parameter annotated with the pydantic model that wakes it, "
            "or say schedule= (or consumes=[], where a client or flock.schedule(…) starts it)"
        )
    elif not inputs and parameters:
        raise DeclarationError(f"{owner}: consumes= is empty: name what wakes it, or leave it out")
    elif inputs and not parameters:
        raise DeclarationError(
            f"{owner}: consumes= names {' and '.join(inputs)}, and there is no parameter that takes it"
        )
    elif len(parameters) > 1 and len(inputs) != len(parameters):
        raise DeclarationError(
            f"{owner}: consumes= names {' and '.join(inputs)}, but it has {taken}: name one type for each of them, "
            "or leave consumes= out and annotate them"
        )


def _fan_out(owner: str, given: object, lists: Sequence[tuple[str, ...]]) -> FanOut | None:
    """The bounds that the option says: a FanOut, one number, a pair, or a table. Raises DeclarationError."""
    if given is None:
        return None
    if not lists:
        raise DeclarationError(
            f"{owner}: fan_out= is for a result that is a list: annotate it as list[Model], or take fan_out= away"
        )
    try:
        if isinstance(given, FanOut):
            return given
        if isinstance(given, Mapping):
            return FanOut(**given)
        least, most = given if isinstance(given, (tuple, list)) else (given, given)
        return FanOut(least, most)
    except (TypeError, ValueError) as error:
        said = str(error).partition("() ")[2] or str(error)  # of a TypeError: what is not known
        raise DeclarationError(f"{owner}: fan_out: {said}: write {_FAN_OUT}") from None
