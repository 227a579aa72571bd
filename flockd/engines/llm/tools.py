"""The tools of an agent, as pydantic-ai takes them: Python functions, and the tools of MCP servers.

This module imports pydantic-ai: only what asks a model imports it.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Self

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.tools import Tool, ToolDefinition
from pydantic_ai.toolsets.abstract import AbstractToolset, SchemaValidatorProt, ToolsetTool
from pydantic_core import PydanticSerializationError, SchemaValidator, core_schema

from flockd.engines.base import Asking, Context, Threads
from flockd.engines.blocking import BlockingContext
from flockd.engines.llm.thinking import Thinking
from flockd.engines.llm.tool_beside import Beside
from flockd.engines.llm.tool_calls import ToolCalls, ToolFailure
from flockd.engines.llm.tool_function import NAME, ToolFunction, read_tools
from flockd.engines.memory import RunParked, RunSuperseded, StepTooLarge, offered, result_shape
from flockd.errors import AgentFailed, InvalidInput

if TYPE_CHECKING:
    from flockd.engines.llm.mcp import Server, Servers

_ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))
"""Of a tool of a server: it is the server that validates them."""


def toolset(
    thinking: Thinking, context: Context, threads: Threads, *, generation: int
) -> AbstractToolset[Any] | None:
    """The tools of one attempt, for `Agent.run(toolsets=[…])`; None where the agent has none.

    It is an async context manager, which pydantic-ai enters and leaves: while it is entered, the servers of
    `thinking.mcp` are connected, and when it is left they are gone, whatever ended the attempt.

    Entering raises AgentFailed for a server that cannot be reached and for a tool that it does not have. What a call
    raises ends the run: AgentFailed for a tool that fails again and again, BudgetExceeded, NonRetryableError,
    RunSuperseded. Any other failure is told to the model. Raises AgentFailed for a function that is no tool.
    `generation`: see ToolCalls.
    """
    servers = None
    if any(server.allow for server in thinking.mcp):
        servers = _servers(thinking, context)
    try:
        functions = [_PythonTool(one, context, threads) for one in read_tools(thinking.tools)]
    except ValueError as error:
        raise AgentFailed(str(error), is_final=True) from None
    if not functions and servers is None:
        return None
    return _Toolset(ToolCalls(context, generation=generation), functions, servers, thinking.tool_rounds)


def _servers(thinking: Thinking, context: Context) -> Servers:
    try:
        from flockd.engines.llm.mcp import Servers
    except ModuleNotFoundError as missing:
        raise AgentFailed(
            f"agent {context.agent} uses MCP servers, and the package {missing.name} is not installed: "
            "pip install 'flockd[mcp]'",
            is_final=True,
        ) from None
    return Servers(thinking.mcp, context)


class _Tool(ABC):
    """One tool."""

    definition: ToolDefinition
    validator: SchemaValidator | SchemaValidatorProt

    @abstractmethod
    async def call(self, arguments: dict[str, Any], asking: Asking, key: str) -> bytes:
        """What it gives back, as JSON. Raises ToolFailure with what the model is told, and whatever the author does.

        `asking` asks its questions.
        """


class _PythonTool(_Tool):
    """A function of the author's."""

    def __init__(self, tool: ToolFunction, context: Context, threads: Threads) -> None:
        described = _described(tool.shown)
        self.definition = described.tool_def
        self.validator = described.function_schema.validator
        self._tool = tool
        self._shape = result_shape(tool.function)
        self._context = context
        self._threads = threads

    async def call(self, arguments: dict[str, Any], asking: Asking, key: str) -> bytes:
        tool = self._tool
        given = offered(tool.function, key, arguments)
        context = copy(self._context)
        context.asking = asking
        context.within = key.removeprefix(f"{context.run_id}/")
        try:
            value = await (self._in_thread(given, context) if tool.blocks else self._on_loop(given, context))
        except ModelRetry as retry:
            raise ToolFailure(retry.message, is_correction=True) from retry
        except StepTooLarge as too_large:  # within the tool: the model may ask for less
            raise ToolFailure(str(too_large)) from too_large
        try:
            return self._shape.dump(self._shape.check(value))
        except (PydanticSerializationError, InvalidInput) as error:  # no answer of a model would mend that
            raise AgentFailed(
                f"the tool {tool.name} returned what is no {self._shape.name} in JSON ({error}): return plain data "
                "or a model, of the type that it is annotated with"
            ) from None

    async def _on_loop(self, arguments: dict[str, Any], context: Context) -> Any:
        if self._tool.context is not None:
            arguments = {**arguments, self._tool.context: context}
        return await self._tool.function(**arguments)

    async def _in_thread(self, arguments: dict[str, Any], context: Context) -> Any:
        tool = self._tool
        blocking = BlockingContext(context, self._threads.loop)
        if tool.context is not None:
            arguments = {**arguments, tool.context: blocking}

        def work() -> Any:
            try:
                return tool.function(**arguments)
            except RunParked as parked:
                return parked
            except StopIteration as stop:  # no future can carry it
                raise RuntimeError("it raised StopIteration") from stop

        try:
            value = await self._threads.start(work, f"{context.agent} {tool.name} {context.run_id}")
            if isinstance(value, RunParked):
                await asyncio.get_running_loop().create_future()  # the run's task is being cancelled
            return await value if inspect.isawaitable(value) else value
        finally:
            blocking.end()


