"""Flows while they are declared: what a class with a kickoff and a state, or a function, says of its flow."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from flockd.engines.base import Engine
from flockd.engines.flow import FlowClass, FlowEngine, FunctionFlow
from flockd.engines.function import Calling, calling_of
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes
from flockd.flock.options import RunOptions
from flockd.flock.signature import read_signature


class FlowOptions(RunOptions, total=False):
    """What `flock.flow(…)` takes; each has a default."""

    name: str
    """Default: the class's name in snake_case, or the function's."""
    request: type[BaseModel] | str
    """What an execution is asked with. Default: the model of the `state`, or the parameter's annotation."""
    result: type[BaseModel] | str
    """What an execution gives. Default: the model of the `state`, or the return annotation."""


class _Model(NamedTuple):
    """The artifact type of a request or a result, and its class."""

    name: str
    model: type[BaseModel]


class DeclaredFlow(NamedTuple):
    """A flow, read."""

    request: str
    """The artifact type that it takes."""
    result: str
    """The artifact type that it gives; the same one where the model of its state serves as both."""
    engine: Engine
    document: str | None
    """Its docstring."""


def flow_name(flow: Any, options: FlowOptions) -> str:
    """What a flow is called: `PoemFlow` is `poem_flow`, unless it is given a name."""
    own = getattr(flow, "__name__", type(flow).__name__)
    return options.get("name") or (_snake_case(own) if inspect.isclass(flow) else own)


def read_flow(
    name: str, flow: Any, options: FlowOptions, types: DeclaredTypes, local_names: Mapping[str, Any]
) -> DeclaredFlow:
    """The flow of a class or function; its models become types by that. Raises DeclarationError.

    `local_names` are those of the scope that declares it, for models that are local to it.
    """
    owner = f"flow {name}"
    if "<locals>" not in getattr(flow, "__qualname__", ""):
        local_names = {}
    if inspect.isclass(flow):
        return _flow_of_class(owner, flow, options, types, local_names)
    if inspect.isfunction(flow) or inspect.ismethod(flow):
        return _flow_of_function(owner, flow, options, types, local_names)
    raise DeclarationError(
        f"{owner}: {flow!r} is neither a class nor a function: a flow is made anew for each execution, so name "
        "its class"
    )


def _flow_of_class(
    owner: str, cls: type[Any], options: FlowOptions, types: DeclaredTypes, local_names: Mapping[str, Any]
) -> DeclaredFlow:
    flow = read_flow_class(owner, cls, local_names)
    request, result = options.get("request"), options.get("result")
    if (request is None or result is None) and flow.state is None:
        flow = flow._replace(state=_state_of_instance(owner, cls))
    wanted = _model_type(owner, "request", request or flow.state, types)
    given = _model_type(owner, "result", result or flow.state, types)
    _check_fits(owner, flow, wanted.model, given.model)
    engine = FlowEngine(flow, result_type=given.name, result=given.model)
    return DeclaredFlow(wanted.name, given.name, engine, vars(cls).get("__doc__"))


def _flow_of_function(
    owner: str, function: Any, options: FlowOptions, types: DeclaredTypes, local_names: Mapping[str, Any]
) -> DeclaredFlow:
    request, result = options.get("request"), options.get("result")
    signature = read_signature(
        owner,
        function,
        types.is_type,
        local_names=local_names,
        consumes_given=request is not None,
        publishes_given=result is not None,
        options=("request=", "result="),
    )
    if len(signature.parameters) != 1:
        taken = " and ".join(signature.parameters) or "no artifact"
        raise DeclarationError(
            f"{owner}: it takes {taken}, and a flow takes its request: write one parameter for it"
        )
    requests = signature.consumes if request is None else (request,)
    results = signature.publishes if result is None else (result,)
    for what, models in (("request", requests), ("result", results)):
        if len(models) != 1:
            raise DeclarationError(f"{owner}: it has {len(models)} {what} models, and a flow has one")
    wanted = _model_type(owner, "request", requests[0], types)
    given = _model_type(owner, "result", results[0], types)
    engine = FunctionFlow(
        function,
        parameters=signature.parameters,
        context=signature.context,
        outputs={given.name: given.model},
    )
    return DeclaredFlow(wanted.name, given.name, engine, inspect.getdoc(function))


def _model_type(owner: str, option: str, choice: Any, types: DeclaredTypes) -> _Model:
    """The type of a request or result. Raises DeclarationError where it is no pydantic model."""
    names = types.names(owner, option, choice)
    found = types.named(owner, names[0]) if len(names) == 1 else None
    if found is None or not inspect.isclass(found.model) or not issubclass(found.model, BaseModel):
        raise DeclarationError(f"{owner}: {option}= is {choice!r}: name one pydantic model")
    return _Model(found.name, found.model)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def read_flow_class(owner: str, cls: type[Any], local_names: Mapping[str, Any]) -> FlowClass:
    """What the engine must know of a flow's class. Raises DeclarationError.

    `owner` is the flow in words ("flow poem_flow"); `local_names` are those of the scope that declares it.
    """
    kickoff = _kickoff(owner, cls)
    method = getattr(cls, kickoff)
    return FlowClass(
        make=cls,
        kickoff=kickoff,
        awaited=kickoff == "kickoff_async" or calling_of(method) is Calling.coroutine,
        takes_inputs=_takes_inputs(owner, kickoff, method),
        state=_state_model(cls, local_names),
    )


