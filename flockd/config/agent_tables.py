"""The table `[[agents]]`: who works, on what, and how; and what of it flows have, too.

It is checked for shape only. Whether a function exists, a field string parses or a name is taken is for whoever builds
the flock from it.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.llm_tables import ThinkingKeys
from flockd.config.sections import Section
from flockd.config.service_keys import ServiceKeys
from flockd.config.timer_tables import ScheduleTable

OBJECT = re.compile(r"[\w.]+:[\w.]+")
"""Something in a Python module, as "module:attr"."""


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
        'kind of failure, as {RateLimited = "1m", timeout = "10s", ValueError = "never", "*" = "1s"}. '
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


class AgentTable(ThinkingKeys, ServiceKeys, WakeTable):
    """One agent: a Python function, a language model or a service; and the options of `@flock.agent`."""

    name: str = Field(min_length=1, description="The name of the agent.")
    engine: Literal["function", "llm", "http"] = Field(
        default="function",
        description="How it thinks: a Python function, a language model, or a service that is reached over HTTP.",
    )
    function: str | None = Field(
        default=None,
        description='The function, as "module:attr". Its docstring is the description. Needed unless engine says '
        "something else.",
    )
    input: str | None = Field(
        default=None,
        description='Fields as "name: type | description, …", which make the type <AgentName>Input. '
        "This or consumes, unless it is a function, whose annotations say it, too.",
    )
    output: str | None = Field(
        default=None, description="The same for the type <AgentName>Output. This or publishes."
    )
    consumes: list[str] | None = Field(
        default=None,
        description="The artifact types that wake it: any of them, or with join one of each. Instead of input.",
    )
    publishes: list[str] | None = Field(
        default=None, description="The artifact types that it publishes. Instead of output."
    )

    @field_validator("engine", mode="before")
    @classmethod
    def _built_engines(cls, engine: object) -> object:
        if engine not in _ENGINES:
            raise ValueError(f'there is no engine "{engine}": it is one of {", ".join(_ENGINES)}')
        return engine

    @field_validator("function")
    @classmethod
    def _names_a_function(cls, function: str | None) -> str | None:
        if function is not None and not OBJECT.fullmatch(function):
            raise ValueError(f'"{function}" names no function; write "package.module:function"')
        return function

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        for engine, keys in _ENGINES.items():
            for key in sorted(keys & self.model_fields_set - _ENGINES[self.engine]):
                said = getattr(self, key)
                if said is not None:
                    raise ValueError(self._foreign(key, engine))
        if self.engine == "function":
            if self.function is None:
                raise ValueError(f'the agent "{self.name}" needs function = "module:attr"')
        elif self.engine == "http" and self.url is None:
            raise ValueError(f'the agent "{self.name}" has engine = "http" and needs url = "https://…"')
        for fields, types in (("input", "consumes"), ("output", "publishes")):
            given = [key for key in (fields, types) if getattr(self, key) is not None]
            if len(given) == 2:
                raise ValueError(f'the agent "{self.name}" has {fields} and {types}: keep one of them')
            if not given and self.engine != "function":
                raise ValueError(
                    f'the agent "{self.name}" needs {fields} or {types}: it has no function to read'
                )
        return self

    def _foreign(self, key: str, engine: str) -> str:
        """Why a key that is for one engine is wrong with this one."""
        if self.engine == "function":
            return f'the agent "{self.name}" is a function, which has no {key}; did you mean engine = "{engine}"?'
        return f'the agent "{self.name}" has engine = "{self.engine}", which takes no {key}'


_ENGINES: dict[str, frozenset[str]] = {
    "function": frozenset({"function", "fan_out", "schedule"}),
    "llm": frozenset(ThinkingKeys.model_fields),
    "http": frozenset(ServiceKeys.model_fields),
}
"""The engines, with the keys that are not for every one of them."""
