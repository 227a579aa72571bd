"""The tables `[[types]]`, `[[agents]]`, `[[flows]]` and `[[workflows]]`: what a configuration declares without Python.

They are checked for shape only. Whether a function exists, a field string parses or a name is taken is for
whoever builds the flock from them.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.sections import Section

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
    max_concurrency: int | None = Field(default=None, ge=1, description="Runs at once. Without it: 64.")
    retries: int | None = Field(default=None, ge=0, description="Tries after the first one. Without it: 0.")
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
    prevent_self_trigger: bool | None = Field(
        default=None, description="Whether its own artifacts leave it alone. Without it: true."
    )
    hand_off: str | list[str] | None = Field(
        default=None, description="The agent, or the agents, that get its output as their input."
    )

    def options(self) -> dict[str, object]:
        """What is set of the options, under their names in Python."""
        return self.model_dump(include=set(RunTable.model_fields), exclude_none=True)


class AgentTable(RunTable):
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
}
"""The lists of tables at the top of a configuration, by name."""