def _state_of_instance(owner: str, cls: type[Any]) -> type[BaseModel]:
    """The model of the state that an instance has: for a class that makes it in `__init__` and nowhere says it.

    Raises DeclarationError where it is none.
    """
    try:
        state = getattr(cls(), "state", None)
    except Exception as error:  # an author's constructor may raise anything
        raise DeclarationError(
            f"{owner}: {cls.__name__}() raised {type(error).__name__}: {error}; a flow is made anew for each "
            "execution"
        ) from error
    if isinstance(state, BaseModel):
        return type(state)
    found = "has no state" if state is None else f"has a state that is a {type(state).__name__}"
    raise DeclarationError(
        f"{owner}: {cls.__name__} {found}: annotate it with a pydantic model (state: PoemState), or say "
        "request= and result="
    )


def _check_fits(owner: str, flow: FlowClass, request: type[BaseModel], result: type[BaseModel]) -> None:
    """Raise DeclarationError where the models cannot fit the state: all that can be known before it runs."""
    state = flow.state
    if state is None or state.model_config.get("extra") == "allow":
        return
    known = {*state.model_fields, *(name for name in dir(state) if not name.startswith("_"))}
    lost = [name for name in request.model_fields if name not in state.model_fields]
    if lost and not flow.takes_inputs:
        raise DeclarationError(
            f"{owner}: {request.__name__} has {' and '.join(lost)}, which {state.__name__} does not have: give "
            f"the state a field of this name, or {flow.kickoff}() a parameter inputs"
        )
    missing = [
        name for name, field in result.model_fields.items() if field.is_required() and name not in known
    ]
    if missing:
        raise DeclarationError(
            f"{owner}: {result.__name__} needs {' and '.join(missing)}, which {state.__name__} does not have: the "
            "result is made from the state"
        )


def _kickoff(owner: str, cls: type[Any]) -> Literal["kickoff", "kickoff_async"]:
    names: tuple[Literal["kickoff_async", "kickoff"], ...] = ("kickoff_async", "kickoff")
    for name in names:
        if callable(getattr(cls, name, None)):
            _check_constructor(owner, cls)
            return name
    raise DeclarationError(
        f"{owner}: {cls.__name__} has neither kickoff() nor kickoff_async(): give it one of them, or write a "
        "function"
    )


def _check_constructor(owner: str, cls: type[Any]) -> None:
    try:
        signature = inspect.signature(cls)
    except ValueError:  # a constructor in C says nothing of itself
        return
    needed = _needed(signature.parameters)
    if needed:
        raise DeclarationError(
            f"{owner}: {cls.__name__}() needs {' and '.join(needed)}: a flow is made anew for each execution, "
            "without arguments; give them defaults"
        )


def _takes_inputs(owner: str, kickoff: str, method: Callable[..., Any]) -> bool:
    parameters = inspect.signature(method).parameters
    needed = [name for name in _needed(parameters)[1:] if name != "inputs"]  # the first one is self
    if needed:
        raise DeclarationError(
            f"{owner}: {kickoff}() needs {' and '.join(needed)}: it is called with inputs= or with nothing; give "
            "them defaults"
        )
    return "inputs" in parameters


def _needed(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """The parameters that a call must give."""
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _state_model(cls: type[Any], local_names: Mapping[str, Any]) -> type[BaseModel] | None:
    """The model of the state as the class says it; None where only an instance can tell."""
    for said in _said_of_state(cls, local_names):
        if isinstance(said, BaseModel):
            return type(said)
        if inspect.isclass(said) and issubclass(said, BaseModel):
            return said
    return None


def _said_of_state(cls: type[Any], local_names: Mapping[str, Any]) -> Iterator[Any]:
    """`state: Model`, `state = Model()`, a property `state` -> Model; and `Flow[Model]` as CrewAI keeps it."""
    yield _hints(cls, local_names).get("state")
    attribute = inspect.getattr_static(cls, "state", None)
    yield attribute
    if isinstance(attribute, property) and attribute.fget is not None:
        yield _hints(attribute.fget, local_names).get("return")
    yield getattr(cls, "_initial_state_t", None)
    yield getattr(cls, "initial_state", None)
    yield getattr(getattr(cls, "model_fields", {}).get("initial_state"), "default", None)


def _hints(annotated: Any, local_names: Mapping[str, Any]) -> dict[str, Any]:
    """Its annotations; nothing where one of them (it may be any other) cannot be read."""
    try:
        return typing.get_type_hints(annotated, localns=dict(local_names))
    except Exception:  # an annotation may be any expression
        return {}
