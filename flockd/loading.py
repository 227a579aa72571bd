"""Loading: finds the flock that a daemon is to serve, and adds what the configuration declares."""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from flockd.config import AgentTable, Config, FlowTable, ModelTable, ServiceKeys, TypeTable, WorkflowTable
from flockd.domain.artifact_type import problems_of
from flockd.domain.budget import Budget, BudgetRule, Scope
from flockd.domain.fields import model_of
from flockd.domain.rate import parse_rate
from flockd.engines.llm.choice import canonical, chosen
from flockd.engines.outside import LlmDefaults, ModelLimits, Outside
from flockd.errors import nearest
from flockd.flock import Flock
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import made
from flockd.flock.flock_agent import fields_type
from flockd.flock.flows import FlowOptions
from flockd.flock.llm_agents import LlmOptions
from flockd.flock.options import AgentOptions, GatherOptions

DEMO = "flockd.demo:flock"
"""What is served where nothing is named."""
THINKING_DEMO = "flockd.demo.flocks:thinking_flock"
"""The same where `llm.model` names a model."""

_NAMED = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<attribute>\w+(?:\.\w+)*)")
_OWN_FOLDER = Path(__file__).parent
_IMPORT_SYSTEM = Path(importlib.__file__)
_LIBRARIES = {Path(folder) for name, folder in sysconfig.get_paths().items() if name.endswith("lib")}
"""Where Python's own modules are, and installed ones."""


class LoadError(Exception):
    """The flock cannot be loaded; the message is a sentence that names what is wrong and the mend."""


def load_flock(config: Config, target: str | None = None) -> Flock:
    """The flock to serve: `target` ("MODULE:ATTR"), else the configuration's modules, else the demo.

    What the tables of the configuration declare is added to any of them. It is a flock of its own:
    those that the modules hold are left as they are. Puts the working directory and its `src` on `sys.path`.
    Raises LoadError.
    """
    folders = _use_working_directory()
    if target is not None:
        flocks = [_flock_at(target, folders)]
    elif config.modules:
        flocks = _flocks_of(config.modules, folders)
    elif config.agents or config.flows:
        flocks = [Flock()]
    else:
        flocks = [_flock_at(DEMO if config.llm.model is None else THINKING_DEMO, folders)]
    return _combined(config, flocks, folders)


def with_tables(config: Config, base: Flock) -> Flock:
    """A flock of everything in `base` and in the tables of the configuration. Raises LoadError."""
    return _combined(config, [base], _use_working_directory())


def _combined(config: Config, flocks: list[Flock], folders: list[Path]) -> Flock:
    first = flocks[0]
    combined = Flock(first.model, name=first.name, description=first.description)
    outside_of(config)  # what is wrong in its tables is said before anything starts
    try:
        for each in flocks:
            combined.include(each)
        for type_table in config.types:
            _declare_type(combined, type_table)
        for agent_table in config.agents:
            _declare_agent(combined, agent_table, folders)
        for flow_table in config.flows:
            _declare_flow(combined, flow_table, folders)
        for workflow_table in config.workflows:
            _declare_workflow(combined, workflow_table)
        for timer_table in config.timers:
            combined.schedule(
                timer_table.name,
                timer_table.schedule.model_dump(exclude_none=True),
                **timer_table.target(),  # type: ignore[arg-type]  # one table, one signature: a test compares them
            )
    except DeclarationError as error:
        raise LoadError(str(error)) from error
    return combined


def _use_working_directory() -> list[Path]:
    """Put the working directory and its `src` on `sys.path`, and return those of them that are there."""
    folders = [folder for folder in (Path.cwd(), Path.cwd() / "src") if folder.is_dir()]
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return folders


def budget_rules(config: Config, flock: Flock) -> tuple[BudgetRule, ...]:
    """What `[[budgets]]` and the agents' own budgets say. Raises DeclarationError for the name of no agent."""
    agents = flock.agents()
    rules = []
    for table in config.budgets:
        scope, name = Scope(table.scope), table.name
        if name is not None and scope is not Scope.tenant:
            agent = agents.spelled(name)
            if agent is None:
                near = nearest(name, agents)
                hint = f": did you mean {near}?" if near else ""
                raise DeclarationError(f"[[budgets]]: there is no agent {name}{hint}")
            name = agent.name
        rules.append(BudgetRule(scope, name, Budget(table.requests, table.tokens, table.usd, table.per)))
    own = [BudgetRule(Scope.agent, agent.name, agent.budget) for agent in agents.values() if agent.budget]
    return (*rules, *own)


