"""The tables `[[types]]` and `[[agents]]`: what a configuration declares without a line of Python.

They are checked for shape only. Whether a function exists, a field string parses or a name is taken is for
whoever builds the flock from them.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.sections import Section


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


class AgentTable(Section):
    """One agent: a function and the options of `@flock.agent`, which keep their defaults where left out.

    Durations stay strings here (`"30s"`, `"2h"`, ISO 8601).
    """

    name: str = Field(min_length=1, description="The name of the agent.")
    engine: Literal["function"] = Field(default="function", description="How it thinks: a Python function.")
    function: str = Field(description='The function, as "module:attr". Its docstring is the description.')
    description: str | None = Field(default=None, description="What it does, instead of the docstring.")
    input: str | None = Field(
        default=None,
        description='Fields as "name: type | description, …", which make the type <AgentName>Input.',
    )
    output: str | None = Field(default=None, description="The same for the type <AgentName>Output.")
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

    @field_validator("engine", mode="before")
    @classmethod
    def _built_engines(cls, engine: object) -> object:
        if engine != "function":
            raise ValueError(
                f'the engine "{engine}" comes with a later version; '
                'name a Python function with function = "module:attr"'
            )
        return engine

    @field_validator("function")
    @classmethod
    def _names_a_function(cls, function: str) -> str:
        if not re.fullmatch(r"[\w.]+:[\w.]+", function):
            raise ValueError(f'"{function}" names no function; write "package.module:function"')
        return function
