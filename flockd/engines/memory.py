"""What a run settles once and finds settled when it starts again: its steps, and the answers to its questions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, get_type_hints

from pydantic_core import PydanticSerializationError

from flockd.domain.artifact_type import ArtifactType
from flockd.domain.retry import NonRetryableError
from flockd.domain.usage import Most, Usage
from flockd.errors import InvalidInput

NO_DEFAULT: Any = object()
"""Of a question without a default: when its time runs out, asking raises QuestionExpired."""


class RunSuperseded(Exception):
    """This attempt does not hold its run any more: what it still does counts for nothing, so it should end."""


class StepTooLarge(NonRetryableError, ValueError):
    """What a step returned cannot be kept: another attempt would do the step again, and could not keep it either."""


class RunParked(BaseException):
    """The run waits for an answer and starts again from its top: raised in the thread of a plain `def` to end it."""


class QuestionExpired(TimeoutError):
    """Nobody answered in time, and the question has no default."""


class Asked(NamedTuple):
    """What became of a question."""

    answer: bytes | None
    """JSON; None where its time ran out."""


class Memory(Protocol):
    """What the daemon keeps for one run; `flockd.supervisor.memory` is the real one."""

    async def recall(self, name: str) -> bytes | None:
        """The recorded result of this step, as JSON; None where it is to be done.

        Raises ValueError where this attempt has asked for the name before.
        """
        ...

    async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
        """Keep the result of a step; with `tool`, the JSON data of a `tool.called` event, which is logged with it.

        Raises RunSuperseded, and StepTooLarge.
        """
        ...

    async def tell_tool(self, data: bytes) -> None:
        """Log a `tool.called` event without a step: the call failed, and the attempt with it. Raises RunSuperseded."""
        ...

    async def begin_call(self, model: str, most: Most) -> str:
        """Reserve what one call of a language model takes at most, in every budget that it counts for; answers its id.

        Raises BudgetExceeded where it does not fit (the event `budget.exceeded` is logged), and RunSuperseded. Where it
        is cancelled, what it reserved is given back: nothing was sent.
        """
        ...

    async def end_call(
        self, call_id: str, usage: Usage | None, *, step: tuple[str, bytes] | None = None
    ) -> None:
        """Settle a call, in one transaction with the step (name, JSON) that keeps what it answered.

        `usage` None: nobody knows what it took, and it is charged what was reserved. Not guarded by the fence: what was
        taken was taken, so a superseded attempt settles, too, and only its step is dropped. Never lost on cancelling:
        it is stored though its caller be cancelled. Raises RunSuperseded where a step was dropped.
        """
        ...

    async def ask(self, key: str, text: str, schema: bytes, timeout_seconds: float | None) -> Asked | None:
        """What became of a question; None where it was asked just now: then the run is parked, and its task cancelled.

        Raises ValueError where this attempt has asked for the key before, and RunSuperseded.
        """
        ...


class Forgetful:
    """The memory of a run outside of a daemon: steps are done, questions cannot be asked."""

    async def recall(self, name: str) -> bytes | None:
        return None

    async def record(self, name: str, value: bytes, *, tool: bytes | None = None) -> None:
        return None

    async def tell_tool(self, data: bytes) -> None:
        return None

    async def begin_call(self, model: str, most: Most) -> str:
        return ""

    async def end_call(
        self, call_id: str, usage: Usage | None, *, step: tuple[str, bytes] | None = None
    ) -> None:
        return None

    async def ask(self, key: str, text: str, schema: bytes, timeout_seconds: float | None) -> Asked | None:
        raise RuntimeError(f"nobody can be asked outside of a daemon: {text}")


@lru_cache(maxsize=1024)
def shape_of(annotation: Any) -> ArtifactType:
    """What validates and writes values of an annotation."""
    return ArtifactType(getattr(annotation, "__name__", str(annotation)), annotation)


def result_shape(function: Callable[..., Any]) -> ArtifactType:
    """The shape of what a function returns, by its annotation; plain JSON where it has none."""
    try:
        annotation = get_type_hints(inspect.unwrap(function)).get("return", Any)
    except Exception:  # an annotation may name what is not there
        annotation = Any
    return shape_of(annotation)


def offered(function: Callable[..., Any], key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a step's function, with its `idempotency_key` where it takes one and was given none."""
    try:
        takes_key = "idempotency_key" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        takes_key = False
    return {"idempotency_key": key, **arguments} if takes_key else arguments


def written(name: str, shape: ArtifactType, value: Any) -> bytes:
    """The result of a step as JSON. Raises TypeError for what JSON cannot hold or the shape does not fit."""
    try:
        return shape.dump(shape.check(value))
    except PydanticSerializationError as error:
        raise TypeError(
            f"the step {name!r} returned what JSON cannot hold ({error}): return plain data or a model"
        ) from None
    except InvalidInput as invalid:
        raise TypeError(f"the step {name!r} did not return {shape.name}: {invalid.message}") from None


def read(what: str, shape: ArtifactType, value: bytes) -> Any:
    """A recorded value. Raises TypeError where the code has changed so that it does not fit any more."""
    try:
        return shape.parse(value)
    except InvalidInput as invalid:
        raise TypeError(f"what was recorded for {what} is no {shape.name}: {invalid.message}") from None