# Modules


def _flock_at(target: str, folders: list[Path]) -> Flock:
    found = _object_at(target, folders)
    if not isinstance(found, Flock):
        raise LoadError(
            f"{target} is a {type(found).__name__}, not a Flock: name the object that Flock(…) made"
        )
    return found


def _object_at(target: str, folders: list[Path]) -> Any:
    """What "MODULE:ATTR" names."""
    named = _NAMED.fullmatch(target)
    if named is None:
        dotted = target.partition(":")[0].removesuffix(".py").replace("/", ".").strip(".")
        raise LoadError(f"{target!r} names nothing: write MODULE:ATTR, such as {dotted or 'my_agents'}:flock")
    found: Any = _module(named["module"], folders)
    for attribute in named["attribute"].split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            names = [name for name in dir(found) if not name.startswith("_")]
            near = nearest(attribute, names)
            hint = f": did you mean {near}?" if near else ""
            raise LoadError(f"{target}: {named['module']} has no {attribute}{hint}") from None
    return found


def _flocks_of(modules: list[str], folders: list[Path]) -> list[Flock]:
    """The flocks of the modules, each once, in the order of the modules."""
    found: dict[int, Flock] = {}
    for name in modules:
        flocks = [value for value in vars(_module(name, folders)).values() if isinstance(value, Flock)]
        if not flocks:
            raise LoadError(
                f"the module {name} (modules in the configuration) has no flock: write flock = Flock() in "
                "it, "
                "or take it off the list"
            )
        found.update((id(each), each) for each in flocks)
    return list(found.values())


