"""Python functions that a model may call: what is read of one when its agent is declared."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flockd.engines.base import Context
from flockd.engines.blocking import BlockingContext
from flockd.engines.function import Calling, calling_of

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What providers accept as the name of a tool."""

_KEY = "idempotency_key"


class ToolFunction(NamedTuple):
    """A function of an author's, as a tool."""

    name: str
    function: Callable[..., Any]
    blocks: bool
    """A plain `def`: it is called in a thread."""
    context: str | None
    """The parameter that takes the Context of the run."""
    takes_key: bool
    """Whether it has a parameter `idempotency_key`."""
    shown: Callable[..., Any]
    """A function with the name, docstring and signature that the model gets to see; not to be called."""


def read_tools(functions: Iterable[Callable[..., Any]]) -> tuple[ToolFunction, ...]:
    """The tools that an author lists, in that order. Raises ValueError with a sentence."""
    tools = tuple(read_tool(function) for function in functions)
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise ValueError(f"two tools are called {tool.name}: a model could not tell them apart")
        seen.add(tool.name)
    return tools


def read_tool(function: Callable[..., Any]) -> ToolFunction:
    """What a function is as a tool; the same object each time. Raises ValueError with a sentence."""
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise ValueError(f"the tool {function!r} is not a function: write an async def or a def")
    return _read(function)


@functools.lru_cache(maxsize=1024)
def _read(function: Callable[..., Any]) -> ToolFunction:
    name = function.__name__
    if not NAME.fullmatch(name):
        raise ValueError(
            f"a tool cannot be called {name!r}: def a function with a name of up to 64 ASCII letters, "
            "digits and underscores"
        )
    calling = calling_of(function)
    if calling in (Calling.generator, Calling.async_generator):
        raise ValueError(f"the tool {name} yields: a tool returns its result at once")
    hints = _hints(name, function)
    context = None
    shown = []
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(
                f"the parameter {parameter.name} of the tool {name} cannot be passed by its name: write plain "
                "parameters"
            )
        if _is_context(name, calling, hints.get(parameter.name)):
            if context is not None:
                raise ValueError(
                    f"both {context} and {parameter.name} of the tool {name} are a Context: keep one"
                )
            context = parameter.name
        elif parameter.name != _KEY:
            shown.append(parameter)
    return ToolFunction(
        name,
        function,
        calling is Calling.plain,
        context,
        _KEY in signature.parameters,
        _as_shown(function, signature.replace(parameters=shown), hints),
    )


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ValueError(
            f"an annotation of the tool {name} names {error.name}, which is not known where it is defined: define or "
            "import it at the top of the module (an import under TYPE_CHECKING does not count)"
        ) from None
    except Exception as error:  # an annotation may be any expression
        raise ValueError(f"the annotations of the tool {name} cannot be read: {error}") from error


def _is_context(name: str, calling: Calling, annotation: Any) -> bool:
    if not (inspect.isclass(annotation) and issubclass(annotation, Context)):
        return False
    if issubclass(annotation, BlockingContext) and calling is not Calling.plain:
        raise ValueError(f"the tool {name} is an async def: it takes a Context, not a BlockingContext")
    return True


def _as_shown(
    function: Callable[..., Any], signature: inspect.Signature, hints: dict[str, Any]
) -> Callable[..., Any]:
    def shown(**_arguments: Any) -> None:
        raise NotImplementedError("what a model is shown of a tool cannot be called")

    functools.update_wrapper(shown, function, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    del shown.__wrapped__  # type: ignore[attr-defined]  # nobody should look behind it
    shown.__signature__ = signature  # type: ignore[attr-defined]  # how functions say what inspect finds
    shown.__annotations__ = {
        key: hint for key, hint in hints.items() if key in signature.parameters or key == "return"
    }
    return shown
