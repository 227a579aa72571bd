"""The tables `[[types]]`, `[[agents]]`, `[[flows]]`, `[[workflows]]`: what a configuration declares without Python.

They are checked for shape only. Whether a function exists, a field string parses or a name is taken is for
whoever builds the flock from them.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.sections import Section
from flockd.config.timer_tables import ScheduleTable, TimerTable

_OBJECT = re.compile(r"[\w.]+:[\w.]+")


class TypeTable(Section):
    """One artifact type, by fields (`name: type | description, …`) or by JSON Schema."""

    name: str = Field(min_length=1, description="The name of the artifact type.")
    fields: str | None = Field(
        default=None, description='Its fields, as "name: type | description, …". This or schema.'
    )
    json_schema: dict[str, object] | None = Field(
        default=None, alias="schema", description="Its JSON Schema, as a table. This or fields."
    )
    description: str = Field(default="", description="What an artifact of this type is.")
    version: int = Field(default=1, ge=1, description="Raise it when the meaning of a field changes.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.fields is None) == (self.json_schema is None):
            raise ValueError(f'the type "{self.name}" needs either fields or schema, and not both')
        return self


class RunTable(Section):
    """What agents and flows have in common: the options of `flock.agent` and `flock.flow`, whose defaults they keep.

    Durations stay strings here (`"30s"`, `"2h"`, ISO 8601).
    """

    description: str | None = Field(default=None, description="What it does, instead of the docstring.")
    where: str | None = Field(
        default=None, description="A JMESPath condition on the payload: what does not fit wakes nobody."
    )
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Runs at once, of one key where there is a concurrency_key. Without it: 64.",
    )
    concurrency_key: str | None = Field(
        default=None,
        description="A field path in the payload: max_concurrency counts for each of its values.",
    )
    rate: str | None = Field(
        default=None, description='How often it may start, as "10/1m": ten starts a minute.'
    )
    retries: int | None = Field(default=None, ge=0, description="Tries after the first one. Without it: 0.")
    backoff: dict[str, str] | None = Field(
        default=None,
        description='The pause before the first retry ("5s"), which doubles with each further one; or one for each '
        'kind of failure, as {RateLimited = "1m", timeout = "10s", "*" = "1s"}. '
        "Without it: supervisor.retry_base_seconds.",
    )
    timeout: str | None = Field(
        default=None, description='How long one try may take ("30s"). Without it: 10 minutes.'
    )
    priority: Literal["low", "normal", "high", "critical"] | None = Field(
        default=None, description="Which runs start first. Without it: normal."
    )
    from_agents: list[str] | None = Field(default=None, description="Only artifacts of these agents wake it.")
    tags: list[str] | None = Field(default=None, description="Only artifacts with all of these tags wake it.")
    labels: list[str] | None = Field(
        default=None, description="Its labels, for artifacts of labelled visibility."
    )
    tenant: str | None = Field(default=None, description="Its tenant.")
    visibility: dict[str, object] | None = Field(
        default=None, description='Who may see what it publishes, as {kind = "Private", agents = ["…"]}.'
    )
    output_tags: list[str] | None = Field(
        default=None, description="What it publishes carries these, beside what all of its inputs carry."
    )
    prevent_self_trigger: bool | None = Field(
        default=None, description="Whether its own artifacts leave it alone. Without it: true."
    )
    hand_off: str | list[str] | None = Field(
        default=None, description="The agent, or the agents, that get its output as their input."
    )

    @field_validator("backoff", mode="before")
    @classmethod
    def _one_for_all_kinds(cls, backoff: object) -> object:
        return {"*": backoff} if isinstance(backoff, str) else backoff

    @classmethod
    def option_names(cls) -> set[str]:
        """Those of its keys that are options in Python, under the same names."""
        return set(RunTable.model_fields)

    def options(self) -> dict[str, object]:
        """What is set of the options."""
        return self.model_dump(include=self.option_names(), exclude_none=True)


class JoinTable(Section):
    """A join over a key."""

    by: str | dict[str, str] = Field(description="The field path of the key, or one for each type.")
    within: str = Field(description="How long an artifact waits for its partners.")

    @field_validator("by", mode="before")
    @classmethod
    def _one_or_several_paths(cls, by: object) -> object:
        paths = by.values() if isinstance(by, dict) else (by,)
        if not paths or not all(isinstance(path, str) for path in paths):
            raise ValueError('by is a field path ("order.id"), or a table with one for each type')
        return by


class BatchTable(Section):
    """A batch."""

    size: int = Field(description="So many artifacts at once.")
    timeout: str = Field(description="What is there when the first has waited for this long is a batch, too.")
    by: str | None = Field(default=None, description="The field path of a key: each batch has one.")


class FanOutTable(Section):
    """How many artifacts a list in a result has."""

    min: int | None = Field(default=None, description="At least so many. Without it: 0.")
    max: int | None = Field(default=None, description="At most so many.")


class WakeTable(RunTable):
    """The options that agents have beside those of flows."""

    join: JoinTable | None = Field(
        default=None,
        description="One artifact of each of its types whose keys are equal, of any workflow, as "
        '{by = "order.id", within = "1h"} or {by = {Order = "id", Payment = "order_id"}, within = "1h"}.',
    )
    batch: BatchTable | None = Field(
        default=None,
        description='Several artifacts at once, as {size = 10, timeout = "30s"}; with by = "customer.id" those of one '
        "key.",
    )
    fan_out: FanOutTable | None = Field(
        default=None, description="How many artifacts a list in its result has, as 3 or {min = 1, max = 10}."
    )
    schedule: ScheduleTable | None = Field(
        default=None,
        description='When it starts, if it takes no artifact: {every = "5m"} and the others of [[timers]].',
    )

    @field_validator("fan_out", mode="before")
    @classmethod
    def _exactly_so_many(cls, fan_out: object) -> object:
        return {"min": fan_out, "max": fan_out} if isinstance(fan_out, int) else fan_out

    @classmethod
    def option_names(cls) -> set[str]:
        return set(WakeTable.model_fields)


class AgentTable(WakeTable):
    """One agent: a Python function, or fields and a language model; and the options of `@flock.agent`."""

    name: str = Field(min_length=1, description="The name of the agent.")
    engine: Literal["function", "llm"] = Field(
        default="function", description="How it thinks: a Python function, or a language model."
    )
    function: str | None = Field(
        default=None,
        description='The function, as "module:attr". Its docstring is the description. Needed unless engine is "llm".',
    )
    input: str | None = Field(
        default=None,
        description='Fields as "name: type | description, …", which make the type <AgentName>Input. '
        'Needed with engine = "llm".',
    )
    output: str | None = Field(default=None, description="The same for the type <AgentName>Output.")
    model: str | None = Field(
        default=None, description='The language model of an "llm". Without it: that of the flock.'
    )
    instructions: str | None = Field(default=None, description='What an "llm" is told to do.')

    @field_validator("engine", mode="before")
    @classmethod
    def _built_engines(cls, engine: object) -> object:
        if engine not in ("function", "llm"):
            raise ValueError(
                f'the engine "{engine}" comes with a later version; '
                'name a Python function with function = "module:attr"'
            )
        return engine

    @field_validator("function")
    @classmethod
    def _names_a_function(cls, function: str | None) -> str | None:
        if function is not None and not _OBJECT.fullmatch(function):
            raise ValueError(f'"{function}" names no function; write "package.module:function"')
        return function

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.engine == "function":
            if self.function is None:
                raise ValueError(f'the agent "{self.name}" needs function = "module:attr"')
            if self.model is not None or self.instructions is not None:
                raise ValueError(
                    f'the agent "{self.name}" is a function, which has no model and no instructions; '
                    'did you mean engine = "llm"?'
                )
        else:
            if self.function is not None:
                raise ValueError(f'the agent "{self.name}" has engine = "llm", which takes no function')
            for option in ("fan_out", "schedule"):
                if getattr(self, option) is not None:
                    raise ValueError(f'the agent "{self.name}" has engine = "llm", which takes no {option}')
            if self.input is None or self.output is None:
                raise ValueError(
                    f'the agent "{self.name}" needs input and output: it has no function to read'
                )
        return self


class FlowTable(RunTable):
    """One flow: a class with a kickoff and a state, or a function; and the options of `flock.flow`."""

    name: str | None = Field(
        default=None, min_length=1, description="Its name. Without it: the class's, in snake_case."
    )
    flow_class: str = Field(
        alias="class",
        description='The class, or the function, as "module:Class". Its docstring is the description.',
    )
    request: str | None = Field(
        default=None,
        description='The pydantic model of a request, as "module:Model". Without it: that of its state.',
    )
    result: str | None = Field(default=None, description="The same for the result.")

    @field_validator("flow_class", "request", "result")
    @classmethod
    def _names_a_class(cls, named: str | None) -> str | None:
        if named is not None and not _OBJECT.fullmatch(named):
            raise ValueError(f'"{named}" names no class; write "package.module:Class"')
        return named


class PhaseTable(Section):
    """One phase of a workflow."""

    name: str = Field(min_length=1, description="The name of the phase.")
    types: list[str] = Field(min_length=1, description="The artifact types that end it.")


class WorkflowTable(Section):
    """One workflow that can be asked for by name."""

    name: str = Field(min_length=1, description="The name of the workflow.")
    start: str = Field(description="The artifact type that sets it off.")
    phases: list[PhaseTable] = Field(
        min_length=1,
        description='Its phases in order, as [{name = "plan", types = ["Plan"]}, …]: each is done when an artifact of '
        "each of its types is there.",
    )
    description: str = Field(default="", description="What it does.")

    @field_validator("phases")
    @classmethod
    def _each_name_once(cls, phases: list[PhaseTable]) -> list[PhaseTable]:
        names = [phase.name for phase in phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two phases are called "{name}"')
        return phases


TABLES: dict[str, type[Section]] = {
    "types": TypeTable,
    "agents": AgentTable,
    "flows": FlowTable,
    "workflows": WorkflowTable,
    "timers": TimerTable,
}
"""The lists of tables at the top of a configuration, by name."""
