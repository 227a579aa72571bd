"""The flock: what agent authors write their agents on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from flockd.domain.agent import Agent, Agents, fold
from flockd.domain.artifact import EXTERNAL
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.domain.workflow import Workflow
from flockd.engines.base import Engine
from flockd.engines.function import FunctionEngine
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes, made
from flockd.flock.options import AgentOptions, build_agent, check_known, check_name
from flockd.flock.signature import read_signature

if TYPE_CHECKING:
    from flockd.config import Config

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type[Any])


class Flock:
    """Agents and artifact types, declared by decorators.

    ```
    flock = Flock(name="reviews")

    @flock.agent
    async def bug_detector(code: CodeSubmission) -> BugAnalysis: ...
    ```
    What is declared wrongly raises DeclarationError there and then.
    """

    def __init__(
        self, model: str | None = None, *, name: str = "flock", description: str | None = None
    ) -> None:
        """`model` is the language model of agents that think with one and name none of their own."""
        self.model = model
        self.name = name
        self.description = description
        self._types = DeclaredTypes()
        self._agents: dict[str, Agent] = {}
        self._engines: dict[str, Engine] = {}
        self._workflows: dict[str, Workflow] = {}

    def __repr__(self) -> str:
        return f"Flock({self.name!r}, {len(self._agents)} agents, {len(self._types)} types)"

    # Agents

    @overload
    def agent(self, function: Function, /) -> Function: ...

    @overload
    def agent(self, /, **options: Unpack[AgentOptions]) -> Callable[[Function], Function]: ...

    def agent(
        self, function: Function | None = None, /, **options: Unpack[AgentOptions]
    ) -> Function | Callable[[Function], Function]:
        """Declare the decorated function as an agent, and return it unchanged.

        Its artifact parameters say what wakes it, its return annotation what it publishes; `AgentOptions`
        lists the rest. Raises DeclarationError.
        """
        if function is not None:
            self._declare(function, options, sys._getframe(1).f_locals)
            return function

        def decorate(function: Function) -> Function:
            self._declare(function, options, sys._getframe(1).f_locals)
            return function

        return decorate

    def _declare(
        self, function: Callable[..., Any], options: AgentOptions, local_names: Mapping[str, Any]
    ) -> None:
        name = options.get("name", getattr(function, "__name__", repr(function)))
        check_known(name, options)
        self._check_free(name)
        consumes, publishes = options.get("consumes"), options.get("publishes")
        signature = read_signature(
            name,
            function,
            self._types.is_type,
            local_names=local_names if "<locals>" in getattr(function, "__qualname__", "") else {},
            consumes_given=consumes is not None,
            publishes_given=publishes is not None,
        )
        inputs = self._types.names(name, "consumes", signature.consumes if consumes is None else consumes)
        if not inputs:
            raise DeclarationError(f"agent {name}: consumes= is empty: name what wakes it, or leave it out")
        mode: Literal["all", "any"] = "any" if len(inputs) > len(signature.parameters) else "all"
        outputs = self._types.names(
            name, "publishes", signature.publishes if publishes is None else publishes
        )
        agent = build_agent(
            name,
            options,
            consumes=inputs,
            mode=mode,
            publishes=tuple(dict.fromkeys(outputs)),
            description=_first_paragraph(function),
            kind=FunctionEngine.kind,
        )
        engine = FunctionEngine(
            function,
            parameters=signature.parameters,
            context=signature.context,
            outputs={output: self._types.named(name, output).model for output in agent.outputs},
        )
        self.add(agent, engine)

    def add(self, agent: Agent, engine: Engine) -> None:
        """Declare an agent that is already described. Raises DeclarationError."""
        self._check_free(agent.name)
        known = {
            name: self._types.named(agent.name, name) for name in (*agent.subscription.types, *agent.outputs)
        }
        plain = [name for name in agent.outputs if known[name].model is None]
        if len(plain) > 1:
            raise DeclarationError(
                f"agent {agent.name}: it publishes {' and '.join(plain)}, and a dict does not say which it "
                "is: "
                "make all but one of them a class"
            )
        self._agents[agent.name] = agent
        self._engines[agent.name] = engine

    def _check_free(self, name: str) -> None:
        check_name(name)
        for taken in self._agents:
            if fold(taken) == fold(name):
                same = "" if taken == name else " (case and - or _ make no difference)"
                raise DeclarationError(
                    f"agent {name}: there is already an agent {taken}{same}: give one of them another with "
                    "name="
                )

    # Artifact types

    @overload
    def type(self, cls: Class, /) -> Class: ...

    @overload
    def type(
        self, name: str | None = None, /, *, version: int = 1, description: str | None = None
    ) -> Callable[[Class], Class]: ...

    @overload
    def type(
        self, name: str, /, *, schema: Mapping[str, Any], version: int = 1, description: str | None = None
    ) -> ArtifactType: ...

    def type(
        self,
        what: Any = None,
        /,
        *,
        schema: Mapping[str, Any] | None = None,
        version: int = 1,
        description: str | None = None,
    ) -> Any:
        """Declare an artifact type: `@flock.type`, `@flock.type("OtherName")`, or by a JSON Schema.

        As a decorator it returns the class (a pydantic model, or any other class that pydantic validates)
        unchanged; with `schema` it returns the type, whose values are plain dicts. Raises DeclarationError.
        """
        if inspect.isclass(what):
            self._types.add_class(what)
            return what
        if what is not None and not isinstance(what, str):
            raise DeclarationError(f"artifact type {what!r}: it is neither a class nor a name")
        if schema is not None:
            if what is None:
                raise DeclarationError(
                    'an artifact type by JSON Schema needs a name: flock.type("Name", schema={…})'
                )
            return self.add_type(made(what, schema=schema, version=version, description=description))

        def decorate(cls: Class) -> Class:
            self._types.add_class(cls, what, version, description)
            return cls

        return decorate

    def add_type(self, artifact_type: ArtifactType) -> ArtifactType:
        """Declare an artifact type that is already made. Raises DeclarationError."""
        return self._types.add(artifact_type)

    # What the daemon reads

    def agents(self) -> Agents:
        """The agents declared so far."""
        return Agents(self._agents.values())

    def types(self) -> Types:
        """The artifact types declared so far."""
        return self._types.types()

    def engine(self, agent: str) -> Engine:
        """The engine of an agent, by its exact name. Raises KeyError."""
        return self._engines[agent]

    def workflows(self) -> tuple[Workflow, ...]:
        """The workflows declared so far, in that order."""
        return tuple(self._workflows.values())

    def include(self, other: Flock) -> None:
        """Take over the types and agents of another flock. Raises DeclarationError where names collide."""
        for artifact_type in other.types().values():
            self.add_type(artifact_type)
        for agent in other._agents.values():
            self.add(agent, other._engines[agent.name])

    def validate(self, reserved_names: Collection[str] = ()) -> None:
        """Check what can only be known once all is declared. Raises DeclarationError with a line for each
        problem.

        `reserved_names` are words that agents may not have as names, because a route has them.
        """
        reserved = {fold(name) for name in reserved_names}
        agents = self.agents()
        problems = []
        for agent in agents.values():
            if fold(agent.name) in reserved:
                problems.append(
                    f"agent {agent.name}: a route has this name: give the agent another with name="
                )
            for producer in sorted(agent.subscription.from_agents - {EXTERNAL}):
                if producer not in agents:
                    near = nearest(producer, [*agents, EXTERNAL])
                    hint = f"did you mean {near}?" if near else "name an agent of this flock, or external"
                    problems.append(
                        f"agent {agent.name}: from_agents has {producer}, which is no agent: {hint}"
                    )
        if problems:
            raise DeclarationError("\n".join(problems))

    # Serving

    async def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        store: str | None = None,
        auth: str | None = None,
        dashboard: bool | None = None,
        config: str | Path | None = None,
    ) -> None:
        """Serve this flock until the process is told to stop (SIGTERM, Ctrl-C).

        What is given here wins over the environment and the configuration file (`config`, or ./config.toml
        where it is there): `auth` is auth.mode, `dashboard` switches the page at `/`. Raises ConfigError and
        LoadError.
        """
        from flockd.app import serve_async  # the daemon is imported by those who run it, not by every author
        from flockd.loading import with_tables

        settings = _config(config, host=host, port=port, store=store, auth=auth, page=dashboard)
        await serve_async(settings, with_tables(settings, self))

    def start_api(
        self,
        host: str | None = None,
        port: int | None = None,
        server_name: str | None = None,
        create_ui: bool | None = None,
        *,
        store: str | None = None,
        auth: str | None = None,
        config: str | Path | None = None,
    ) -> None:
        """As `serve`, from code without a loop: blocks, and ends the process with the daemon.

        `server_name` is what the flock is called in answers and in the API's title; `create_ui` switches the
        page.
        """
        from flockd.app import serve
        from flockd.loading import with_tables

        self.name = server_name or self.name
        settings = _config(config, host=host, port=port, store=store, auth=auth, page=create_ui)
        if code := serve(settings, with_tables(settings, self)):
            sys.exit(code)


def _config(
    path: str | Path | None,
    *,
    host: str | None,
    port: int | None,
    store: str | None,
    auth: str | None,
    page: bool | None,
) -> Config:
    from flockd.config import Config

    given: dict[str, dict[str, object]] = {
        "server": {"host": host, "port": port, "page": page},
        "store": {"url": store},
        "auth": {"mode": auth},
    }
    overrides = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in given.items()
    }
    default = Path("config.toml")
    file = Path(path) if path is not None else default if default.is_file() else None
    return Config.load(file, overrides)


def _first_paragraph(function: Callable[..., Any]) -> str:
    paragraph = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())
