"""The options of agents and flows: what an author may say of one beside its function or class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict

import orjson
from pydantic import ValidationError

from flockd.domain import duration
from flockd.domain.agent import Agent
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact import EXTERNAL
from flockd.domain.artifact_type import ArtifactType, problems_of
from flockd.domain.gathering import BatchSpec, Gathering, JoinSpec
from flockd.domain.names import NAME
from flockd.domain.predicate import compile_path, compile_where
from flockd.domain.priority import Priority
from flockd.domain.rate import Rate, parse_rate
from flockd.domain.retry import NEVER
from flockd.domain.schedule import Schedule
from flockd.domain.subscription import Subscription
from flockd.domain.visibility import AnyVisibility, visibility_from_json
from flockd.domain.where import Where, WherePayload, WhereValue
from flockd.engines.fan_out import FanOut
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import TypeChoice
from flockd.flock.field_paths import check_path, has_path
from flockd.flock.gathering import check_gathering

PriorityWord = Literal["low", "normal", "high", "critical"]
VisibilityChoice = AnyVisibility | Mapping[str, Any] | None
"""Of what is published: None is the default of whoever publishes, a mapping is the wire form."""


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
    visibility: VisibilityChoice
    """Of what it publishes. Default: the narrowest of its inputs."""
    output_tags: str | Iterable[str]
    """What it publishes carries these, beside the tags that all of its inputs carry."""
    prevent_self_trigger: bool
    """Default: True. Its own artifacts do not wake it."""
    max_concurrency: int
    """Default: 64. Runs at once, of one key where there is a `concurrency_key`."""
    concurrency_key: str | None
    """A field path in the payload: `max_concurrency` counts for each of its values. Default: for all runs together."""
    rate: str | Rate | None
    """How often it may start, as "10/1m". Default: as often as there is a place."""
    retries: int
    """Default: 0. Attempts after the first one."""
    backoff: str | float | timedelta | Mapping[str, str | float | timedelta] | None
    """The pause before the first retry, which doubles with each further one; or one for each kind of failure: the
    name of an exception's class, "timeout", "http_404", "*" for the rest. What has "never" is not tried again. Default:
    supervisor.retry_base_seconds."""
    timeout: str | float | timedelta
    """Default: "10m". For one attempt; a number is seconds."""
    priority: PriorityWord | Priority | None
    """Default: normal."""
    description: str
    """Default: the first paragraph of the docstring."""
    hand_off: str | Iterable[str]
    """The agents that get its outputs as their input, by name; beside those that subscribe to them anyway."""


class GatherOptions(RunOptions, total=False):
    """What agents take that can gather: functions, and those that think with a language model."""

    join: JoinSpec | Mapping[str, Any]
    """One artifact of each type whose keys are equal, of any workflow, instead of one of each of one workflow."""
    batch: BatchSpec | Mapping[str, Any]
    """Several artifacts at once; the parameter is a list."""


class AgentOptions(GatherOptions, total=False):
    """What `@flock.agent(…)` takes; each has a default."""

    name: str
    """Default: the function's name."""
    consumes: TypeChoice | Iterable[TypeChoice]
    """Instead of the annotations: alternatives (OR) for the only artifact parameter, or a type for each of several
    (AND). Empty: only a client, or a timer, starts it."""
    publishes: TypeChoice | Iterable[TypeChoice]
    """Instead of the return annotation."""
    fan_out: FanOut | int | tuple[int, int] | Mapping[str, Any]
    """How many artifacts each list in its result has; else the run fails. Default: any number."""
    schedule: Schedule | Mapping[str, Any]
    """When it starts, if it takes no artifact."""


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
    takes: Sequence[ArtifactType],
    mode: Literal["all", "any"],
    gathering: Gathering | None = None,
    publishes: tuple[str, ...],
    document: str | None,
    kind: str,
) -> Agent:
    """The agent that these options describe; its description is theirs, else the first paragraph of `document`.

    `takes` are the types of its subscription, in order. Raises DeclarationError for the first option that is wrong.
    """
    owner = owner_of(name, kind)
    check = Check(owner)
    check_gathering(owner, gathering, takes, mode)
    subscription = Subscription(
        types=tuple(one.name for one in takes),
        mode=mode,
        where=check.where(options.get("where"), takes),
        from_agents=frozenset(check.words("from_agents", options.get("from_agents", ()))),
        tags=frozenset(check.words("tags", options.get("tags", ()))),
        prevent_self_trigger=check.flag("prevent_self_trigger", options.get("prevent_self_trigger", True)),
        gathering=gathering,
    )
    return Agent(
        name,
        subscription,
        outputs=publishes,
        description=options.get("description") or _first_paragraph(document or ""),
        kind=kind,
        priority=check.priority(options.get("priority")),
        max_concurrency=check.count("max_concurrency", options.get("max_concurrency", 64), least=1),
        concurrency_key=check.key("concurrency_key", options.get("concurrency_key"), takes),
        rate=check.rate(options.get("rate")),
        retries=check.count("retries", options.get("retries", 0), least=0),
        backoff=check.backoff(options.get("backoff")),
        timeout_seconds=check.duration("timeout", options.get("timeout", "10m")),
        tags=check.words("output_tags", options.get("output_tags", ())),
        visibility=check.visibility(options.get("visibility")),
        labels=frozenset(check.words("labels", options.get("labels", ()))),
        tenant=check.word("tenant", options.get("tenant")),
        hand_off=check.words("hand_off", options.get("hand_off", ())),
    )


