"""What watchers want: filters drawn at random, and what each of them means, written down plainly a second time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Json = dict[str, Any]

Wanted = tuple[tuple[str, str], ...]
"""A filter as a query string has it: pairs of name and value, in order; names repeat. Empty: everything."""

KINDS = (
    "artifact.published",
    "run.started",
    "run.retrying",
    "run.completed",
    "run.failed",
    "correlation.started",
    "correlation.completed",
    "correlation.failed",
)
AGENTS = ("first", "second", "joiner", "hasher", "persuader", "loser", "spreader")
TYPES = ("A", "B", "C", "D", "Word", "Digest", "Stubborn", "Persuaded", "Doomed", "Many", "One")
TAGS = ("red", "green", "blue")
PARTITIONS = ("north", "east", "south", "west")


def _number(payload: Json, name: str) -> float:
    """NaN, which is neither more nor less than anything, where there is no such number."""
    value = payload.get(name)
    return value if isinstance(value, int) else float("nan")


WHERES: Mapping[str, Callable[[Json], bool]] = {
    "n > `100`": lambda payload: _number(payload, "n") > 100,
    "n <= `60` || total": lambda payload: _number(payload, "n") <= 60 or bool("total" in payload),
    "text && starts_with(text, 'word 1')": lambda payload: payload.get("text", "").startswith("word 1"),
    "contains(sha256 || '', 'ab')": lambda payload: "ab" in payload.get("sha256", ""),
    "length(padding || '') > `5000`": lambda payload: len(payload.get("padding", "")) > 5000,
    "index == `0`": lambda payload: payload.get("index") == 0,
    "!(padding) && n != `7`": lambda payload: not payload.get("padding") and payload["n"] != 7,
    "count >= `2`": lambda payload: _number(payload, "count") >= 2,
    "text && ends_with(text, '3')": lambda payload: payload.get("text", "").endswith("3"),
    "nothing.of[0].this": lambda payload: False,
}
"""Expressions, each with its meaning in Python, for the payloads of `tests.process.flocks`."""


def admits(wanted: Wanted, event: Json, payload: Json | None) -> bool:
    """Whether a watcher with this filter gets this event. `payload` is its artifact's, whole, if it has one."""
    return all(_admits(name, values, event, payload) for name, values in by_field(wanted).items())


@lru_cache(maxsize=1024)
def by_field(wanted: Wanted) -> Mapping[str, list[str]]:
    """The values of each field that is named: a filter as WebSocket messages have it."""
    values: dict[str, list[str]] = {}
    for name, value in wanted:
        values.setdefault(name, []).append(value)
    return values


def _admits(name: str, values: Sequence[str], event: Json, payload: Json | None) -> bool:
    if name in {"kind", "agent", "correlation_id"}:
        return event[name] in values
    artifact = event["artifact"]
    if artifact is None or payload is None:
        return False
    match name:
        case "type" | "produced_by" | "partition_key":
            return artifact[name] in values
        case "tag":
            return all(value in artifact["tags"] for value in values)
        case "where":
            return any(WHERES[value](payload) for value in values)
    raise AssertionError(f"no filter {name}")


def draw(
    choices: random.Random, correlation_ids: Sequence[str], *, names: Sequence[str], fields: int
) -> Wanted:
    """A filter of so many of these fields, each with up to three values."""
    domains: dict[str, Sequence[str]] = {
        "kind": KINDS,
        "agent": AGENTS,
        "correlation_id": correlation_ids,
        "type": TYPES,
        "produced_by": (*AGENTS, "external"),
        "tag": TAGS,
        "partition_key": PARTITIONS,
        "where": tuple(WHERES),
    }
    most = {"tag": 2}
    return tuple(
        (name, value)
        for name in choices.sample(list(names), k=fields)
        for value in choices.sample(
            list(domains[name]), k=choices.randint(1, min(most.get(name, 3), len(domains[name])))
        )
    )
