"""The options of `@flock.agent`: what an author may say of an agent beside its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict

import orjson
from pydantic import ValidationError

from flockd.domain import duration
from flockd.domain.agent import NAME, Agent
from flockd.domain.artifact import EXTERNAL
from flockd.domain.artifact_type import problems_of
from flockd.domain.predicate import compile_where
from flockd.domain.priority import Priority
from flockd.domain.subscription import Subscription, Where
from flockd.domain.visibility import Labelled, Private, Public, Tenant, visibility_from_json
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import TypeChoice

PriorityWord = Literal["low", "normal", "high", "critical"]


class AgentOptions(TypedDict, total=False):
    """What `@flock.agent(…)` takes; each has a default."""

    name: str
    """Default: the function's name."""
    description: str
    """Default: the first paragraph of the docstring."""
    consumes: TypeChoice | Iterable[TypeChoice]
    """Instead of the annotation of the only artifact parameter; several are alternatives (OR)."""
    publishes: TypeChoice | Iterable[TypeChoice]
    """Instead of the return annotation."""
    where: str | Callable[[Any], object]
    """Only artifacts that fulfil this: a JMESPath condition on the payload, or a function of the value."""
    from_agents: str | Iterable[str]
    """Only artifacts of these producers ("external": what clients publish)."""
    tags: str | Iterable[str]
    """Only artifacts that carry all of these tags."""
    labels: str | Iterable[str]
    """The labels that it carries, for artifacts of labelled visibility."""
    tenant: str | None
    """Whose agent it is, for artifacts of tenant visibility."""
    visibility: Private | Labelled | Tenant | Public | Mapping[str, Any] | None
    """Of what it publishes. Default: the narrowest of its inputs."""
    prevent_self_trigger: bool
    """Default: True. Its own artifacts do not wake it."""
    max_concurrency: int
    """Default: 64. Runs at once."""
    retries: int
    """Default: 0. Attempts after the first one."""
    timeout: str | float | timedelta
    """Default: "10m". For one attempt; a number is seconds."""
    priority: PriorityWord | Priority | None
    """Default: normal."""


def check_known(agent: str, options: Collection[str]) -> None:
    """Raise DeclarationError for an option that `@flock.agent` does not have."""
    for option in options:
        if option not in AgentOptions.__annotations__:
            near = nearest(option, AgentOptions.__annotations__)
            hint = (
                f": did you mean {near}?"
                if near
                else f" (there are {', '.join(AgentOptions.__annotations__)})"
            )
            raise DeclarationError(f"agent {agent}: there is no option {option}{hint}")


def check_name(name: object) -> None:
    """Raise DeclarationError for a name that no agent may have."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            f"agent {name!r}: a name begins with a letter and has up to 64 letters, digits, _ and -: "
            "give it another with name="
        )
    if name.lower() == EXTERNAL:
        raise DeclarationError(
            f"agent {name}: this name stands for what clients publish: give the agent another with name="
        )


def build_agent(
    name: str,
    options: AgentOptions,
    *,
    consumes: tuple[str, ...],
    mode: Literal["all", "any"],
    publishes: tuple[str, ...],
    description: str,
    kind: str,
) -> Agent:
    """The agent that these options describe. Raises DeclarationError for the first option that is wrong."""
    check = _Check(name)
    subscription = Subscription(
        types=consumes,
        mode=mode,
        where=check.where(options.get("where")),
        from_agents=frozenset(check.words("from_agents", options.get("from_agents", ()))),
        tags=frozenset(check.words("tags", options.get("tags", ()))),
        prevent_self_trigger=check.flag("prevent_self_trigger", options.get("prevent_self_trigger", True)),
    )
    return Agent(
        name,
        subscription,
        outputs=publishes,
        description=options.get("description") or description,
        kind=kind,
        priority=check.priority(options.get("priority")),
        max_concurrency=check.count("max_concurrency", options.get("max_concurrency", 64), least=1),
        retries=check.count("retries", options.get("retries", 0), least=0),
        timeout_seconds=check.timeout(options.get("timeout", "10m")),
        visibility=check.visibility(options.get("visibility")),
        labels=frozenset(check.words("labels", options.get("labels", ()))),
        tenant=options.get("tenant"),
    )


class _Check:
    """Turns what an author wrote into what the domain knows, or says what is wrong with it."""

    def __init__(self, agent: str) -> None:
        self._agent = agent

    def _wrong(self, sentence: str) -> DeclarationError:
        return DeclarationError(f"agent {self._agent}: {sentence}")

    def where(self, where: object) -> Where | None:
        if where is None:
            return None
        if isinstance(where, str):
            try:
                holds = compile_where(where)
            except ValueError as error:
                raise self._wrong(str(error)) from None
            return lambda candidate: holds(candidate.document)
        if not callable(where) or inspect.iscoroutinefunction(where):
            raise self._wrong(
                f"where is {where!r}: give it a JMESPath condition or a plain function of the value"
            )
        return lambda candidate: bool(where(candidate.value))

    def words(self, option: str, words: str | Iterable[object]) -> tuple[str, ...]:
        checked = []
        for word in (words,) if isinstance(words, str) else words:
            if not isinstance(word, str) or not word:
                raise self._wrong(f"{option} has {word!r}: give it a word or a list of words")
            checked.append(word)
        return tuple(checked)

    def flag(self, option: str, flag: object) -> bool:
        if not isinstance(flag, bool):
            raise self._wrong(f"{option} is {flag!r}: give it True or False")
        return flag

    def count(self, option: str, count: object, *, least: int) -> int:
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            raise self._wrong(f"{option} is {count!r}: give it a whole number, {least} or more")
        return count

    def timeout(self, timeout: str | float | timedelta) -> float:
        try:
            return duration.seconds(timeout)
        except ValueError as error:
            raise self._wrong(f"timeout: {error}") from None

    def priority(self, priority: str | Priority | None) -> Priority | None:
        if priority is None or isinstance(priority, Priority):
            return priority
        if priority not in Priority.__members__:
            raise self._wrong(f"priority is {priority!r}: give it one of low, normal, high, critical")
        return Priority[priority]

    def visibility(
        self, visibility: Private | Labelled | Tenant | Public | Mapping[str, Any] | None
    ) -> Private | Labelled | Tenant | Public | None:
        if visibility is None or isinstance(visibility, (Private, Labelled, Tenant, Public)):
            return visibility
        try:
            return visibility_from_json(orjson.dumps(visibility))
        except ValidationError as invalid:
            problem = problems_of(invalid)[0]
            said = f"{problem.field}: {problem.message}" if problem.field else problem.message
        except TypeError:
            said = "it is not a table"
        raise self._wrong(
            f"visibility {visibility!r} is none ({said}): give it Private(agents=[…]), "
            "Labelled(required_labels=[…]), Tenant(tenant_id=…) or Public()"
        )
