"""The flock: what agent authors write their agents on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact import EXTERNAL
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.domain.names import fold
from flockd.domain.schedule import Schedule
from flockd.domain.timer import Starts, Timer
from flockd.domain.workflow import Workflow
from flockd.engines.base import Engine
from flockd.engines.handed import HandedEngine
from flockd.engines.http.engine import HttpEngine
from flockd.engines.llm.engine import LlmEngine
from flockd.engines.outside import LlmDefaults
from flockd.errors import nearest
from flockd.flock.agent_warnings import agent_warnings
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes, TypeChoice, made
from flockd.flock.flock_agent import FlockAgent, fields_type
from flockd.flock.flows import FlowOptions, flow_name, read_flow
from flockd.flock.functions import read_function
from flockd.flock.hand_off import givers, hand_off_problems, handed_to, with_hand_offs
from flockd.flock.http_agents import read_service
from flockd.flock.llm_agents import LlmOptions, read_llm_agent
from flockd.flock.options import (
    AgentOptions,
    GatherOptions,
    VisibilityChoice,
    build_agent,
    check_known,
    check_name,
    owner_of,
)
from flockd.flock.schedules import (
    build_timer,
    check_timer_free,
    read_schedule,
    timer_problems,
    timer_warnings,
    with_spelled_agent,
)
from flockd.flock.serving import configured, serve_flock, serve_flock_blocking
from flockd.flock.thinking import context_problem
from flockd.flock.tools import server_warnings, tool_problems
from flockd.flock.workflows import build_workflow, check_workflow_free, workflow_warnings

if TYPE_CHECKING:
    from flockd.testing import BoardArtifact

Function = TypeVar("Function", bound=Callable[..., Any])
Flow = TypeVar("Flow", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type[Any])


class Flock:
    """Agents, flows, workflows, timers and artifact types, declared by decorators and calls.

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
        self._timers: dict[str, Timer] = {}

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
        given: object = function
        if isinstance(given, str):
            hint = f"give it options by their names, as name={given!r}"
            raise DeclarationError(f"@flock.agent has {given!r}: {hint}")
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
        check_known(f"agent {name}", options, AgentOptions.__annotations__)
        self._check_free(name)
        agent, engine = read_function(name, function, options, self._types, local_names)
        schedule = options.get("schedule")
        if schedule is None:
            self.add(agent, engine)
        else:
            timer = Timer(name, read_schedule(f"agent {name}", schedule), Starts(name))
            check_timer_free(name, self._timers)
            self.add(agent, engine)
            self.add_timer(timer)

    def llm_agent(
        self,
        name: str,
        *,
        consumes: TypeChoice | Iterable[TypeChoice],
        publishes: TypeChoice | Iterable[TypeChoice],
        **options: Unpack[LlmOptions],
    ) -> None:
        """Declare an agent that thinks with a language model: its own, else that of the flock, else llm.model.

        Several types in `consumes` are alternatives, with `join=` one of each; of several in `publishes` the model
        chooses one. `LlmOptions` lists the rest. Raises DeclarationError.
        """
        check_known(f"agent {name}", options, LlmOptions.__annotations__)
        self._check_free(name)
        self.add(
            *read_llm_agent(
                name,
                options,
                self._types,
                consumes=consumes,
                publishes=publishes,
                default_model=self.model,
            )
        )

    def http_agent(
        self,
        name: str,
        *,
        consumes: TypeChoice | Iterable[TypeChoice],
        publishes: TypeChoice | Iterable[TypeChoice],
        url: str,
        headers: Mapping[str, str] | None = None,
        secret_env: str | None = None,
        allow_private: bool = False,
        **options: Unpack[GatherOptions],
    ) -> None:
        """Declare an agent that is a service: each run is posted to `url`, the answer is what it publishes.

        `headers` names for each header the environment variable that holds its value, `secret_env` the one with the
        secret that signs. `allow_private` lets the service be at a private address. Several types in `consumes` are
        alternatives, with `join=` one of each. Raises DeclarationError.
        """
        its_own = ("url", "headers", "secret_env", "allow_private")
        check_known(f"agent {name}", options, (*its_own, *GatherOptions.__annotations__))
        self._check_free(name)
        self.add(
            *read_service(
                name,
                consumes=consumes,
                publishes=publishes,
                url=url,
                headers=headers,
                secret_env=secret_env,
                allow_private=allow_private,
                options=options,
                types=self._types,
            )
        )

    def add_agent(self, agent: FlockAgent) -> FlockAgent:
        """Declare an agent of documents 000 and 001, and return it. Raises DeclarationError."""
        owner = f"agent {agent.name}"
        check_name(agent.name)
        self.llm_agent(
            agent.name,
            consumes=fields_type(owner, agent.name, "input", agent.input),
            publishes=fields_type(owner, agent.name, "output", agent.output),
            model=agent.model,
            instructions=agent.description,
            hand_off=agent.hand_offs,
        )
        return agent

    def add(self, agent: Agent, engine: Engine) -> None:
        """Declare an agent that is already described. Raises DeclarationError."""
        owner = owner_of(agent.name, agent.kind)
        self._check_free(agent.name, "flow" if agent.kind == "flow" else "agent")
        known = {name: self._types.named(owner, name) for name in (*agent.subscription.types, *agent.outputs)}
        plain = [name for name in agent.outputs if known[name].model is None]
        if len(plain) > 1 and not isinstance(
            engine, (HttpEngine, LlmEngine)
        ):  # whose answers name their types
            raise DeclarationError(
                f"{owner}: it publishes {' and '.join(plain)}, and a dict does not say which it is: "
                "make all but one of them a class"
            )
        self._agents[agent.name] = agent
        self._engines[agent.name] = engine

    def _check_free(self, name: str, noun: str = "agent") -> None:
        check_name(name, noun)
        for taken in self._agents.values():
            if fold(taken.name) == fold(name):
                same = "" if taken.name == name else " (case and - or _ make no difference)"
                raise DeclarationError(
                    f"{noun} {name}: there is already {_article(owner_of(taken.name, taken.kind))}{same}: give "
                    "one of them another with name="
                )

    # Flows

    @overload
    def flow(self, flow: Flow, /, **options: Unpack[FlowOptions]) -> Flow: ...

    @overload
    def flow(self, /, **options: Unpack[FlowOptions]) -> Callable[[Flow], Flow]: ...

    def flow(
        self, flow: Flow | None = None, /, **options: Unpack[FlowOptions]
    ) -> Flow | Callable[[Flow], Flow]:
        """Declare a flow, and return it unchanged: a class with a kickoff and a state, or a function.

        An execution makes a fresh instance, gives it the fields of `request`, calls `kickoff_async` or
        `kickoff`, and makes `result` of the state that it leaves; a function takes the request and returns
        the result. On the board a flow is an agent with one input and one output. Raises DeclarationError.
        """
        if flow is not None:
            self._declare_flow(flow, options, sys._getframe(1).f_locals)
            return flow

        def decorate(flow: Flow) -> Flow:
            self._declare_flow(flow, options, sys._getframe(1).f_locals)
            return flow

        return decorate

    def _declare_flow(
        self, flow: Callable[..., Any], options: FlowOptions, local_names: Mapping[str, Any]
    ) -> None:
        name = flow_name(flow, options)
        check_known(f"flow {name}", options, FlowOptions.__annotations__)
        self._check_free(name, "flow")
        declared = read_flow(name, flow, options, self._types, local_names)
        if declared.request == declared.result:  # two such flows would wake each other without an end
            options = {"from_agents": EXTERNAL, **options}
        agent = build_agent(
            name,
            options,
            takes=[self._types.named(f"flow {name}", declared.request)],
            mode="all",
            publishes=(declared.result,),
            document=declared.document,
            kind=declared.engine.kind,
        )
        self.add(agent, declared.engine)

    # Workflows

    def workflow(
        self,
        name: str,
        *,
        start: TypeChoice,
        phases: Mapping[str, TypeChoice | Iterable[TypeChoice]],
        description: str = "",
    ) -> None:
        """Declare a workflow that can be asked for by name: an artifact of `start` sets it off.

        `phases` names its parts, in the order in which they are shown, with the types that end each; the work
        itself is that of the agents that subscribe. Raises DeclarationError.
        """
        self.add_workflow(
            build_workflow(name, start=start, phases=phases, description=description, types=self._types)
        )

    def add_workflow(self, workflow: Workflow) -> None:
        """Declare a workflow that is already described. Raises DeclarationError."""
        check_workflow_free(workflow.name, self._workflows)
        self._workflows[workflow.name] = workflow

    # Timers

    def schedule(
        self,
        name: str,
        schedule: Schedule | Mapping[str, Any],
        *,
        publish: Any = None,
        payload: Any = None,
        run: str | None = None,
        tags: str | Iterable[str] = (),
        partition_key: str | None = None,
        visibility: VisibilityChoice = None,
    ) -> None:
        """Declare a timer: at the moments of its schedule it publishes an artifact, or starts an agent.

        `publish` is a value (`Reminder(text="…")`), or a type, whose `payload` is given beside it; `run` is an agent
        that takes no artifact. Each firing is a workflow of its own. Raises DeclarationError.
        """
        self.add_timer(
            build_timer(
                name,
                schedule,
                publish=publish,
                payload=payload,
                run=run,
                tags=tags,
                partition_key=partition_key,
                visibility=visibility,
                types=self._types,
            )
        )

    def add_timer(self, timer: Timer) -> None:
        """Declare a timer that is already described. Raises DeclarationError."""
        check_timer_free(timer.name, self._timers)
        self._timers[timer.name] = timer

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
        """The agents declared so far, flows among them. `hand_off` of each: those that its outputs wake."""
        return with_hand_offs(Agents(self._agents.values()), self.types())

    def workflows(self) -> tuple[Workflow, ...]:
        """The workflows declared so far, in that order."""
        return tuple(self._workflows.values())

    def timers(self) -> tuple[Timer, ...]:
        """The timers declared so far, those of agents with a `schedule` among them, in that order."""
        agents = Agents(self._agents.values())
        return tuple(with_spelled_agent(timer, agents) for timer in self._timers.values())

    def types(self) -> Types:
        """The artifact types declared so far."""
        return self._types.types()

    def engine(self, agent: str) -> Engine:
        """The engine of an agent, by its exact name. Raises KeyError."""
        engine, giving = self._engines[agent], givers(self._agents)
        handed = handed_to(self._agents[agent], giving, self.types()) if giving else {}
        if not handed:
            return engine
        return HandedEngine(engine, {name: self.types()[own] for name, own in handed.items()})

    def llm_engines(self) -> list[LlmEngine]:
        """What thinks for the agents that do so with a language model."""
        return [engine for engine in self._engines.values() if isinstance(engine, LlmEngine)]

    def include(self, other: Flock) -> None:
        """Take over all that another flock declares. Raises DeclarationError where names collide."""
        for artifact_type in other.types().values():
            self.add_type(artifact_type)
        for agent in other._agents.values():
            self.add(agent, other._engines[agent.name])
        for workflow in other._workflows.values():
            self.add_workflow(workflow)
        for timer in other._timers.values():
            self.add_timer(timer)

    def validate(self, reserved_names: Collection[str] = ()) -> None:
        """Check what can only be known once all is declared. Raises DeclarationError with a line for each
        problem.

        `reserved_names` are words that agents and flows may not have as names, because a route has them.
        """
        reserved = {fold(name) for name in reserved_names}
        agents, types = Agents(self._agents.values()), self.types()
        problems = []
        for agent in agents.values():
            owner = owner_of(agent.name, agent.kind)
            if fold(agent.name) in reserved:
                problems.append(f"{owner}: a route has this name: give it another with name=")
            problems += [f"{owner}: {problem}" for problem in hand_off_problems(agent, agents, types)]
            engine = self._engines[agent.name]
            if isinstance(engine, LlmEngine):
                found = [context_problem(engine.thinking, types), *tool_problems(engine.thinking.tools)]
                problems += [f"{owner}: {problem}" for problem in found if problem is not None]
            for producer in sorted(agent.subscription.from_agents - {EXTERNAL}):
                if producer not in agents:
                    near = nearest(producer, [*agents, EXTERNAL])
                    hint = f"did you mean {near}?" if near else "name an agent of this flock, or external"
                    problems.append(f"{owner}: from_agents has {producer}, which is no agent: {hint}")
        for timer in self._timers.values():
            problems += timer_problems(timer, agents)
        if problems:
            raise DeclarationError("\n".join(problems))

    def warnings(self, llm: LlmDefaults | None = None) -> list[str]:
        """What an author should know though the daemon can start: agents that cannot work, options without an
        effect, phases that cannot end, timers that wake nobody. `llm` is the section of the configuration."""
        agents, types = self.agents(), self.types()
        engines = self._engines.values()
        thinkers = [engine for engine in engines if isinstance(engine, LlmEngine)]
        problems = [
            *(engine.problem(llm or LlmDefaults()) for engine in thinkers),
            *(
                f"agent {engine.agent}: {warning}"
                for engine in thinkers
                for warning in server_warnings(engine.thinking.mcp)
            ),
            *(engine.problem() for engine in engines if isinstance(engine, HttpEngine)),
        ]
        return [
            *filter(None, problems),
            *(warning for agent in agents.values() for warning in agent_warnings(agent, agents, types)),
            *(warning for workflow in self.workflows() for warning in workflow_warnings(workflow, agents)),
            *(warning for timer in self.timers() for warning in timer_warnings(timer, agents)),
        ]

    # Testing

    async def test_run(
        self, artifact: Any, *, type: TypeChoice | None = None, **options: Any
    ) -> list[BoardArtifact]:
        """What the agents make of one artifact, on an empty board of its own, without a network and without waiting.

        Plain data needs its `type`. `options` are those of `flockd.testing.flock_test`: `model=` for agents that think
        with one. Raises AgentFailed where an agent failed for good.
        """
        from flockd.testing import flock_test

        async with flock_test(self, **options) as board:
            return await board.run(artifact, type=type)

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
        where it is there): `auth` is auth.mode, `dashboard` switches the page at `/`. Raises ConfigError,
        LoadError, and SystemExit where it cannot serve, after it has said why.
        """
        await serve_flock(
            self, configured(config, host=host, port=port, store=store, auth=auth, page=dashboard)
        )

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
        self.name = server_name or self.name
        serve_flock_blocking(
            self, configured(config, host=host, port=port, store=store, auth=auth, page=create_ui)
        )


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
