"""The tables `[[types]]`, `[[flows]]`, `[[workflows]]`, and the list of all: what is declared without Python.

They are checked for shape only. Whether a function exists, a field string parses or a name is taken is for
whoever builds the flock from them.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from flockd.config.agent_tables import OBJECT, AgentTable, RunTable
from flockd.config.budget_tables import BudgetTable
from flockd.config.llm_tables import ModelTable
from flockd.config.sections import Section
from flockd.config.timer_tables import TimerTable


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
        if named is not None and not OBJECT.fullmatch(named):
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
    "models": ModelTable,
    "budgets": BudgetTable,
}
"""The lists of tables at the top of a configuration, by name."""