def owner_of(name: str, kind: str) -> str:
    """An agent in words, as sentences about it begin: "flow poem_flow", "agent bug_detector"."""
    return f"{'flow' if kind == 'flow' else 'agent'} {name}"


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether it can be called with one value, as far as Python can tell."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # it is not written in Python, and does not say
        return True
    return True


def _first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


class Check:
    """Turns what an author wrote into what the domain knows, or says what is wrong with it."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def _wrong(self, sentence: str) -> DeclarationError:
        return DeclarationError(f"{self._owner}: {sentence}")

    def where(self, where: object, takes: Sequence[ArtifactType]) -> Where | None:
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
        if not _takes_one(where):
            raise self._wrong(f"where is a function that does not take one value: {inspect.signature(where)}")
        if any(
            one.name == AGENT_ERROR.name for one in takes
        ):  # matched in a transaction: no author's code runs there
            raise self._wrong(
                "where is a function, and an AgentError takes a JMESPath condition, such as \"code == 'TIMEOUT'\""
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

    def word(self, option: str, word: object) -> str | None:
        if word is not None and (not isinstance(word, str) or not word):
            raise self._wrong(f"{option} is {word!r}: give it a word")
        return word

    def flag(self, option: str, flag: object) -> bool:
        if not isinstance(flag, bool):
            raise self._wrong(f"{option} is {flag!r}: give it True or False")
        return flag

    def count(self, option: str, count: object, *, least: int) -> int:
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            raise self._wrong(f"{option} is {count!r}: give it a whole number, {least} or more")
        return count

    def duration(self, option: str, given: str | float | timedelta) -> float:
        try:
            return duration.seconds(given)
        except ValueError as error:
            raise self._wrong(f"{option}: {error}") from None

    def backoff(self, backoff: object) -> dict[str, float]:
        if backoff is None:
            return {}
        by_kind: Mapping[Any, Any] = backoff if isinstance(backoff, Mapping) else {"*": backoff}
        for kind in by_kind:
            if not isinstance(kind, str) or not (kind == "*" or kind.isidentifier()):
                raise self._wrong(
                    f"backoff has {kind!r}: name the class of an exception, timeout, http_404 or the like, or * for "
                    "the rest"
                )
        return {
            kind: NEVER if pause == "never" else self.duration(f"backoff of {kind}", pause)
            for kind, pause in by_kind.items()
        }

    def rate(self, rate: object) -> Rate | None:
        if rate is None or isinstance(rate, Rate):
            return rate
        if not isinstance(rate, str):
            raise self._wrong(f'rate is {rate!r}: write "10/1m", ten starts a minute')
        try:
            return parse_rate(rate)
        except ValueError as error:
            raise self._wrong(f"rate: {error}") from None

    def key(self, option: str, path: object, takes: Sequence[ArtifactType]) -> Callable[[Any], Any] | None:
        if path is None:
            return None
        if not isinstance(path, str):
            raise self._wrong(f'{option} is {path!r}: give it a field path, such as "customer.id"')
        try:
            compiled = compile_path(path)
        except ValueError as error:
            raise self._wrong(f"{option}: {error}") from None
        if not any(
            has_path(path, artifact_type) for artifact_type in takes
        ):  # one of several inputs may have the key
            for artifact_type in takes:
                check_path(self._owner, f"{option}=", path, artifact_type)
        return compiled

    def priority(self, priority: str | Priority | None) -> Priority | None:
        if priority is None or isinstance(priority, Priority):
            return priority
        if priority not in Priority.__members__:
            raise self._wrong(f"priority is {priority!r}: give it one of low, normal, high, critical")
        return Priority[priority]

    def visibility(self, visibility: VisibilityChoice) -> AnyVisibility | None:
        if visibility is None or isinstance(visibility, AnyVisibility):
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
            "Labelled(required_labels=[…]), Tenant(tenant_id=…), After(ttl=…, then=…) or Public()"
        )