def _module(name: str, folders: list[Path]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except DeclarationError as error:
        raise LoadError(f"{error}{_place(error)}") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        looked = " and ".join(map(str, folders))
        raise LoadError(
            f"the module {name} cannot be imported (looked in {looked}, and the installed packages): "
            f"{type(error).__name__}: {_said(error)}{_place(error)}"
        ) from error


def _said(error: BaseException) -> str:
    """What an import raised, on one line where pydantic takes several for a value that does not fit."""
    if not isinstance(error, ValidationError):
        return str(error)
    fields = (f"{problem.field}: {problem.message}".removeprefix(": ") for problem in problems_of(error))
    return f"{error.title}: {'; '.join(fields)}"


def _place(error: BaseException) -> str:
    """The innermost line of an author's code that an import reached, as " (file:line)"; empty for none.

    A line of a library, which the author called, is named only where there is no other.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    lines = [
        (Path(frame.filename), frame.lineno)
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if not frame.filename.startswith("<")  # what has no file: the import system, generated code
    ]
    reached = [
        (file, line) for file, line in lines if _OWN_FOLDER not in file.parents and file != _IMPORT_SYSTEM
    ]
    own = [(file, line) for file, line in reached if _LIBRARIES.isdisjoint(file.parents)]
    return "".join(f" ({file}:{line})" for file, line in (own or reached)[:1])


# Sections and tables of the configuration


def outside_of(config: Config) -> Outside:
    """What engines reach beyond the daemon with, under the limits of `[llm]` and `[[models]]`. Raises LoadError."""
    models = [_model_limits(table) for table in config.models]
    named: dict[str, str] = {}
    for model in models:
        other = named.get(canonical(model.name))
        if other is not None:
            raise LoadError(
                f"model {model.name} ([[models]]): there is a table of {other}: make one of the two"
            )
        named[canonical(model.name)] = model.name
    return Outside(llm_defaults(config), models, answer_bytes=config.limits.output_bytes)


def model_warnings(config: Config, flock: Flock) -> list[str]:
    """What keeps agents from asking their models, beyond what `Flock.warnings` knows: imports what asks them."""
    defaults, models, agents = llm_defaults(config), outside_of(config).models, flock.agents()
    in_usd = [rule for rule in budget_rules(config, flock) if rule.budget.usd is not None]
    found, choices = [], []
    for engine in flock.llm_engines():
        agent = agents[engine.agent]
        choice = chosen(engine.thinking, engine.default_model, defaults)
        if choice is None:
            continue  # Flock.warnings says so
        choices.append(choice)
        if choice.problem is not None:
            continue  # and this
        counts = any(
            rule.name in (None, agent.name if rule.scope is not Scope.tenant else agent.tenant)
            for rule in in_usd
        )
        problem = engine.unaskable() or models.problem(choice, priced=counts)
        if problem is not None:
            found.append(f"agent {agent.name}: {problem}")
    return found + [f"model {name} ([[models]]): no agent thinks with it" for name in models.unused(choices)]


def llm_defaults(config: Config) -> LlmDefaults:
    """The section `[llm]`, as engines know it."""
    return LlmDefaults(**config.llm.model_dump())


def _model_limits(table: ModelTable) -> ModelLimits:
    try:
        rate = None if table.rate is None else parse_rate(table.rate)
    except ValueError as error:
        raise LoadError(f"model {table.name} ([[models]]): rate: {error}") from None
    return ModelLimits(table.name, table.max_concurrency, rate, table.input_usd, table.output_usd)


def _declare_type(combined: Flock, table: TypeTable) -> None:
    description = table.description or None
    if table.fields is None:
        combined.type(
            table.name, schema=table.json_schema or {}, version=table.version, description=description
        )
        return
    try:
        model = model_of(table.name, table.fields, description)
    except ValueError as error:
        raise LoadError(f"artifact type {table.name} ([[types]]): {error}") from None
    combined.add_type(made(table.name, model, version=table.version, description=description))


def _declare_agent(combined: Flock, table: AgentTable, folders: list[Path]) -> None:
    owner = f"agent {table.name} ([[agents]])"
    made_of: dict[str, Any] = {
        option: named if fields is None else fields_type(owner, table.name, fields_of, fields)
        for option, named, fields_of, fields in (
            ("consumes", table.consumes, "input", table.input),
            ("publishes", table.publishes, "output", table.output),
        )
        if not (named is None and fields is None)
    }
    if table.engine == "http":
        service: dict[str, Any] = table.model_dump(include=set(ServiceKeys.model_fields), exclude_none=True)
        limits: GatherOptions = table.options()  # type: ignore[assignment]  # as below
        combined.http_agent(table.name, **made_of, **service, **limits)
        return
    if table.function is None:
        try:
            tools = [_object_at(tool, folders) for tool in table.tools or ()]
        except LoadError as error:
            raise LoadError(f"{owner}: tools: {error}") from error
        options = LlmOptions(**table.options(), **table.thinking())  # type: ignore[typeddict-item]  # as below
        combined.llm_agent(table.name, **made_of, **{**options, "tools": tools})
        return
    try:
        function = _object_at(table.function, folders)
    except LoadError as error:
        raise LoadError(f"{owner}: {error}") from error
    given = AgentOptions(name=table.name, **table.options(), **made_of)  # type: ignore[typeddict-item]  # one table, one TypedDict: a test compares them
    combined.agent(**given)(function)


def _declare_flow(combined: Flock, table: FlowTable, folders: list[Path]) -> None:
    named = {"request": table.request, "result": table.result}
    try:
        flow = _object_at(table.flow_class, folders)
        models = {option: _object_at(name, folders) for option, name in named.items() if name is not None}
    except LoadError as error:
        raise LoadError(f"flow {table.name or table.flow_class} ([[flows]]): {error}") from error
    options = FlowOptions(**table.options(), **models)  # type: ignore[typeddict-item]  # as above
    if table.name is not None:
        options["name"] = table.name
    combined.flow(flow, **options)


def _declare_workflow(combined: Flock, table: WorkflowTable) -> None:
    phases = {phase.name: phase.types for phase in table.phases}
    combined.workflow(table.name, start=table.start, phases=phases, description=table.description)