class _ServerTool(_Tool):
    """A tool of an MCP server. The model knows it as `{server}_{tool}`."""

    validator = _ANY_ARGUMENTS

    def __init__(self, server: Server, name: str, description: str | None, schema: dict[str, Any]) -> None:
        self._server = server
        self._name = name
        self.definition = ToolDefinition(
            name=shown_name(server.name, name), description=description, parameters_json_schema=schema
        )

    async def call(self, arguments: dict[str, Any], asking: Asking, key: str) -> bytes:
        return await self._server.call(self._name, arguments)


class _Toolset(AbstractToolset[Any]):
    """All tools of one attempt."""

    def __init__(
        self, calls: ToolCalls, functions: Iterable[_PythonTool], servers: Servers | None, rounds: int
    ) -> None:
        self._rounds = rounds
        self._functions = tuple(functions)
        self._servers = servers
        self._calls = calls
        self._tools: Mapping[str, _Tool] = {}
        self._calling: set[asyncio.Task[Any]] = set()
        """The tasks that wait for a tool."""
        self._beside = Beside()

    @property
    def id(self) -> str | None:
        return None

    async def __aenter__(self) -> Self:
        tools: list[_Tool] = [*self._functions]
        if self._servers is not None:
            await self._servers.open()
            tools.extend(
                _ServerTool(server, tool.name, tool.description, tool.input_schema)
                for server in self._servers.connected
                for tool in server.tools
            )
        try:
            self._tools = _by_name(tools)
        except AgentFailed:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._calling:  # of a run that is cancelled; else they would see their servers go
            task.cancel()
        if self._servers is not None:
            await self._servers.close()

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        return {
            name: ToolsetTool(
                toolset=self,
                tool_def=tool.definition,
                max_retries=self._rounds,
                args_validator=tool.validator,
            )
            for name, tool in self._tools.items()
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._calling.add(task)
        try:
            async with self._beside.call() as call:
                work = partial(self._tools[name].call, tool_args, partial(self._beside.ask, call))
                try:
                    return await self._calls.make(name, tool_args, work, round=ctx.run_step)
                except (ToolFailure, RunSuperseded):
                    raise
                except Exception:
                    await self._beside.last(call)
                    raise
        except ToolFailure as failure:
            if failure.is_correction:
                raise ModelRetry(str(failure)) from failure
            raise ToolFailed(str(failure)) from failure
        finally:
            self._calling.discard(task)


def _by_name(tools: Iterable[_Tool]) -> dict[str, _Tool]:
    named: dict[str, _Tool] = {}
    for tool in tools:
        if tool.definition.name in named:
            raise AgentFailed(
                f"two tools are called {tool.definition.name}: a model could not tell them apart",
                is_final=True,
            )
        named[tool.definition.name] = tool
    return named


@lru_cache(maxsize=1024)
def _described(shown: Callable[..., Any]) -> Tool[Any]:
    """What the model is told of a function; made once, since it takes longer than all the rest of a run."""
    try:
        return Tool(shown, takes_ctx=False)
    except Exception as error:  # a parameter may be of a type that no JSON Schema can say
        raise AgentFailed(
            f"a model cannot be told how to call the tool {shown.__name__}: {error}", is_final=True
        ) from error


def shown_name(server: str, tool: str) -> str:
    """What a model calls a tool of a server: both names, in the characters and the length that providers take."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}_{tool}")
    if NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(f"{server}_{tool}".encode()).hexdigest()[:8]
    return re.sub(r"^[^A-Za-z_]", "_", name)[:55] + "_" + digest
