"""The options of agents and flows: what an author may say of one beside its function or class."""

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
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import Labelled, Private, Public, Tenant, visibility_from_json
from flockd.domain.where import Where, WherePayload, WhereValue
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import TypeChoice

PriorityWord = Literal["low", "normal", "high", "critical"]


class RunOptions(TypedDict, total=False):
    """What any agent or flow takes: which artifacts wake it, and how its runs are run. Each has a default."""

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
    description: str
    """Default: the first paragraph of the docstring."""
    hand_off: str | Iterable[str]
    """The agents that get its outputs as their input, by name; beside those that subscribe to them anyway."""


class AgentOptions(RunOptions, total=False):
    """What `@flock.agent(…)` takes; each has a default."""

    name: str
    """Default: the function's name."""
    consumes: TypeChoice | Iterable[TypeChoice]
    """Instead of the annotation of the only artifact parameter; several are alternatives (OR)."""
    publishes: TypeChoice | Iterable[TypeChoice]
    """Instead of the return annotation."""


def check_known(owner: str, options: Collection[str], known: Collection[str]) -> None:
    """Raise DeclarationError for an option that is not known. `owner` is who has it, in words: "flow poem"."""
    for option in options:
        if option not in known:
            near = nearest(option, known)
            hint = f": did you mean {near}?" if near else f" (there are {', '.join(known)})"
            raise DeclarationError(f"{owner}: there is no option {option}{hint}")


def check_name(name: object, noun: str = "agent") -> None:
    """Raise DeclarationError for a name that no agent, flow or workflow (`noun`) may have."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            f"{noun} {name!r}: a name begins with a letter and has up to 64 letters, digits, _ and -: "
            "give it another with name="
        )
    if name.lower() == EXTERNAL:
        raise DeclarationError(
            f"{noun} {name}: this name stands for what clients publish: give the {noun} another with name="
        )


def build_agent(
    name: str,
    options: RunOptions,
    *,
    consumes: tuple[str, ...],
    mode: Literal["all", "any"],
    publishes: tuple[str, ...],
    document: str | None,
    kind: str,
) -> Agent:
    """The agent that these options describe; its description is theirs, else the first paragraph of `document`.

    Raises DeclarationError for the first option that is wrong.
    """
    check = _Check(owner_of(name, kind))
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
        description=options.get("description") or _first_paragraph(document or ""),
        kind=kind,
        priority=check.priority(options.get("priority")),
        max_concurrency=check.count("max_concurrency", options.get("max_concurrency", 64), least=1),
        retries=check.count("retries", options.get("retries", 0), least=0),
        timeout_seconds=check.timeout(options.get("timeout", "10m")),
        visibility=check.visibility(options.get("visibility")),
        labels=frozenset(check.words("labels", options.get("labels", ()))),
        tenant=options.get("tenant"),
        hand_off=check.words("hand_off", options.get("hand_off", ())),
    )


def owner_of(name: str, kind: str) -> str:
    """An agent in words, as sentences about it begin: "flow poem_flow", "agent bug_detector"."""
    return f"{'flow' if kind == 'flow' else 'agent'} {name}"


def _first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


class _Check:
    """Turns what an author wrote into what the domain knows, or says what is wrong with it."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def _wrong(self, sentence: str) -> DeclarationError:
        return DeclarationError(f"{self._owner}: {sentence}")

    def where(self, where: object) -> Where | None:
        if where is None:
            return None
        if isinstance(where, str):
            try:
                return WherePayload(compile_where(where))
            except ValueError as error:
                raise self._wrong(str(error)) from None
        if not callable(where) or inspect.iscoroutinefunction(where):
            raise self._wrong(
                f"where is {where!r}: give it a JMESPath condition or a plain function of the value"
            )
        return WhereValue(where)

    def words(self, option: str, words: object) -> tuple[str, ...]:
        checked = []
        listed = words if isinstance(words, Iterable) and not isinstance(words, str) else (words,)
        for word in listed:
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
