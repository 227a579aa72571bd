"""Signatures: what a function's annotations say of the agent that it is to be."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flockd.engines.base import Context
from flockd.engines.blocking import BlockingContext
from flockd.engines.function import Calling, calling_of
from flockd.flock.declaration import DeclarationError


class Signature(NamedTuple):
    """What is read from one function, in the classes of its annotations."""

    parameters: tuple[str, ...]
    """The parameters that take artifacts, in their order."""
    consumes: tuple[Any, ...]
    """The class of each parameter, or the alternatives of the only one (more classes than parameters).

    Empty where consumes= was given.
    """
    context: str | None
    """The parameter that takes the Context."""
    publishes: tuple[Any, ...]
    """The classes in the return annotation; empty where publishes= was given."""
    lists: tuple[tuple[Any, ...], ...]
    """Of those, the classes of each list, and of what is yielded: how many there are is up to the function."""


def read_signature(
    owner: str,
    function: Callable[..., Any],
    is_type: Callable[[Any], bool],
    *,
    local_names: Mapping[str, Any],
    consumes_given: bool = False,
    publishes_given: bool = False,
    is_batch: bool = False,
    options: tuple[str, str] = ("consumes=", "publishes="),
) -> Signature:
    """The signature of an agent's function. Raises DeclarationError.

    `owner` is who has it, in words ("agent bug_detector"), and `options` what can be given instead of
    annotations. `is_type` says which annotations are artifact types; `local_names` are those of the scope that declares
    the agent, for classes that are local to it. Where consumes= or publishes= is given the annotations need
    not say it. With `is_batch` the only artifact parameter takes a list.
    """
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise DeclarationError(f"{owner}: {function!r} is not a function: write an async def or a def")
    hints = _hints(owner, function, local_names)
    reader = _Reader(owner, is_type, calling_of(function), options)
    artifacts, context = reader.split(function, hints)
    if is_batch and len(artifacts) != 1:
        taken = f"it has {_listed(artifacts)}" if artifacts else "it takes no artifact"
        raise DeclarationError(
            f"{owner}: a batch is one parameter, a list, but {taken}: write one (of list[A | B] for several types)"
        )
    result = None if publishes_given else reader.result(hints)
    return Signature(
        tuple(artifacts),
        () if consumes_given else reader.consumed(artifacts, is_batch=is_batch),
        context,
        () if result is None else reader.published(result),
        () if result is None else tuple(reader.lists(result)),
    )


def _hints(owner: str, function: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, localns=dict(local_names))
    except NameError as error:
        raise DeclarationError(
            f"{owner}: an annotation names {error.name}, which is not known where the agent is "
            "declared: "
            "define or import it above the agent (an import under TYPE_CHECKING does not count)"
        ) from None
    except Exception as error:  # an annotation may be any expression
        raise DeclarationError(f"{owner}: its annotations cannot be read: {error}") from error


class _Reader:
    """Reads the annotations of one function."""

    def __init__(
        self, owner: str, is_type: Callable[[Any], bool], calling: Calling, options: tuple[str, str]
    ) -> None:
        self._owner = owner
        self._is_type = is_type
        self._calling = calling
        self._consumes, self._publishes = options

    def _wrong(self, sentence: str) -> DeclarationError:
        return DeclarationError(f"{self._owner}: {sentence}")

    def split(
        self, function: Callable[..., Any], hints: Mapping[str, Any]
    ) -> tuple[dict[str, Any], str | None]:
        """The parameters for artifacts with their annotations, and the name of the Context's.

        A parameter with a default that is neither keeps its default.
        """
        artifacts: dict[str, Any] = {}
        context: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            name, annotation = parameter.name, hints.get(parameter.name, parameter.empty)
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise self._wrong(
                    f"the parameter {name} cannot be passed by its name: write plain parameters"
                )
            if inspect.isclass(annotation) and issubclass(annotation, Context):
                if context is not None:
                    raise self._wrong(f"both {context} and {name} are a Context: keep one of them")
                self._check_context(name, annotation)
                context = name
            elif parameter.default is parameter.empty or self._mentions_type(annotation):
                artifacts[name] = annotation
        return artifacts, context

    def _check_context(self, name: str, annotation: type[Context]) -> None:
        if issubclass(annotation, BlockingContext) and self._calling not in (
            Calling.plain,
            Calling.generator,
        ):
            raise self._wrong(f"the parameter {name} of an async def is a Context, not a BlockingContext")

    def _mentions_type(self, annotation: Any) -> bool:
        return self._is_type(annotation) or any(
            self._mentions_type(part) for part in typing.get_args(annotation)
        )

    def consumed(self, artifacts: Mapping[str, Any], *, is_batch: bool) -> tuple[Any, ...]:
        """The class of each parameter; of a single one, the alternatives."""
        if len(artifacts) == 1:
            ((name, annotation),) = artifacts.items()
            if is_batch:
                annotation = self._of_each(name, annotation)
            if _is_union(annotation):
                return self._alternatives(name, annotation)
            return (self._one_type(name, annotation),)
        return tuple(self._one_type(name, annotation) for name, annotation in artifacts.items())

    def _of_each(self, name: str, annotation: Any) -> Any:
        """What a batch is a list of."""
        if typing.get_origin(annotation) not in _LISTS:
            spelled = "" if annotation is inspect.Parameter.empty else f", not {_spelled(annotation)}"
            raise self._wrong(f"batch= gives it a list: annotate {name} as list[Model]{spelled}")
        (of_each,) = typing.get_args(annotation)
        return of_each

    def _alternatives(self, name: str, annotation: Any) -> tuple[Any, ...]:
        if type(None) in typing.get_args(annotation):
            raise self._wrong(
                f"the parameter {name} is optional, but an agent only wakes with its artifact there: take "
                "None away"
            )
        return tuple(self._one_type(name, alternative) for alternative in typing.get_args(annotation))

    def _one_type(self, name: str, annotation: Any) -> Any:
        if self._is_type(annotation):
            return annotation
        if annotation is inspect.Parameter.empty:
            raise self._wrong(
                f"the parameter {name} has no annotation: annotate it with a pydantic model, or with Context"
            )
        if _is_union(annotation):
            raise self._wrong(
                f"the parameter {name} has alternatives ({_spelled(annotation)}) beside other artifacts: "
                "make two agents of it, or give each parameter one type"
            )
        if typing.get_origin(annotation) in _LISTS:
            raise self._wrong(
                f"the parameter {name} is a batch ({_spelled(annotation)}), and a batch must know when it is full: "
                "say batch=BatchSpec(size=…, timeout=…), or take one artifact"
            )
        raise self._wrong(
            f"the parameter {name} is {_spelled(annotation)}, which is no artifact type: annotate it with "
            f"a pydantic model or a class under @flock.type, or say {self._consumes}"
        )

    def result(self, hints: Mapping[str, Any]) -> Any:
        """The return annotation; where the function yields, a list of what it yields."""
        if "return" not in hints:
            raise self._wrong(
                "it does not say what it publishes: annotate its result (-> Model, or -> None for nothing), "
                f"or say {self._publishes}"
            )
        annotation = hints["return"]
        yields = typing.get_origin(annotation) in _YIELDED[self._calling]
        if self._calling is Calling.async_generator and not yields:
            raise self._wrong(f"it yields, so its result is AsyncIterator[Model], not {_spelled(annotation)}")
        if self._calling is Calling.generator and not yields:
            raise self._wrong(f"it yields, so its result is Iterator[Model], not {_spelled(annotation)}")
        return list[typing.get_args(annotation)[0]] if yields else annotation  # type: ignore[misc]  # made at run time

    def published(self, result: Any) -> tuple[Any, ...]:
        """The classes in a result, each once."""
        return tuple(dict.fromkeys(self._result_types(result)))

    def lists(self, result: Any) -> Iterator[tuple[Any, ...]]:
        """The classes of each list in a result, but for lists in lists."""
        parts = typing.get_args(result)
        if typing.get_origin(result) in _LISTS or Ellipsis in parts:
            yield self.published(result)
        elif _is_union(result) or typing.get_origin(result) is tuple:
            for part in parts:
                yield from self.lists(part)

    def _result_types(self, annotation: Any) -> Iterator[Any]:
        if annotation is None or annotation is type(None):
            return
        if self._is_type(annotation):
            yield annotation
        elif _is_union(annotation) or typing.get_origin(annotation) in _SEVERAL:
            for part in typing.get_args(annotation):
                if part is not Ellipsis:
                    yield from self._result_types(part)
        elif typing.get_origin(annotation) in _NEVER_RETURNED:
            raise self._wrong(f"its result is {_spelled(annotation)}, but it has no yield: return a list")
        else:
            raise self._wrong(
                f"its result is {_spelled(annotation)}, which is no artifact type: return a pydantic "
                f"model, a class under @flock.type, a list or tuple of them, or None, or say {self._publishes}"
            )


_LISTS = frozenset({list, collections.abc.Sequence})
_SEVERAL = _LISTS | {tuple}
_ASYNC_ITERATORS = frozenset(
    {collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable}
)
_ITERATORS = frozenset({collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable})
_NEVER_RETURNED = _ASYNC_ITERATORS | _ITERATORS
_YIELDED: dict[Calling, frozenset[Any]] = {
    Calling.async_generator: _ASYNC_ITERATORS,
    Calling.generator: _ITERATORS,
    Calling.coroutine: frozenset(),
    Calling.plain: frozenset(),
}


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _spelled(annotation: Any) -> str:
    """The annotation as its author wrote it, without module names of plain classes."""
    return (
        annotation.__name__
        if inspect.isclass(annotation) and not typing.get_args(annotation)
        else str(annotation)
    )


def _listed(names: Mapping[str, Any]) -> str:
    return " and ".join(names)
