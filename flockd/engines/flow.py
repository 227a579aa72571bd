"""The engines of flows: a class with a kickoff and a state, or a function that takes a request model."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from flockd.domain.artifact_type import problems_of
from flockd.engines.base import Context, Output, Threads
from flockd.engines.function import FunctionEngine
from flockd.errors import AgentFailed


class FlowClass(NamedTuple):
    """What the engine must know of a flow's class."""

    make: type[Any]
    """The class; it is made without arguments, anew for each execution."""
    kickoff: Literal["kickoff", "kickoff_async"]
    """The method that does the work."""
    awaited: bool
    """Whether that method is called, and awaited, in a loop."""
    takes_inputs: bool
    """Whether it has a parameter `inputs`, for the fields of the request; else they are put onto `state`."""
    state: type[BaseModel] | None
    """The model of `state`, where it is known before there is one."""


class FlowEngine:
    """Executes a flow: a fresh instance, the request given to it, `kickoff`, the result read from its `state`.

    Each execution has a thread of its own, and a `kickoff_async` a loop of its own in that thread. Such a
    class was written for a program that has nothing else to do: its steps block (CrewAI's wait for language
    models), which on the loop of the daemon would stop everybody. A `kickoff_async` is preferred to a
    `kickoff`, because at its awaits it can be cancelled; a thread cannot.
    """

    kind = "flow"

    def __init__(self, flow: FlowClass, *, result_type: str, result: type[BaseModel]) -> None:
        """`result_type` is the artifact type of `result`, the model of what an execution gives."""
        self._flow = flow
        self._result_type = result_type
        self._result = result

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """The result of one execution. Raises AgentFailed where the state that it left makes none."""
        (request,) = inputs
        execution = _Execution(self._flow, request)

        def work() -> BaseModel:
            return self._result_of(execution.work(), context.agent)

        try:
            result = await threads.start(work, f"{context.agent} {context.run_id}")
        finally:
            execution.stop()
        return [Output(self._result_type, result)]

    def _result_of(self, state: Any, flow: str) -> BaseModel:
        """The fields of the result model, taken from the state by name and validated: assignments are not.

        What the state has beyond them (CrewAI adds an `id`) stays behind.
        """
        values = _held(state, self._result.model_fields)
        if self._result.model_config.get("extra") == "allow" and isinstance(state, BaseModel):
            values |= state.model_extra or {}
        try:
            return self._result.model_validate(values, by_name=True)
        except ValidationError as invalid:
            problem = problems_of(invalid)[0]
            raise AgentFailed(
                f"the state that flow {flow} left makes no {self._result.__name__}: "
                f"{problem.field}: {problem.message}"
            ) from None


class FunctionFlow(FunctionEngine):
    """A flow that is a function: as an agent's, with exactly one result."""

    kind = "flow"

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """The result of one call. Raises AgentFailed where it gives none, or several."""
        outputs = await super().run(inputs, context, threads)
        if len(outputs) != 1:
            raise AgentFailed(f"flow {context.agent} returned {len(outputs)} results, and a flow has one")
        return outputs


class _Execution:
    """One instance of a flow at work. `work` is called in a thread, `stop` from another one at any time."""

    def __init__(self, flow: FlowClass, request: BaseModel) -> None:
        self._flow = flow
        self._request = request
        self._guard = threading.Lock()
        self._stopped = False
        self._task: asyncio.Task[Any] | None = None

    def work(self) -> Any:
        """Execute the flow and return its state."""
        flow = self._flow.make()
        arguments: dict[str, Any] = {}
        self._own_state(flow)
        if self._flow.takes_inputs:
            arguments["inputs"] = self._request.model_dump()
        else:
            self._fill(flow)
        if self._flow.awaited:
            with asyncio.Runner() as runner:
                runner.run(self._kickoff(flow, arguments))
        else:
            getattr(flow, self._flow.kickoff)(**arguments)
        return flow.state

    async def _kickoff(self, flow: Any, arguments: Mapping[str, Any]) -> None:
        with self._guard:
            if self._stopped:
                raise asyncio.CancelledError
            self._task = asyncio.current_task()
        result = getattr(flow, self._flow.kickoff)(**arguments)
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):  # a streaming flow of CrewAI works while somebody reads its stream
            async for _ in result:
                pass

    def stop(self) -> None:
        """Nobody waits any more: cancel what can be. Does nothing to a flow that has ended."""
        with self._guard:
            self._stopped = True
            task = self._task
        if task is not None:
            with suppress(RuntimeError):  # its loop has closed: it has ended
                task.get_loop().call_soon_threadsafe(task.cancel)

    def _own_state(self, flow: Any) -> None:
        """A state that stands in the body of the class would be shared by all executions."""
        shared = inspect.getattr_static(self._flow.make, "state", None)
        if isinstance(shared, BaseModel) and "state" not in getattr(flow, "__dict__", ()):
            flow.state = shared.model_copy(deep=True)

    def _fill(self, flow: Any) -> None:
        """Put the fields of the request onto the state; where there is none yet, make it of them."""
        fields = dict(self._request)
        state = getattr(flow, "state", None)
        if state is None and self._flow.state is not None:
            flow.state = self._flow.state.model_validate(fields, by_name=True)
        elif state is None:
            raise AgentFailed(
                f"{self._flow.make.__name__} has no state to put the request onto: make one in __init__, or give "
                f"{self._flow.kickoff}() a parameter inputs"
            )
        elif isinstance(state, MutableMapping):
            state.update(fields)
        else:
            for name, value in fields.items():
                setattr(state, name, value)


def _held(state: Any, names: Iterable[str]) -> dict[str, Any]:
    """What a state, an object or a dict, has of these names."""
    if isinstance(state, Mapping):
        return {name: state[name] for name in names if name in state}
    return {name: getattr(state, name) for name in names if hasattr(state, name)}
