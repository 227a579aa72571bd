"""Schedules and timers while they are declared: when an agent starts, or an artifact is published."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import PydanticSerializationError

from flockd.domain.agent import Agents
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.moment import iso, now_ms
from flockd.domain.names import fold
from flockd.domain.schedule import Cron, Daily, Every, Once, Schedule
from flockd.domain.timer import Publishes, Starts, Target, Timer
from flockd.domain.visibility import PUBLIC
from flockd.errors import InvalidInput, nearest
from flockd.flock.agent_warnings import visibility_warnings
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import DeclaredTypes
from flockd.flock.options import Check, VisibilityChoice, check_name

_KINDS: dict[str, Callable[..., Schedule]] = {"every": Every, "daily": Daily, "once": Once, "cron": Cron}
_EXAMPLES = (
    'Every("5m"), Daily("09:00", tz="Europe/Berlin"), Once("2026-12-24T18:00:00Z") or Cron("0 9 * * 1-5")'
)


def read_schedule(owner: str, given: object) -> Schedule:
    """A schedule, or the one that a table describes: `{"every": "5m", "jitter": "10s"}`. Raises DeclarationError."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Mapping):
        options = dict(given)
        kinds = [kind for kind in _KINDS if kind in options]
        if len(kinds) == 1:
            (kind,) = kinds
            try:
                return _KINDS[kind](options.pop(kind), **options)
            except (TypeError, ValueError) as error:
                said = str(error).partition("() ")[2] or str(error)  # of a TypeError: what is not known
                raise DeclarationError(f"{owner}: schedule: {said}") from None
    raise DeclarationError(f"{owner}: schedule is {given!r}: write {_EXAMPLES}")


def build_timer(
    name: str,
    schedule: object,
    *,
    publish: Any,
    payload: object,
    run: str | None,
    tags: str | Iterable[str],
    partition_key: str | None,
    visibility: VisibilityChoice,
    types: DeclaredTypes,
) -> Timer:
    """The timer of this declaration; a model that it publishes becomes a type by that. Raises DeclarationError."""
    check_name(name, "timer")
    owner = f"timer {name}"
    if (publish is None) == (run is None):
        raise DeclarationError(f"{owner}: it needs either publish= or run=, and not both")
    target: Target
    if run is not None:
        if payload is not None or tags or partition_key is not None or visibility is not None:
            raise DeclarationError(
                f"{owner}: run= starts an agent, and payload=, tags=, partition_key= and visibility= are for publish="
            )
        target = Starts(run)
    else:
        check = Check(owner)
        artifact_type, text = _published(owner, publish, payload, types)
        target = Publishes(
            artifact_type.name,
            text,
            check.words("tags", tags),
            partition_key,
            check.visibility(visibility) or PUBLIC,
        )
    return Timer(name, read_schedule(owner, schedule), target)


def _published(owner: str, publish: Any, payload: object, types: DeclaredTypes) -> tuple[ArtifactType, bytes]:
    """The type and the JSON of what a timer publishes: a value, or a type and its payload."""
    names_type = isinstance(publish, (str, ArtifactType)) or inspect.isclass(publish)
    if not names_type and payload is not None:
        raise DeclarationError(
            f"{owner}: publish= is a {type(publish).__name__}, and payload= is for a type: keep one of them"
        )
    names = types.names(owner, "publish", publish if names_type else type(publish))
    if len(names) != 1:
        raise DeclarationError(
            f"{owner}: publish= names {len(names)} types: name one, or make a timer for each"
        )
    artifact_type = types.named(owner, names[0])
    try:
        value = artifact_type.check(({} if payload is None else payload) if names_type else publish)
        return artifact_type, artifact_type.dump(value)
    except InvalidInput as invalid:
        raise DeclarationError(f"{owner}: its {artifact_type.name} does not fit: {invalid.message}") from None
    except PydanticSerializationError as error:
        raise DeclarationError(f"{owner}: JSON cannot hold its {artifact_type.name}: {error}") from None


def check_timer_free(name: str, taken: Iterable[str]) -> None:
    """Raise DeclarationError where another timer has this name, in any of its spellings."""
    for other in taken:
        if fold(other) == fold(name):
            same = "" if other == name else " (case and - or _ make no difference)"
            raise DeclarationError(f"timer {name}: there is already a timer {other}{same}: rename one")


def with_spelled_agent(timer: Timer, agents: Agents) -> Timer:
    """The timer with its agent's name as the agent has it, where there is one."""
    if not isinstance(timer.target, Starts):
        return timer
    agent = agents.spelled(timer.target.agent)
    return timer if agent is None else replace(timer, target=Starts(agent.name))


def timer_problems(timer: Timer, agents: Agents) -> Iterator[str]:
    """A sentence for each reason for which the timer cannot start its agent."""
    if not isinstance(timer.target, Starts):
        return
    owner, name = f"timer {timer.name}", timer.target.agent
    agent = agents.spelled(name)
    if agent is None:
        near = nearest(name, agents)
        hint = f"did you mean {near}?" if near else "name an agent of this flock"
        yield f"{owner}: run= names {name}, which is no agent: {hint}"
    elif agent.subscription.types:
        taken = " and ".join(agent.subscription.types)
        yield (
            f"{owner}: run= names {name}, which takes {taken}, and a timer starts it without: publish that with "
            "publish="
        )


def timer_warnings(timer: Timer, agents: Agents) -> Iterator[str]:
    """What an author should know of a timer, though the daemon can start."""
    owner, schedule = f"timer {timer.name}", timer.schedule
    if isinstance(schedule, Once) and schedule.catch_up == "skip" and schedule.moment < now_ms():
        yield (
            f"{owner}: its moment, {iso(schedule.moment)}, is over, and it fires no more: where it never did, "
            'catch_up="once" makes up for it'
        )
    if isinstance(timer.target, Publishes):
        published = timer.target.type
        if not any(published in agent.subscription.types for agent in agents.values()):
            yield f"{owner}: it publishes {published}, and no agent wakes on that"
        for sentence in visibility_warnings(timer.target.visibility, agents):
            yield f"{owner}: {sentence}"
